-- The database's roles (docs/adr/0021). In braces: identifiers and literals, which psycopg.sql puts in and quotes.

-- name: role
-- Whether there is such a role, and whether this user may act as it: from PostgreSQL 16 on, a member need not be
-- allowed to.
SELECT pg_has_role(current_user, r.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000
                                             THEN 'SET' ELSE 'MEMBER' END) AS held
FROM pg_roles r WHERE r.rolname = %(role)s

-- name: powers
-- What a role is that is not to own the schema: what may do everything, or may make itself another.
SELECT r.rolsuper AS is_superuser, r.rolcreaterole OR r.rolcreatedb AS makes_others,
       pg_has_role(r.oid, o.oid, 'MEMBER') AS is_owner
FROM pg_roles r, pg_roles o WHERE r.rolname = %(role)s AND o.rolname = %(owner)s

-- name: restrain
ALTER ROLE {role} NOCREATEROLE NOCREATEDB

-- name: create_role
CREATE ROLE {role}

-- name: hold
GRANT {role} TO CURRENT_USER

-- name: place
-- The database, and where PostGIS is.
SELECT current_database() AS database,
       coalesce((SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
                 WHERE e.extname = 'postgis'), 'public') AS postgis

-- name: grant_database
GRANT CONNECT ON DATABASE {database} TO {owner}, {app}, {reader};
GRANT CREATE ON DATABASE {database} TO {owner};
REVOKE CREATE ON DATABASE {database} FROM {app}, {reader};
GRANT TEMPORARY ON DATABASE {database} TO {app}

-- name: create_schema
CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner}

-- name: belongings
-- What is there already and belongs to somebody else: the engine's objects are to be the owner's, layers the app's,
-- which drops and replaces them. Sequences of columns go with their tables.
WITH ours AS (
    SELECT 'SCHEMA' AS kind, quote_ident(nspname) AS name, nspowner AS has, %(owner)s::text AS gets
    FROM pg_namespace WHERE nspname = ANY (%(schemas)s::text[])
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text,
           c.relowner, %(owner)s::text
    FROM pg_class c
    WHERE (c.relnamespace IN (to_regnamespace('app'), to_regnamespace('audit')) AND c.relkind IN ('r', 'v', 'S')
           OR c.oid IN (to_regclass('geo.cogs'), to_regclass('geo.cog_publications'), to_regclass('geo.layers'),
                        to_regclass('geo.layer_loads'), to_regclass('geo.staging_tables'),
                        to_regclass('geo.staging_chunks'), to_regclass('geo.rejected_features')))
      AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.objid = c.oid AND d.classid = 'pg_class'::regclass
                      AND c.relkind = 'S' AND d.deptype IN ('a', 'i'))
    UNION ALL
    SELECT 'FUNCTION', oid::regprocedure::text, proowner, %(owner)s::text
    FROM pg_proc WHERE pronamespace = to_regnamespace('app')
    UNION ALL
    SELECT 'TYPE', oid::regtype::text, typowner, %(owner)s::text
    FROM pg_type WHERE typnamespace = to_regnamespace('app') AND typtype = 'e'
    UNION ALL
    SELECT CASE c.relkind WHEN 'm' THEN 'MATERIALIZED VIEW' ELSE 'TABLE' END, c.oid::regclass::text, c.relowner,
           %(app)s::text
    FROM pg_class c
    WHERE c.relnamespace = to_regnamespace('geo_staging') AND c.relkind = 'r'
       OR c.oid = ANY (%(layers)s::oid[])
)
SELECT format('ALTER %%s %%s OWNER TO %%I', o.kind, o.name, o.gets) AS statement, r.rolname AS has, o.gets
FROM ours o JOIN pg_roles r ON r.oid = o.has WHERE r.rolname <> o.gets
ORDER BY o.kind <> 'SCHEMA'

-- name: has_layers
SELECT to_regclass('geo.layers') IS NOT NULL AS present

-- name: layers
-- Published tables and the views of their pieces.
SELECT c.oid
FROM geo.layers l JOIN pg_namespace n ON n.nspname = l.target_schema
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname IN (l.target_table, l.parts) AND c.relkind IN ('r', 'm')

-- name: default_privileges
-- Of what is made later. Who may write all tables of the owner's is the app; who may look into its schemas without
-- that is a reader: `grant_access` of migrations.sql goes by it.
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SEQUENCES TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT USAGE ON SCHEMAS TO {app}, {reader};
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE {owner} GRANT EXECUTE ON FUNCTIONS TO {app};
ALTER DEFAULT PRIVILEGES FOR ROLE {app} GRANT SELECT ON TABLES TO {reader}

-- name: act_as
SET LOCAL ROLE {role}

-- name: act_as_oneself
SET LOCAL ROLE NONE

-- name: grant_layer_schema
GRANT USAGE, CREATE ON SCHEMA {schema} TO {app};
GRANT USAGE ON SCHEMA {schema} TO {reader}

-- name: grant_layer
SELECT format('GRANT SELECT ON %%s TO %%I', l.oid::regclass, %(reader)s::text) AS statement
FROM unnest(%(layers)s::oid[]) AS l (oid)

-- name: catalog_roles
-- pgstac's roles, where this database has pgstac, that somebody is not a member of yet.
SELECT c.role, c.member
FROM (VALUES ('pgstac_read', %(app)s::text), ('pgstac_ingest', %(app)s::text), ('pgstac_read', %(reader)s::text))
     AS c (role, member)
JOIN pg_roles r ON r.rolname = c.role
WHERE to_regclass('pgstac.migrations') IS NOT NULL AND NOT pg_has_role(c.member, r.oid, 'MEMBER')

-- name: grant_role
GRANT {role} TO {member}

-- name: setting
-- Of the role's sessions in this database, also of those that PgBouncer opens, which passes on no parameters.
ALTER ROLE {role} IN DATABASE {database} SET {name} = {values}
