-- The migration runner's own statements.

-- name: bound_lock_wait
-- Whoever waits for a table lock keeps all others from the table, who would have got it: not for longer than any
-- lease bears.
SELECT set_config('lock_timeout', '2s', true)

-- name: lock
SELECT pg_advisory_xact_lock(%(key)s)

-- name: owner
-- Whose the schema is. The schema geo stays when everything is dropped, and says it afterwards. From PostgreSQL 16
-- on, a member need not be allowed to act as a role.
SELECT r.rolname AS name, r.rolname = current_user AS is_current,
       pg_has_role(current_user, r.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000
                                             THEN 'SET' ELSE 'MEMBER' END) AS held
FROM pg_namespace n JOIN pg_roles r ON r.oid = n.nspowner
WHERE n.nspname IN ('app', 'geo') ORDER BY n.nspname LIMIT 1

-- name: act_as
-- Until the transaction ends.
SET LOCAL ROLE {role}

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

-- name: record_release
-- The releases that the database has been brought to. Those before 2 know nothing of such rows, and pass them over.
INSERT INTO app.schema_migrations (name, sha256) VALUES (%(name)s, '')
ON CONFLICT (name) DO NOTHING

-- name: record
INSERT INTO app.schema_migrations (name, sha256) VALUES (%(name)s, %(sha256)s)
ON CONFLICT (name) DO UPDATE SET sha256 = EXCLUDED.sha256, applied_at = now()
WHERE schema_migrations.sha256 <> EXCLUDED.sha256

-- name: grant_access
-- What roles may do of what there is now (docs/adr/0021), by what the owner's default privileges say of them: who may
-- write all of its tables is the app, who may only look into its schemas is a reader. There are none where the
-- schema's owner and the app are one role.
DO $$
DECLARE
    v_hidden text[] := ARRAY[
        -- What callbacks are signed with; and URLs of theirs, which often are secrets themselves.
        'subscriptions.secret', 'subscriptions.url', 'run_subscribers.url', 'callbacks.url', 'followers.request',
        'schedules.callback_url', 'schedules.follower',
        'invariant_9_untold_end.url', 'invariant_10_neglected_callback.url',
        -- Whatever anybody put on a queue.
        'poison_messages.raw'];
    v_owner oid := (SELECT oid FROM pg_roles WHERE rolname = current_user);
    g record;
    t record;
    f record;
BEGIN
    FOR g IN
        SELECT a.grantee::regrole::text AS name,
               bool_or(d.defaclobjtype = 'r' AND a.privilege_type = 'INSERT') AS is_app
        FROM pg_default_acl d, aclexplode(d.defaclacl) a
        WHERE d.defaclrole = v_owner AND d.defaclnamespace = 0 AND a.grantee NOT IN (0, d.defaclrole)
        GROUP BY a.grantee ORDER BY 1
    LOOP
        REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA app FROM PUBLIC;
        EXECUTE format('GRANT USAGE ON SCHEMA app, geo TO %s', g.name);
        EXECUTE format('REVOKE ALL ON SCHEMA geo_staging FROM %s', g.name);
        IF g.is_app THEN
            EXECUTE format('GRANT USAGE, CREATE ON SCHEMA geo_staging TO %s', g.name);
            EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA app TO %s', g.name);
            EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA app TO %s', g.name);
        END IF;
        -- Who did what is written and forgotten by its age, never changed; a reader does not see it.
        -- Roles may be made before the table is.
        IF to_regclass('audit.actions') IS NOT NULL THEN
            EXECUTE format('REVOKE ALL ON SCHEMA audit FROM %s', g.name);
            EXECUTE format('REVOKE ALL ON audit.actions FROM %s', g.name);
            IF g.is_app THEN
                EXECUTE format('GRANT USAGE ON SCHEMA audit TO %s', g.name);
                EXECUTE format('GRANT SELECT, INSERT, DELETE ON audit.actions TO %s', g.name);
            END IF;
        END IF;
        FOR t IN
            SELECT c.oid::regclass AS name, c.relkind = 'r' AND c.relname <> 'schema_migrations' AS is_written,
                   (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                    WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
                      AND c.relname || '.' || attname <> ALL (v_hidden)) AS seen
            FROM pg_class c
            WHERE c.relnamespace IN ('app'::regnamespace, 'geo'::regnamespace) AND c.relkind IN ('r', 'v')
              AND c.relowner = v_owner
        LOOP
            EXECUTE format('REVOKE ALL ON %s FROM %s', t.name, g.name);
            IF NOT g.is_app THEN
                EXECUTE format('GRANT SELECT (%s) ON %s TO %s', t.seen, t.name, g.name);
            ELSIF t.is_written THEN
                EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %s', t.name, g.name);
            ELSE
                EXECUTE format('GRANT SELECT ON %s TO %s', t.name, g.name);
            END IF;
        END LOOP;
        -- Those that views call. None of them writes, nor may whoever calls them.
        FOR f IN SELECT oid::regprocedure AS name FROM pg_proc
                 WHERE pronamespace = 'app'::regnamespace AND provolatile <> 'v' AND NOT g.is_app
        LOOP
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', f.name, g.name);
        END LOOP;
    END LOOP;
END $$

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
