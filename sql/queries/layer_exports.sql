-- Tables of features, read whole. In braces: identifiers and expressions, which psycopg.sql puts in and quotes.

-- name: layer
-- A table that was loaded, if it is still there, and what its SRID stands for.
SELECT l.target_schema, l.target_table, l.srid, l.geometry_column, l.geometry_type, l.key, l.columns,
       l.row_count AS rows, l.loaded_at,
       to_regclass(format('%%I.%%I', l.target_schema, l.target_table)) IS NOT NULL AS present
FROM geo.layers l WHERE l.target_schema = %(schema)s AND l.target_table = %(table)s

-- name: tables
-- Some that there are, for whoever named one that is not.
SELECT target_schema || '.' || target_table AS name FROM geo.layers ORDER BY target_schema, target_table LIMIT 20

-- name: crs_of_srid
SELECT auth_name, auth_srid, srtext FROM spatial_ref_sys WHERE srid = %(srid)s

-- name: one_moment
-- Before the first statement that sees rows: what is read then is as of that moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: bound_lock_wait
-- Takes no snapshot, as a SELECT would.
SET LOCAL lock_timeout = '20s'

-- name: lock_table
-- Nobody replaces it meanwhile. It takes no snapshot yet: a table that comes in between is seen with its rows.
LOCK TABLE {table} IN ACCESS SHARE MODE

-- name: rows
SELECT {geometry}, {columns} FROM {table} WHERE {condition}

-- name: rows_without_columns
SELECT {geometry} FROM {table} WHERE {condition}

-- name: in_order
{rows} ORDER BY {key}

-- name: plan
-- Whether the database understands it; nothing is read.
EXPLAIN {rows}

-- name: measure
SELECT count(*) AS rows, count(*) FILTER (WHERE {geometry} IS NULL OR ST_IsEmpty({geometry})) AS without_geometry,
       coalesce(sum(pg_column_size(t.*)), 0)::bigint AS size
FROM (SELECT {columns} FROM {table} WHERE {condition}) AS t

-- name: copy_rows
COPY ({rows}) TO STDOUT (FORMAT BINARY)
