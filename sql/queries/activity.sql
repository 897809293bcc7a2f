-- What the app did lately, from the history, and what waits now. Read-only.

-- name: activity
-- What happened to tasks in each of the last buckets of time, the oldest first; buckets in which nothing happened
-- are left out. There is no index on the time: the newest `most` events are looked at, backwards by their key.
WITH newest AS MATERIALIZED (
    SELECT event_id, event, tasks, detail, at FROM app.job_events ORDER BY event_id DESC LIMIT %(most)s
), counted AS (
    SELECT width_bucket(extract(epoch FROM at), %(first)s::float8, %(last)s::float8, %(buckets)s::integer) - 1 AS bucket,
           event, detail,
           (SELECT sum(upper(r) - lower(r)) FROM unnest(tasks) AS r) AS tasks
    FROM newest WHERE at >= to_timestamp(%(first)s::float8) AND at < to_timestamp(%(last)s::float8)
)
SELECT bucket,
       coalesce(sum(tasks) FILTER (WHERE event = 'tasks_claimed'), 0)::bigint AS started,
       coalesce(sum(tasks) FILTER (WHERE event = 'tasks_completed'), 0)::bigint AS completed,
       coalesce(sum(tasks) FILTER (WHERE event = 'tasks_failed' OR (event = 'leases_lost' AND detail ->> 'now' = 'failed')), 0)::bigint AS failed,
       coalesce(sum(tasks) FILTER (WHERE event = 'tasks_cancelled'), 0)::bigint AS cancelled,
       coalesce(sum(tasks) FILTER (WHERE event = 'tasks_retried'), 0)::bigint AS retried,
       coalesce(sum(tasks) FILTER (WHERE event = 'tasks_deferred'), 0)::bigint AS deferred,
       coalesce(sum(tasks) FILTER (WHERE event = 'leases_lost'), 0)::bigint AS leases_lost,
       (coalesce(sum((detail ->> 'tasks')::bigint) FILTER (WHERE event = 'stage_planned'), 0)
        + coalesce(sum(tasks) FILTER (WHERE event = 'job_retried'), 0))::bigint AS planned,
       count(*) FILTER (WHERE event = 'job_failed') AS jobs_failed,
       count(*) FILTER (WHERE event IN ('job_completed', 'job_completed_with_errors')) AS jobs_completed
FROM counted GROUP BY bucket ORDER BY bucket

-- name: reach
-- Whether there are older events than were looked at, and when the oldest of those happened.
SELECT min(at) AS oldest, count(*) >= %(most)s AS cut
FROM (SELECT at FROM app.job_events ORDER BY event_id DESC LIMIT %(most)s) AS newest

-- name: unfinished
-- Tasks that wait or run now, from the counters of stages that are not over.
SELECT coalesce(sum(c.queued), 0)::bigint AS queued, coalesce(sum(c.processing), 0)::bigint AS processing
FROM app.jobs j JOIN app.stage_counters c ON c.job_id = j.job_id AND c.run = j.run
WHERE j.status IN ('queued', 'processing', 'cancelling')

-- name: clock
SELECT extract(epoch FROM clock_timestamp())::float8 AS now
