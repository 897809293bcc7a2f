-- Tables of features. In braces: identifiers and lists of them, which psycopg.sql puts in and quotes.

-- name: target
-- What is known of a target before anything is loaded.
SELECT to_regtype('public.geometry') IS NOT NULL OR to_regtype('geometry') IS NOT NULL AS postgis,
       c.oid IS NOT NULL AS present, n.oid IS NOT NULL AS has_schema, current_user AS role,
       CASE WHEN n.oid IS NULL THEN has_database_privilege(current_database(), 'CREATE')
            ELSE has_schema_privilege(n.oid, 'USAGE') AND has_schema_privilege(n.oid, 'CREATE') END AS may_create,
       pg_has_role(c.relowner, 'USAGE') AS may_replace, has_table_privilege(c.oid, 'INSERT') AS may_add
FROM (SELECT 1) AS one
LEFT JOIN pg_namespace n ON n.nspname = %(schema)s::text
LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = %(table)s::text

-- name: known_srid
SELECT EXISTS (SELECT 1 FROM spatial_ref_sys WHERE srid = %(srid)s) AS known

-- name: hold
SELECT app.hold_task(%(job_id)s, %(run)s, %(stage)s, %(task_index)s, %(fence)s) AS held

-- name: is_cancelled
SELECT 1 FROM app.jobs WHERE job_id = %(job_id)s AND status IN ('cancelling', 'cancelled')

-- name: note_staging
INSERT INTO geo.staging_tables (name, job_id, run, plan) VALUES (%(name)s, %(job_id)s, %(run)s, %(plan)s::jsonb)

-- name: create_staging
-- Without autovacuum: it would come while rows are loaded, and what the publisher asks for waits a second for its end.
CREATE TABLE {staging} ({columns}) WITH (autovacuum_enabled = false)

-- name: plan
SELECT plan FROM geo.staging_tables WHERE name = %(name)s

-- name: lock_plan
-- For as long as the transaction: nobody drops the table meanwhile.
SELECT plan FROM geo.staging_tables WHERE name = %(name)s FOR SHARE

-- name: lock_staging
-- One publisher of a staging table at a time: whoever comes second finds that it is gone.
SELECT plan FROM geo.staging_tables WHERE name = %(name)s FOR UPDATE

-- name: chunk_is_there
SELECT EXISTS (SELECT 1 FROM geo.staging_chunks WHERE staging = %(name)s AND chunk = %(chunk)s) AS there

-- name: delete_chunk_rows
DELETE FROM {staging} WHERE {chunk_column} = %(chunk)s

-- name: delete_chunk_rejected
DELETE FROM geo.rejected_features WHERE staging = %(name)s AND chunk = %(chunk)s

-- name: copy_rows
COPY {staging} ({columns}) FROM STDIN (FORMAT BINARY)

-- name: copy_rejected
COPY geo.rejected_features (job_id, run, target_schema, target_table, staging, chunk, source, layer, feature_id,
                            reason, geometry) FROM STDIN

-- name: note_chunk
INSERT INTO geo.staging_chunks (staging, chunk, fence, loaded, rejected)
VALUES (%(name)s, %(chunk)s, %(fence)s, %(loaded)s, %(rejected)s)
ON CONFLICT (staging, chunk) DO UPDATE
SET fence = EXCLUDED.fence, loaded = EXCLUDED.loaded, rejected = EXCLUDED.rejected

-- name: linearise
-- Curves as lines and polygons that turn so many radians at each vertex (ST_CurveToLine, tolerance type 2).
SELECT (SELECT ST_AsBinary(ST_CurveToLine(ST_GeomFromWKB(curve), radians(%(degrees)s), 2, 1), 'NDR')) AS line
FROM unnest(%(curves)s::bytea[]) WITH ORDINALITY AS c (curve, place) ORDER BY place

-- name: chunks
SELECT chunk, loaded, rejected FROM geo.staging_chunks WHERE staging = %(name)s

-- name: staged_rows
SELECT count(*) AS rows FROM {staging}

-- name: lock_target
-- One publisher of a target at a time.
SELECT pg_advisory_xact_lock(hashtextextended('geo.layers ' || %(schema)s || '.' || %(table)s, 0))

-- name: bound_lock_wait
SELECT set_config('lock_timeout', '20s', true)

