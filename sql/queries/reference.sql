-- What the catalog says of our tables, for docs/reference/tables.md (local/reference).

-- name: tables
SELECT format('%s.%s', n.nspname, c.relname) AS name, obj_description(c.oid, 'pg_class') AS comment
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('app', 'audit', 'geo') AND c.relkind IN ('r', 'p')
ORDER BY 1

-- name: columns
SELECT format('%s.%s', n.nspname, c.relname) AS table, a.attname AS name,
       format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS required,
       CASE WHEN a.attgenerated = '' AND a.attidentity = '' THEN pg_get_expr(d.adbin, d.adrelid)
            WHEN a.attidentity <> '' THEN 'identity' ELSE 'generated' END AS default,
       col_description(c.oid, a.attnum) AS comment
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid
LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
WHERE n.nspname IN ('app', 'audit', 'geo') AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY 1, a.attnum

-- name: indexes
SELECT format('%s.%s', schemaname, tablename) AS of_table,
       regexp_replace(indexdef, '^CREATE (UNIQUE )?INDEX (\S+) ON \S+ USING (\w+) ', '\1\2 \3 ') AS definition
FROM pg_indexes WHERE schemaname IN ('app', 'audit', 'geo')
ORDER BY 1, indexname
