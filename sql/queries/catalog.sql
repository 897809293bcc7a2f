-- What the STAC API says before each statement of pgstac: nothing of it may outlive the transaction, for the
-- connection behind PgBouncer is somebody else's afterwards.

-- name: reading
-- pgstac's functions find each other and PostGIS by the search path. A search writes
-- nothing: otherwise pgstac keeps every search ever made in a table, which nobody here reads.
SELECT set_config('search_path', 'pgstac, public', true), set_config('pgstac.readonly', 'true', true),
    set_config('statement_timeout', %(milliseconds)s::text, true)

-- name: writing
SELECT set_config('search_path', 'pgstac, public', true),
    set_config('statement_timeout', %(milliseconds)s::text, true)
