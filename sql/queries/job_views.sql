-- One job as the operations page draws it: every attempt on one scale of time, failures by their error, one task
-- with all that is known of it, and what the job covers on the map. Read-only.

-- name: run_origin
-- Where a run's scale of time begins, and what the clock of the database says now. A run that is being removed
-- is out of sight.
SELECT j.run AS current_run, j.status, clock_timestamp() AS now,
       CASE WHEN r.run = j.run THEN j.queued_at ELSE p.queued_at END AS origin
FROM app.jobs j
CROSS JOIN LATERAL (SELECT coalesce(%(run)s::integer, j.run) AS run) r
LEFT JOIN app.past_runs p ON p.job_id = j.job_id AND p.run = r.run AND p.removed_at IS NULL
WHERE j.job_id = %(job_id)s

-- name: timeline
-- Tasks by stage and index, each with its attempts as [start, end, outcome], seconds from the run's origin; the one
-- that completed it, or runs, is last. `since`: only those that something happened to after so many seconds.
SELECT t.stage, t.task_index, t.status,
       CASE WHEN t.status = 'queued' THEN round(extract(epoch FROM t.due_at - %(origin)s::timestamptz), 3)::float8 END AS due,
       CASE WHEN t.attempts IS NULL THEN '[]' ELSE (
           SELECT jsonb_agg(jsonb_build_array(
                      round(extract(epoch FROM (a ->> 'started_at')::timestamptz - %(origin)s::timestamptz), 3),
                      round(extract(epoch FROM (a ->> 'ended_at')::timestamptz - %(origin)s::timestamptz), 3),
                      a ->> 'outcome') ORDER BY place)
           FROM jsonb_array_elements(t.attempts) WITH ORDINALITY AS e (a, place)) END AS ended,
       CASE WHEN t.status IN ('completed', 'processing') THEN jsonb_build_array(
           round(extract(epoch FROM t.started_at - %(origin)s::timestamptz), 3),
           round(extract(epoch FROM t.completed_at - %(origin)s::timestamptz), 3), t.status) END AS last
FROM app.tasks t
WHERE t.job_id = %(job_id)s AND t.run = %(run)s
  AND (t.stage, t.task_index) > (%(after_stage)s::smallint, %(after_index)s::integer)
  AND (%(stage)s::integer IS NULL OR t.stage = %(stage)s::integer)
  AND (%(since)s::float8 IS NULL
       OR greatest(t.due_at, t.started_at, t.completed_at)
          > %(origin)s::timestamptz + make_interval(secs => %(since)s::float8))
ORDER BY t.stage, t.task_index
LIMIT %(limit)s

