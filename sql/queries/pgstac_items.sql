-- A collection's items, read range by range, and what is known of them all. Ranges are of ids, which each
-- partition has an index of.

-- name: begin_reading
-- Until the transaction ends; nothing is kept by a connection behind PgBouncer.
SELECT set_config('search_path', 'pgstac,public', true), set_config('timezone', 'UTC', true),
       set_config('transaction_read_only', 'on', true)

-- name: begin_writing
SELECT set_config('search_path', 'pgstac,public', true), set_config('timezone', 'UTC', true),
       set_config('lock_timeout', '60s', true)

-- name: document
SELECT content FROM pgstac.collections WHERE id = %(collection)s

-- name: document_for_update
SELECT content FROM pgstac.collections WHERE id = %(collection)s FOR UPDATE

-- name: replace_document
UPDATE pgstac.collections SET content = %(content)s::jsonb WHERE id = %(collection)s

-- name: hold_task
-- The attempt's task, which cannot be given to another before this commits; no row once it has lost it.
SELECT 1 AS held FROM app.tasks
WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s AND task_index = %(task_index)s
  AND fence = %(fence)s AND status = 'processing' FOR SHARE

-- name: boundaries
-- Every so many-th id of the items that are wanted. A box across the antimeridian is two.
SELECT id FROM (
    SELECT i.id, row_number() OVER (ORDER BY i.id) AS place
    FROM pgstac.items i
    WHERE i.collection = %(collection)s
      AND (%(start)s::timestamptz IS NULL OR i.end_datetime >= %(start)s)
      AND (%(end)s::timestamptz IS NULL OR i.datetime <= %(end)s)
      AND (%(west)s::float8 IS NULL OR st_intersects(i.geometry, CASE WHEN %(west)s <= %(east)s
           THEN st_makeenvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4326)
           ELSE st_collect(st_makeenvelope(%(west)s, %(south)s, 180, %(north)s, 4326),
                           st_makeenvelope(-180, %(south)s, %(east)s, %(north)s, 4326)) END))
) numbered
WHERE place %% %(size)s = 0 ORDER BY id

-- name: items
-- A page; hydrated are those of the page alone, whatever the planner sorts. As text, for a reader that takes whole
-- numbers of more than 64 bits, as which jsonb has large floating point numbers, for what they were.
SELECT pgstac.content_hydrate(page.item)::text AS item
FROM (
    SELECT i AS item
    FROM pgstac.items i
    WHERE i.collection = %(collection)s
      AND (%(after)s::text IS NULL OR i.id > %(after)s) AND (%(upto)s::text IS NULL OR i.id <= %(upto)s)
      AND (%(start)s::timestamptz IS NULL OR i.end_datetime >= %(start)s)
      AND (%(end)s::timestamptz IS NULL OR i.datetime <= %(end)s)
      AND (%(west)s::float8 IS NULL OR st_intersects(i.geometry, CASE WHEN %(west)s <= %(east)s
           THEN st_makeenvelope(%(west)s, %(south)s, %(east)s, %(north)s, 4326)
           ELSE st_collect(st_makeenvelope(%(west)s, %(south)s, 180, %(north)s, 4326),
                           st_makeenvelope(-180, %(south)s, %(east)s, %(north)s, 4326)) END))
    ORDER BY i.id LIMIT %(limit)s
) page

-- name: extent
-- Longitudes as intervals that do not overlap: of each part of each geometry, since what crosses the antimeridian
-- is in two parts. They are joined by whoever adds up the ranges.
WITH part AS MATERIALIZED (
    SELECT i.datetime, i.end_datetime, i.geometry FROM pgstac.items i
    WHERE i.collection = %(collection)s
      AND (%(after)s::text IS NULL OR i.id > %(after)s) AND (%(upto)s::text IS NULL OR i.id <= %(upto)s)
), piece AS (
    SELECT numrange(greatest(st_xmin(d.geom), -180)::numeric, least(st_xmax(d.geom), 180)::numeric, '[]') AS longitude
    FROM part p, st_dump(p.geometry) d
    WHERE NOT st_isempty(d.geom) AND st_xmin(d.geom) <= 180 AND st_xmax(d.geom) >= -180
)
SELECT count(*) AS items, min(p.datetime) AS start, max(p.end_datetime) AS end,
       min(st_ymin(p.geometry)) AS south, max(st_ymax(p.geometry)) AS north,
       ARRAY(SELECT ARRAY[lower(r)::float8, upper(r)::float8]
             FROM unnest((SELECT range_agg(longitude) FROM piece)) r ORDER BY lower(r)) AS longitudes
