-- Published COGs, and publications under way.

-- name: find_cog
SELECT cog, under_way, live FROM app.find_cog(%(container)s, %(name)s, %(publication)s)

-- name: is_source
-- The second stage of a conversion has a task for each raster. One run's part of the primary key is read.
SELECT EXISTS (
    SELECT 1 FROM app.tasks
    WHERE job_id = %(job_id)s AND run = %(run)s AND stage = 2 AND parameters @> %(blob)s::jsonb
) AS found

-- name: begin_publication
SELECT app.begin_publication(%(publication)s, %(cog)s::jsonb) AS begun

-- name: publish_cog
SELECT to_jsonb(c) AS cog FROM app.publish_cog(%(container)s, %(name)s, %(publication)s, %(etag)s) AS c

-- name: settle_publication
SELECT app.settle_publication(%(container)s, %(name)s, %(publication)s, %(etag)s, %(over)s) AS settled

-- name: forget_publication
SELECT app.forget_publication(%(container)s, %(name)s, %(publication)s)

-- name: unsettled_publications
SELECT cog FROM app.unsettled_publications(now() - %(age)s::interval, %(limit)s) AS cog
