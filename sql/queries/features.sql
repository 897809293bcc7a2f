-- What the features API asks of the database by itself; the queries for features are tipg's.

-- name: reading
-- Before each of them, and only for its transaction, for the connection behind PgBouncer is somebody else's
-- afterwards. Functions of PostGIS are found wherever it is; times are UTC. What has begun to read can no longer
-- be made to write.
SELECT set_config('search_path', coalesce(
           (SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
            WHERE e.extname = 'postgis'), 'public'), true),
       set_config('statement_timeout', %(milliseconds)s::text, true),
       set_config('TimeZone', 'UTC', true), set_config('DateStyle', 'ISO, YMD', true),
       set_config('standard_conforming_strings', 'on', true),
       set_config('transaction_read_only', 'on', true),
       CASE WHEN %(role)s::text <> '' THEN set_config('role', %(role)s::text, true) END

-- name: layers
-- The tables that were loaded, are still there, and may be read by the role: one of them, or all where the schema
-- is null. Their columns are the table's own, for others may have changed it since.
SELECT l.target_schema AS schema, l.target_table AS table, l.title, l.extent, l.srid AS extent_srid,
       l.geometry_column, l.loaded_at, obj_description(c.oid, 'pg_class') AS description,
       (SELECT jsonb_agg(jsonb_build_object(
                   'name', a.attname, 'type', format_type(a.atttypid, NULL),
                   'description', col_description(c.oid, a.attnum),
                   'geometry_type', CASE WHEN t.typname IN ('geometry', 'geography')
                                         THEN postgis_typmod_type(a.atttypmod) END,
                   'srid', CASE WHEN t.typname IN ('geometry', 'geography')
                                THEN coalesce(nullif(postgis_typmod_srid(a.atttypmod), 0), l.srid) END)
                   ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          AND has_column_privilege(r.name, c.oid, a.attnum, 'SELECT')) AS columns,
       coalesce((SELECT jsonb_agg(a.attname ORDER BY k.place)
                 FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (attnum, place), pg_attribute a
                 WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum),
                l.key) AS key
FROM (SELECT coalesce(nullif($3::text, ''), current_user::text) AS name) AS r,
     geo.layers l
     JOIN pg_namespace n ON n.nspname = l.target_schema
     JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = l.target_table AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
WHERE ($1::text IS NULL OR (l.target_schema = $1::text AND l.target_table = $2::text))
  AND has_schema_privilege(r.name, n.oid, 'USAGE') AND has_any_column_privilege(r.name, c.oid, 'SELECT')
ORDER BY l.target_schema, l.target_table
