-- What the database has of pgstac, and what its installation needs. Everything is named with its schema, since
-- a connection behind PgBouncer keeps no search_path.

-- name: lock
-- Installations and migrations come one after the other; held until the transaction ends.
SELECT pg_advisory_xact_lock(%(key)s)

-- name: extensions
-- Those of these names that the server could create, and where they are if they were created.
SELECT a.name, e.extversion AS version, n.nspname AS schema
FROM pg_available_extensions a
LEFT JOIN pg_extension e ON e.extname = a.name
LEFT JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE a.name = ANY(%(names)s)

-- name: has_pgstac
SELECT to_regclass('pgstac.migrations') IS NOT NULL AS present

-- name: version
SELECT version FROM pgstac.migrations ORDER BY datetime DESC, version DESC LIMIT 1

-- name: roles
-- pgstac's roles, and whether this user may act as each: from PostgreSQL 16 on, a member need not be allowed to.
SELECT r.rolname AS name,
       pg_has_role(current_user, r.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000
                                             THEN 'SET' ELSE 'MEMBER' END) AS held
FROM pg_roles r WHERE r.rolname = ANY(%(names)s)

-- name: privileges
-- What this user may do that an installation needs.
SELECT current_user AS name, u.rolsuper AS superuser, u.rolsuper OR u.rolcreaterole AS makes_roles,
       has_database_privilege(current_database(), 'CREATE') AS makes_schemas
FROM pg_roles u WHERE u.rolname = current_user

-- name: leave_session
-- pgstac's migrations leave the session as another role with another search_path; whoever has the connection
-- next shall find it as it was.
RESET ROLE;
RESET search_path;
RESET pgstac.use_queue

-- name: create_schema
-- Else pgstac's first function would be made in public, where an app's user may not make any.
CREATE SCHEMA IF NOT EXISTS pgstac AUTHORIZATION pgstac_admin

-- name: discard_queued_statistics
-- The migration queues all of these again, and may change what they call.
DELETE FROM pgstac.query_queue WHERE query LIKE 'SELECT update_partition_stats(%%'

-- name: has_queue
SELECT to_regclass('pgstac.query_queue') IS NOT NULL AND to_regprocedure('pgstac.run_queued_query()') IS NOT NULL
    AS present

-- name: search_path
-- pgstac's functions name their tables without their schema. Until the transaction ends.
SELECT set_config('search_path', 'pgstac,public', true)

-- name: queue_statistics
-- Statistics of partitions are left in pgstac's queue: to compute them, pgstac looks at those of others too.
SELECT set_config('pgstac.use_queue', 'true', true)

-- name: run_queued
-- One statement of pgstac's queue; false when there is none left.
SELECT pgstac.run_queued_query() AS ran

-- name: create_pgstac_admin
CREATE ROLE pgstac_admin

-- name: create_pgstac_ingest
CREATE ROLE pgstac_ingest

-- name: create_pgstac_read
CREATE ROLE pgstac_read

-- name: hold_pgstac_admin
GRANT pgstac_admin TO CURRENT_USER

-- name: hold_pgstac_ingest
GRANT pgstac_ingest TO CURRENT_USER

-- name: hold_pgstac_read
GRANT pgstac_read TO CURRENT_USER

-- name: settings
SELECT name, value FROM pgstac.pgstac_settings ORDER BY name

-- name: configure
INSERT INTO pgstac.pgstac_settings AS s (name, value) VALUES (%(name)s, %(value)s)
ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value WHERE s.value <> EXCLUDED.value RETURNING name

-- name: role_of
-- Whether there is such a role, and whether it has pgstac's role already.
SELECT pg_has_role(r.oid, %(pgstac_role)s, 'MEMBER') AS held FROM pg_roles r WHERE r.rolname = %(role)s

-- name: grant
GRANT {pgstac_role} TO {role}

-- name: trial_collection
INSERT INTO pgstac.collections (content) VALUES (%(content)s::jsonb)

-- name: trial_item
SELECT pgstac.create_item(%(item)s::jsonb)

-- name: trial_search
SELECT jsonb_array_length(pgstac.search(%(search)s::jsonb) -> 'features') AS found

-- name: counts
SELECT (SELECT count(*) FROM pgstac.collections) AS collections,
       (SELECT coalesce(sum(greatest(c.reltuples, 0)), 0)::bigint
        FROM pg_partition_tree('pgstac.items') t JOIN pg_class c ON c.oid = t.relid WHERE t.isleaf) AS items_estimate,
       (SELECT count(*) FROM pgstac.query_queue) AS queued
