-- The invariants of the design, section 5: each view must be empty.

-- name: violations
-- How many rows a view has, exactly, and the first of them; without addresses of receivers, which are an operator's.
SELECT (SELECT count(*) FROM {view}) AS count,
       (SELECT coalesce(jsonb_agg(to_jsonb(v) - 'url'), '[]') FROM (SELECT * FROM {view} LIMIT %(limit)s) AS v) AS rows

-- name: forget_sightings
-- Messages that are no longer at the front of a poison queue.
DELETE FROM app.poison_queue_sightings WHERE queue = %(queue)s AND NOT (message_id = ANY (%(message_ids)s::text[]))

-- name: note_sightings
-- Messages that are. The time at which one was first seen stays.
INSERT INTO app.poison_queue_sightings (queue, message_id)
SELECT %(queue)s, m FROM unnest(%(message_ids)s::text[]) AS m
ON CONFLICT DO NOTHING
