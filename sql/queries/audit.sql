-- Who did what (sql/functions/13_audit.sql).

-- name: note
-- What is not done by one statement, or not in the database.
SELECT app.audit(%(caller)s::jsonb, %(action)s, %(detail)s::jsonb)

-- name: is_there
-- Not where the schema was never made.
SELECT to_regclass('audit.actions') IS NOT NULL AS present

-- name: note_schema_change
-- By itself: the function is gone, where the schema has been dropped.
INSERT INTO audit.actions (action, kind, name, object_id, correlation_id, detail)
SELECT %(action)s, c ->> 'kind', c ->> 'name', c ->> 'id', c ->> 'correlation_id', %(detail)s::jsonb
FROM (SELECT %(caller)s::jsonb) AS given (c)

-- name: actions
-- The newest first. `who`: the beginning of a name, or an object id. Rows are read from the newest on until the page is
-- full; of a job they have an index.
SELECT action_id, at, action, kind, name, object_id, correlation_id, job_id, run, detail
FROM audit.actions
WHERE (%(before)s::bigint IS NULL OR action_id < %(before)s::bigint)
  AND (%(action)s::text IS NULL OR action = %(action)s::text)
  AND (%(who)s::text IS NULL OR object_id = %(who)s::text OR starts_with(lower(name), lower(%(who)s::text)))
  AND (%(job_id)s::text IS NULL OR job_id = %(job_id)s::text)
  AND (%(hours)s::float8 IS NULL OR at > now() - make_interval(secs => %(hours)s::float8 * 3600))
ORDER BY action_id DESC LIMIT %(limit)s
