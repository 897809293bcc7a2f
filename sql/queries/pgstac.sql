-- The STAC catalog. pgstac's functions name its tables without their schema, and a connection behind PgBouncer
-- keeps no search_path: each transaction sets it for itself.

-- name: begin
-- Until the transaction ends. UTC, because pgstac's loader compares times as text.
SELECT set_config('search_path', 'pgstac,public', true), set_config('timezone', 'UTC', true),
       set_config('lock_timeout', '60s', true)

-- name: queue_statistics
-- Statistics and constraints of partitions are left in pgstac's queue by what follows, in the same transaction:
-- to compute them, readers of the partition are locked out.
SELECT set_config('pgstac.use_queue', 'true', true)

-- name: lock_collection
-- Those who load into a collection take turns: pgstac has one writer a partition, and partitions are made.
SELECT pg_advisory_xact_lock(hashtextextended('stac collection ' || %(collection)s, 0))

-- name: try_lock_collection
SELECT pg_try_advisory_xact_lock(hashtextextended('stac collection ' || %(collection)s, 0)) AS locked

-- name: version
SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1

-- name: collection
SELECT content FROM pgstac.collections WHERE id = %(collection)s

-- name: create_collection
INSERT INTO pgstac.collections (content, partition_trunc) VALUES (%(content)s::jsonb, %(partition_trunc)s)
ON CONFLICT (id) DO NOTHING RETURNING id

-- name: put_collection
INSERT INTO pgstac.collections AS c (content) VALUES (%(content)s::jsonb)
ON CONFLICT (id) DO UPDATE SET content = EXCLUDED.content WHERE c.content <> EXCLUDED.content RETURNING id

-- name: hold_task
-- The attempt's task, which cannot be given to another before this commits; no row once it has lost it.
SELECT 1 AS held FROM app.tasks
WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s AND task_index = %(task_index)s
  AND fence = %(fence)s AND status = 'processing' FOR SHARE

-- name: storage_of_collection
-- What pgstac's loader needs to know: what the items of the collection share, and how they are partitioned.
SELECT c.key, c.partition_trunc, b.base_item, b.base_item_id
FROM pgstac.collections c, pgstac.current_base_item(c.id) b WHERE c.id = %(collection)s

-- name: items_of_ids
-- Those of these ids that are there, with what `load` noted of each.
SELECT i.id, i.private ->> 'source' AS source, i.private ->> 'job_id' AS job_id, (i.private ->> 'run')::integer AS run
FROM pgstac.items i WHERE i.collection = %(collection)s AND i.id = ANY(%(ids)s)

-- name: count_in_partition
-- No id is there twice: each partition has a unique index of them.
SELECT count(*) AS items FROM pgstac.{partition} WHERE id = ANY(%(ids)s)

-- name: count_ids
-- In all partitions: of items that were there before, in which another version may be in another one.
SELECT count(*) AS items FROM pgstac.items i WHERE i.collection = %(collection)s AND i.id = ANY(%(ids)s)

-- name: queued_partition
-- A partition of the collection whose statistics or constraints wait in pgstac's queue.
SELECT p.partition FROM pgstac.partition_stats p
WHERE p.collection = %(collection)s
  AND EXISTS (SELECT 1 FROM pgstac.query_queue q WHERE position(quote_literal(p.partition) IN q.query) > 0)
ORDER BY p.partition LIMIT 1

-- name: settle_partition
-- What was queued for a partition, done at once: indexes of queryables, observed ranges, constraints.
WITH taken AS (
    DELETE FROM pgstac.query_queue WHERE position(quote_literal(%(partition)s) IN query) > 0 RETURNING 1
)
SELECT count(*) AS queued, pgstac.maintain_partitions(%(partition)s), pgstac.update_partition_stats(%(partition)s)
FROM taken