-- name: bound_lock_wait_briefly
SELECT set_config('lock_timeout', '1s', true)

-- name: lock_exclusively
LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE

-- name: load_of
-- What was published of a staging table that is no more.
SELECT result FROM geo.layer_loads WHERE staging = %(name)s ORDER BY target_table

-- name: create_part
-- Columns and, where there is one, the generated number.
CREATE TABLE {part} (LIKE {staging} INCLUDING IDENTITY)

-- name: type_part
ALTER TABLE {part} ALTER COLUMN {geometry} TYPE {type}

-- name: fill_part
INSERT INTO {part} ({columns}) SELECT {columns} FROM {staging}
WHERE ST_GeometryType({geometry}) = ANY (%(types)s::text[])

-- name: fill_part_without
INSERT INTO {part} ({columns}) SELECT {columns} FROM {staging} WHERE {geometry} IS NULL

-- name: tables_of_layer
-- Of these tables those that loads of a layer of this title made, and that are there.
SELECT target_table, geometry_type, key FROM geo.layers
WHERE target_schema = %(schema)s AND title = %(title)s AND target_table = ANY (%(tables)s::text[])
  AND to_regclass(format('%%I.%%I', target_schema, target_table)) IS NOT NULL

-- name: delete_of_other_kind
-- Of features that are loaded anew with a geometry of another kind than these types (null: than none), what the
-- table of the kind has of them.
DELETE FROM {target} AS t USING {staging} AS s
WHERE {same} AND (CASE WHEN %(types)s::text[] IS NULL THEN s.{geometry} IS NOT NULL
                       ELSE s.{geometry} IS NULL OR ST_GeometryType(s.{geometry}) <> ALL (%(types)s::text[]) END)

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema}

-- name: schema_exists
SELECT to_regnamespace(quote_ident(%(schema)s)) IS NOT NULL AS there

-- name: number_on
-- What is added later has numbers after those of all features of the load.
SELECT setval(pg_get_serial_sequence(%(staging)s, %(key)s), %(next)s, false)

-- name: drop_chunk_column
ALTER TABLE {staging} DROP COLUMN {chunk_column}

-- name: create_key_index
CREATE UNIQUE INDEX IF NOT EXISTS {index} ON {staging} ({key})

-- name: add_primary_key
-- Of the index that `create_key_index` makes.
ALTER TABLE {staging} ADD CONSTRAINT {constraint} PRIMARY KEY USING INDEX {constraint}

-- name: create_spatial_index
CREATE INDEX {index} ON {staging} USING gist ({geometry})

-- name: vacuum_again
ALTER TABLE {staging} RESET (autovacuum_enabled)

-- name: analyze
ANALYZE {table}

-- name: comment_table
COMMENT ON TABLE {table} IS {comment}

-- name: comment_column
COMMENT ON COLUMN {column} IS {comment}

-- name: copy_grants
SELECT app.copy_grants(format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass, %(staging)s::regclass)

-- name: copy_grants_of_table
SELECT app.copy_grants(%(from)s::regclass, %(to)s::regclass)

-- name: registered_parts
SELECT key, geometry_type, parts, parts_vertices,
       parts IS NOT NULL AND to_regclass(format('%%I.%%I', target_schema, parts)) IS NOT NULL AS there
FROM geo.layers WHERE target_schema = %(schema)s AND target_table = %(table)s

-- name: create_parts
CREATE MATERIALIZED VIEW {view} AS
SELECT {key}, p.part::integer AS {part}, p.piece::{type} AS {geometry}
FROM {table} AS t
CROSS JOIN LATERAL ST_Subdivide(ST_Force2D(t.{geometry}), {vertices}) WITH ORDINALITY AS p (piece, part)

-- name: create_parts_key
CREATE UNIQUE INDEX {index} ON {view} ({key}, {part})

-- name: refresh_parts
-- By its unique index: whoever reads it reads on.
REFRESH MATERIALIZED VIEW CONCURRENTLY {view}

-- name: drop_parts
DROP MATERIALIZED VIEW {view}

-- name: record_parts
UPDATE geo.layers SET parts = %(parts)s, parts_vertices = %(vertices)s
WHERE target_schema = %(schema)s AND target_table = %(table)s