FROM part p

-- name: values
-- Distinct values of the fields that are asked for, wherever STAC 1.0 or 1.1 has them. What an asset shares with
-- the collection's item_assets is not stored with the item: then it is hydrated, which takes longer than all else.
WITH part AS MATERIALIZED (
    SELECT CASE WHEN (SELECT c.base_item -> 'assets' <> 'null' FROM pgstac.collections c WHERE c.id = %(collection)s)
                  OR EXISTS (SELECT FROM pgstac.base_items b WHERE b.collection = %(collection)s)
           THEN pgstac.content_hydrate(i) ELSE i.content END AS item
    FROM pgstac.items i
    WHERE i.collection = %(collection)s
      AND (%(after)s::text IS NULL OR i.id > %(after)s) AND (%(upto)s::text IS NULL OR i.id <= %(upto)s)
), place AS (
    SELECT item -> 'properties' AS fields FROM part
    UNION ALL
    SELECT a.value FROM part, jsonb_each(item -> 'assets') a
), place_with_bands AS (
    SELECT fields FROM place
    UNION ALL
    SELECT b.value FROM place, unnest(ARRAY['bands', 'eo:bands', 'raster:bands']) name,
        jsonb_array_elements(CASE jsonb_typeof(fields -> name) WHEN 'array' THEN fields -> name ELSE '[]' END) b
), found AS (
    SELECT f.key AS field, f.value
    FROM place_with_bands,
        jsonb_each(CASE jsonb_typeof(fields) WHEN 'object' THEN fields ELSE '{}' END) f
    WHERE f.key = ANY(%(fields)s)
), single AS (
    SELECT DISTINCT f.field, v.value
    FROM found f,
        jsonb_array_elements(CASE jsonb_typeof(f.value) WHEN 'array' THEN f.value ELSE jsonb_build_array(f.value) END) v
    WHERE jsonb_typeof(v.value) IN ('string', 'number', 'boolean')
), numbered AS (
    SELECT field, value, row_number() OVER (PARTITION BY field ORDER BY value) AS place,
           CASE jsonb_typeof(value) WHEN 'number' THEN value::float8 END AS number
    FROM single
)
SELECT field, coalesce(jsonb_agg(value ORDER BY place)
                       FILTER (WHERE place <= %(limit)s AND length(value::text) <= %(longest)s), '[]') AS values,
       count(*) > %(limit)s OR bool_or(length(value::text) > %(longest)s) AS more, min(number) AS minimum, max(number) AS maximum
FROM numbered GROUP BY field ORDER BY field

-- name: extensions
SELECT DISTINCT e.value AS extension
FROM pgstac.items i,
    jsonb_array_elements_text(CASE jsonb_typeof(i.content -> 'stac_extensions')
                              WHEN 'array' THEN i.content -> 'stac_extensions' ELSE '[]' END) e
WHERE i.collection = %(collection)s
  AND (%(after)s::text IS NULL OR i.id > %(after)s) AND (%(upto)s::text IS NULL OR i.id <= %(upto)s)
ORDER BY 1

-- name: missing_queryables
-- pgstac's own look at a sample of the items, of 10,000 at least. One that is only null so far has no type yet, and
-- objects cannot be compared.
SELECT m.name, m.definition FROM pgstac.missing_queryables(%(collection)s, 5, 10000) m
WHERE m.definition ->> 'type' IS DISTINCT FROM 'null' AND m.definition ->> 'type' IS DISTINCT FROM 'object'
ORDER BY m.name

-- name: add_queryable
-- No index is asked for: which properties are worth one is not for the items to say.
SELECT pgstac.upsert_queryable(%(name)s, %(definition)s::jsonb, NULL, NULL, ARRAY[%(collection)s])
