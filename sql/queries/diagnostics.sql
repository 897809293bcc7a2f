-- What the whole app looks like: counts, sizes, what waits; and whether database and code agree. Read-only.

-- name: jobs_by_type
-- All jobs by type and state.
SELECT job_type, status, count(*) AS count FROM app.jobs GROUP BY job_type, status ORDER BY job_type, status

-- name: durations
-- How long the last day's completed jobs took, by type, in seconds from start to end.
SELECT job_type, count(*) AS count,
       round(percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds)::numeric, 3)::float8 AS median_seconds,
       round(percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)::numeric, 3)::float8 AS p95_seconds
FROM (SELECT job_type, extract(epoch FROM completed_at - started_at) AS seconds
      FROM app.jobs
      WHERE status IN ('completed', 'completed_with_errors') AND completed_at > now() - interval '1 day') AS done
GROUP BY job_type ORDER BY job_type

-- name: tasks_by_status
-- All tasks by state, from the counters: counting the rows themselves takes seconds once there are millions.
SELECT coalesce(sum(queued), 0)::bigint AS queued, coalesce(sum(processing), 0)::bigint AS processing,
       coalesce(sum(completed), 0)::bigint AS completed, coalesce(sum(failed), 0)::bigint AS failed,
       coalesce(sum(cancelled), 0)::bigint AS cancelled
FROM app.stage_counters

-- name: outbox
-- Messages waiting to be sent, held back by a limit, and sent without anybody having taken up their work yet.
SELECT queue, count(*) FILTER (WHERE sent_at IS NULL AND parked IS NULL) AS pending,
       count(*) FILTER (WHERE parked IS NOT NULL) AS parked, count(*) FILTER (WHERE sent_at IS NOT NULL) AS sent,
       round(extract(epoch FROM now() - min(not_before)
           FILTER (WHERE sent_at IS NULL AND parked IS NULL AND not_before <= now())), 3)::float8 AS oldest_pending_seconds,
       coalesce(max(sends), 0) AS most_sends
FROM app.outbox GROUP BY queue ORDER BY queue

-- name: table_sizes
-- Bytes with indexes and out-of-line values; rows as the last ANALYZE estimated them (-1: never).
SELECT c.relname AS "table", pg_total_relation_size(c.oid) AS bytes, c.reltuples::bigint AS estimated_rows,
       coalesce(s.n_dead_tup, 0) AS dead_rows, greatest(s.last_vacuum, s.last_autovacuum) AS vacuumed_at
FROM pg_class c LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relnamespace = 'app'::regnamespace AND c.relkind = 'r'
ORDER BY bytes DESC, c.relname

-- name: server
-- The server's version and how full its connection limit is.
SELECT current_setting('server_version') AS version, current_setting('max_connections')::integer AS max_connections,
       (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
       pg_database_size(current_database()) AS database_bytes

-- name: live_jobs
-- Jobs that are not terminal, those first that nothing happened to for longest.
SELECT job_id, job_type, status, run, stage, total_stages, plan_attempts, plan_lease_until, created_at, updated_at
FROM app.jobs
WHERE status IN ('queued', 'processing', 'cancelling')
ORDER BY updated_at
LIMIT %(limit)s

-- name: failed_tasks
-- Failed tasks of the jobs that changed last.
SELECT t.job_id, t.run, t.stage, t.task_index, t.attempt, t.worker, t.error, t.completed_at
FROM (SELECT job_id, run FROM app.jobs ORDER BY updated_at DESC LIMIT %(limit)s) j
CROSS JOIN LATERAL (
    SELECT * FROM app.tasks f
    WHERE f.job_id = j.job_id AND f.run = j.run AND f.status = 'failed'
    ORDER BY f.stage DESC, f.task_index DESC LIMIT %(limit)s
) t
ORDER BY t.completed_at DESC
LIMIT %(limit)s

-- name: running_tasks
-- Tasks in work, those first whose lease ends next.
SELECT job_id, run, stage, task_index, attempt, worker, started_at, lease_until
FROM app.tasks WHERE status = 'processing' ORDER BY lease_until LIMIT %(limit)s

-- name: oldest_dispatches
-- The outbox from its old end.
SELECT dispatch_id, queue, job_id, run, stage, first, last, not_before, taken_until, sends, sent_at, redeliver_at, parked, created_at
FROM app.outbox ORDER BY dispatch_id LIMIT %(limit)s

-- name: newest_events
-- What happened last, of whichever job.
SELECT event_id, job_id, run, stage, event, detail, worker, at
FROM app.job_events ORDER BY event_id DESC LIMIT %(limit)s

-- name: enums
-- The schema's enums with their labels in order.
SELECT t.typname AS name, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) AS labels
FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid
WHERE t.typnamespace = to_regnamespace('app')
GROUP BY t.typname ORDER BY t.typname

-- name: functions
-- The schema's functions with their arguments.
SELECT proname AS name, pg_get_function_identity_arguments(oid) AS arguments
FROM pg_proc WHERE pronamespace = to_regnamespace('app') ORDER BY proname

-- name: bound_statements
-- For a transaction that only looks: it must neither hang nor wait for others' locks.
SELECT set_config('statement_timeout', '5s', true), set_config('lock_timeout', '1s', true)