-- name: drop_table
DROP TABLE {table}

-- name: rename
ALTER TABLE {staging} RENAME TO {name}

-- name: set_schema
ALTER TABLE {staging} SET SCHEMA {schema}

-- name: target_columns
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
FROM pg_attribute a
WHERE a.attrelid = format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum

-- name: columns_of_layer
-- With what the files of its first load called them.
SELECT columns FROM geo.layers WHERE target_schema = %(schema)s AND target_table = %(table)s

-- name: utc
-- Times without a zone that go into a column with zones, or the other way round, are UTC.
SELECT set_config('TimeZone', 'UTC', true)

-- name: lossy_column
SELECT column_name, kind, value
FROM app.lossy_column(%(from)s::regclass, %(own)s::text[], %(to)s::regclass, %(others)s::text[])

-- name: unique_key
-- Whether the target has a unique index on just these columns, which ON CONFLICT needs.
SELECT EXISTS (
    SELECT 1 FROM pg_index i
    WHERE i.indrelid = format('%%I.%%I', %(schema)s::text, %(table)s::text)::regclass
      AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND (SELECT array_agg(a.attname::text ORDER BY a.attname) FROM pg_attribute a
           WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)) = %(key)s::text[]) AS there

-- name: insert_staged
INSERT INTO {target} ({columns}) SELECT {own} FROM {staging}

-- name: upsert_staged
INSERT INTO {target} ({columns}) SELECT {own} FROM {staging}
ON CONFLICT ({key}) DO UPDATE SET {assignments}

-- name: repeated_key
SELECT {key_text} AS key FROM {staging} GROUP BY {key} HAVING count(*) > 1 LIMIT 1

-- name: null_key
SELECT count(*) AS rows FROM {staging} WHERE {any_null}

-- name: measure
SELECT m.rows, now() AS loaded_at, ST_XMin(e) AS x_min, ST_YMin(e) AS y_min, ST_XMax(e) AS x_max, ST_YMax(e) AS y_max
FROM (SELECT count(*) AS rows, ST_Extent({geometry}) AS e FROM {table}) AS m

-- name: record_layer
INSERT INTO geo.layers (target_schema, target_table, title, srid, geometry_column, geometry_type, key, columns,
                        row_count, extent, job_id, run)
VALUES (%(schema)s, %(table)s, %(title)s, %(srid)s, %(geometry_column)s, %(geometry_type)s, %(key)s::jsonb,
        %(columns)s::jsonb, %(rows)s, %(extent)s::double precision[], %(job_id)s, %(run)s)
ON CONFLICT (target_schema, target_table) DO UPDATE
SET title = EXCLUDED.title, srid = EXCLUDED.srid, geometry_column = EXCLUDED.geometry_column,
    geometry_type = EXCLUDED.geometry_type, key = EXCLUDED.key, columns = EXCLUDED.columns,
    row_count = EXCLUDED.row_count, extent = EXCLUDED.extent, job_id = EXCLUDED.job_id, run = EXCLUDED.run,
    loaded_at = now()

-- name: record_rows
-- Of a layer that was added to: what it is made of stays as its first load said.
UPDATE geo.layers SET row_count = %(rows)s, extent = %(extent)s::double precision[], job_id = %(job_id)s,
                      run = %(run)s, loaded_at = now()
WHERE target_schema = %(schema)s AND target_table = %(table)s

-- name: record_load
INSERT INTO geo.layer_loads (staging, job_id, run, target_schema, target_table, if_exists, sources,
                             parameters_hash, result)
VALUES (%(staging)s, %(job_id)s, %(run)s, %(schema)s, %(table)s, %(if_exists)s, %(sources)s::jsonb,
        %(parameters_hash)s, %(result)s::jsonb)

-- name: forget_staging
DELETE FROM geo.staging_tables WHERE name = %(name)s

-- name: abandoned
SELECT app.abandoned_staging(now() - %(age)s::interval, %(limit)s) AS name

-- name: lock_abandoned
SELECT name FROM geo.staging_tables WHERE name = %(name)s FOR UPDATE SKIP LOCKED

-- name: drop_staging
DROP TABLE IF EXISTS {staging}

-- name: sweep_rejected
SELECT app.sweep_rejected(%(limit)s) AS removed