-- name: failures
-- Failed tasks by what is the same in their errors: without numbers, quoted text and paths, which differ from task to
-- task. The first hundred thousand, by the index of failed tasks.
WITH failed AS (
    SELECT stage, task_index, attempt, completed_at, left(error, 2000) AS error
    FROM app.tasks
    WHERE job_id = %(job_id)s AND run = %(run)s AND status = 'failed'
    ORDER BY stage, task_index LIMIT %(most)s + 1
), grouped AS (
    SELECT stage, regexp_replace(left(error, 300), '''[^'']*''|"[^"]*"|\S*/\S+|\d+', '…', 'g') AS pattern,
           count(*) AS tasks, max(attempt) AS most_attempts, min(completed_at) AS first_at, max(completed_at) AS last_at,
           (array_agg(error ORDER BY task_index))[1] AS error,
           (array_agg(task_index ORDER BY task_index))[1:20] AS task_indexes
    FROM failed GROUP BY 1, 2
)
SELECT g.stage, s.stage_key, s.task_type, g.error, g.pattern, g.tasks, g.most_attempts, g.first_at, g.last_at,
       g.task_indexes, (SELECT count(*) FROM failed) AS counted
FROM grouped g JOIN app.stages s ON s.job_id = %(job_id)s AND s.run = %(run)s AND s.stage = g.stage
ORDER BY g.tasks DESC, g.stage, g.pattern
LIMIT %(groups)s

-- name: task
-- One task with its result, which can be a megabyte; its parameters are complete, as its handler saw them.
SELECT t.job_id, j.job_type, t.run, t.stage, s.stage_key, s.task_type, t.task_index, t.status, s.parameters || t.parameters AS parameters,
       t.attempt, s.max_attempts, t.attempts, t.worker, t.error, t.due_at, t.lease_until, t.started_at, t.completed_at,
       t.result, t.result_location, t.usage
FROM app.tasks t JOIN app.stages s USING (job_id, run, stage) JOIN app.jobs j USING (job_id)
WHERE t.job_id = %(job_id)s AND t.run = %(run)s AND t.stage = %(stage)s AND t.task_index = %(task_index)s

-- name: task_events
-- The newest events that name the task, oldest first. The job's newest hundred thousand are looked at.
SELECT event_id, event, detail, worker, at FROM (
    SELECT event_id, event, detail, worker, at FROM (
        SELECT * FROM app.job_events WHERE job_id = %(job_id)s ORDER BY event_id DESC LIMIT 100000
    ) AS newest
    WHERE run = %(run)s AND stage = %(stage)s AND tasks @> %(task_index)s::integer
    ORDER BY event_id DESC LIMIT %(limit)s
) AS shown ORDER BY event_id

-- name: task_logs
-- What attempts logged, by task and time. It ends early when its lines reach `max_bytes`; it has a row at least.
SELECT stage, task_index, attempt, fence, outcome, dropped, lines, written_at, found FROM (
    SELECT page.*, sum(size) OVER w - size AS bytes_before, count(*) OVER () AS found
    FROM (
        SELECT l.*, pg_column_size(l.lines) AS size FROM app.task_logs l
        WHERE l.job_id = %(job_id)s AND l.run = %(run)s
          -- The first is for the index, whose order is by the fence within a task.
          AND (l.stage, l.task_index) >= (%(after_stage)s::smallint, %(after_index)s::integer)
          AND (l.stage, l.task_index, l.written_at, l.fence)
              > (%(after_stage)s::smallint, %(after_index)s::integer, %(after_at)s::timestamptz, %(after_fence)s::bigint)
          AND (%(stage)s::integer IS NULL OR l.stage = %(stage)s::integer)
          AND (%(task_index)s::integer IS NULL OR l.task_index = %(task_index)s::integer)
          AND l.severity >= %(severity)s
        ORDER BY l.stage, l.task_index, l.written_at, l.fence
        LIMIT %(limit)s
    ) AS page
    WINDOW w AS (ORDER BY stage, task_index, written_at, fence)
) AS measured
WHERE bytes_before < %(max_bytes)s
ORDER BY stage, task_index, written_at, fence

-- name: published_cogs
-- COGs that the job published. There is no index on the job: the rows are narrow, their items are kept elsewhere.
SELECT container, name, size, published_at, item -> 'id' AS item_id, item -> 'geometry' AS geometry,
       item -> 'bbox' AS bbox, item #>> '{assets,thumbnail,href}' IS NOT NULL AS thumbnail
FROM geo.cogs WHERE job_id = %(job_id)s
ORDER BY container, name LIMIT %(limit)s

-- name: items
-- STAC items that travelled between the run's stages: those that count are of attempts that completed. Of a run that
-- found something else, not all of it is looked at.
SELECT i.item -> 'item' -> 'id' AS item_id, i.item -> 'item' ->> 'collection' AS collection,
       i.item -> 'item' -> 'geometry' AS geometry, i.item -> 'item' -> 'bbox' AS bbox
FROM (SELECT * FROM app.stage_items WHERE job_id = %(job_id)s AND run = %(run)s
      ORDER BY stage, task_index, fence, seq LIMIT %(looked_at)s) AS i
JOIN app.tasks t USING (job_id, run, stage, task_index)
WHERE t.status = 'completed' AND t.fence = i.fence AND i.item -> 'item' ->> 'type' = 'Feature'
ORDER BY i.stage, i.task_index, i.seq LIMIT %(limit)s

-- name: rasters
-- Rasters that the run's tasks described, by the report in their result or the result itself; of a run about something
-- else, not all results are looked at.
SELECT t.stage, t.task_index, coalesce(t.result ->> 'name', t.parameters ->> 'name') AS name,
       coalesce(t.result #> '{raster,bounds_wgs84}', t.result -> 'bounds_wgs84') AS bbox
FROM (SELECT * FROM app.tasks WHERE job_id = %(job_id)s AND run = %(run)s AND status = 'completed'
      ORDER BY stage, task_index LIMIT %(looked_at)s) AS t
WHERE jsonb_typeof(coalesce(t.result #> '{raster,bounds_wgs84}', t.result -> 'bounds_wgs84')) = 'array'
ORDER BY t.stage, t.task_index LIMIT %(limit)s

-- name: layers
-- Tables as the job left them; their extents are in their own CRS.
SELECT target_schema, target_table, title, srid, geometry_type, row_count, extent, loaded_at
FROM geo.layers WHERE job_id = %(job_id)s
ORDER BY target_schema, target_table LIMIT %(limit)s

-- name: cog_thumbnail
-- Where the picture of a published COG lies: relative to the COG's own folder.
SELECT item #>> '{assets,thumbnail,href}' AS href, item #>> '{assets,thumbnail,type}' AS type, etag
FROM geo.cogs WHERE container = %(container)s AND name = %(name)s
