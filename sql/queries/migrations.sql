-- The migration runner's own statements.

-- name: lock
SELECT pg_advisory_xact_lock(%(key)s)

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS app

-- name: create_history
CREATE TABLE IF NOT EXISTS app.schema_migrations (
    name       text PRIMARY KEY,
    sha256     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)

-- name: has_history
SELECT to_regclass('app.schema_migrations') IS NOT NULL AS present

-- name: history
SELECT name, sha256, applied_at FROM app.schema_migrations ORDER BY applied_at, name

-- name: record
INSERT INTO app.schema_migrations (name, sha256) VALUES (%(name)s, %(sha256)s)
ON CONFLICT (name) DO UPDATE SET sha256 = EXCLUDED.sha256, applied_at = now()
WHERE schema_migrations.sha256 <> EXCLUDED.sha256

-- name: views
SELECT viewname FROM pg_views WHERE schemaname = 'app'

-- name: drop_catalog
-- What the migrations made in a schema that others may use too, and which therefore stays.
DROP TABLE IF EXISTS geo.cog_publications, geo.cogs, geo.layers, geo.layer_loads, geo.staging_chunks,
                     geo.staging_tables, geo.rejected_features

-- name: drop_staging
-- Tables that were being loaded; what was loaded stays, as the blobs of COGs do.
DROP SCHEMA IF EXISTS geo_staging CASCADE

-- name: schema_objects
-- Tables, views, sequences, functions and enumerated types of the schema, and our tables in geo.
SELECT CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' END AS kind,
       c.relname AS name
FROM pg_class c WHERE c.relnamespace = to_regnamespace('app') AND c.relkind IN ('r', 'v', 'S')
   OR c.oid IN (to_regclass('geo.cogs'), to_regclass('geo.cog_publications'), to_regclass('geo.layers'),
                to_regclass('geo.layer_loads'), to_regclass('geo.staging_tables'), to_regclass('geo.staging_chunks'),
                to_regclass('geo.rejected_features'))
UNION ALL
SELECT 'function', p.proname FROM pg_proc p WHERE p.pronamespace = to_regnamespace('app')
UNION ALL
SELECT 'type', t.typname FROM pg_type t WHERE t.typnamespace = to_regnamespace('app') AND t.typtype = 'e'
ORDER BY 1, 2

-- name: index_state
-- `valid`, `building` by somebody, or `broken`: whoever built it died. No row where there is none.
SELECT CASE WHEN i.indisvalid THEN 'valid'
            WHEN EXISTS (SELECT 1 FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) THEN 'building'
            ELSE 'broken' END AS state
FROM pg_index i WHERE i.indexrelid = to_regclass(format('app.%%I', %(name)s::text))
