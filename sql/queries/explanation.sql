-- Why a job is where it is. Read-only, in one snapshot; what could be long is cut off.

-- name: snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: job
SELECT clock_timestamp() AS now, job_id, job_type, status, run, stage, total_stages, error, plan_attempts,
       plan_interruptions, plan_worker, plan_lease_until, queued_at, updated_at, completed_at
FROM app.jobs WHERE job_id = %(job_id)s

-- name: stage
SELECT p.stage_key, p.task_type, p.status, p.task_count, p.max_attempts, p.error, s.held_from, s.failing_at,
       p.queued, p.processing, p.completed, p.failed, p.cancelled
FROM app.stage_progress p JOIN app.stages s USING (job_id, run, stage)
WHERE p.job_id = %(job_id)s AND p.run = %(run)s AND p.stage = %(stage)s

-- name: running
SELECT count(*) AS tasks, count(DISTINCT worker) AS workers, count(*) FILTER (WHERE lease_until < now()) AS ended,
       min(lease_until) AS first_lease_until, max(lease_until) AS last_lease_until, min(started_at) AS longest_since
FROM app.tasks
WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s AND status = 'processing'

-- name: dispatches
WITH of_stage AS (
    SELECT *, CASE WHEN parked IS NOT NULL THEN 'parked' WHEN not_before > now() THEN 'later'
                   WHEN sent_at IS NULL THEN 'pending' ELSE 'sent' END AS state
    FROM app.outbox WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s
), grouped AS (
    SELECT state, parked, count(*) AS messages, coalesce(sum(last - first + 1), 0)::bigint AS tasks,
           min(coalesce(sent_at, created_at)) AS since, min(not_before) AS first_not_before,
           max(not_before) AS last_not_before, min(redeliver_at) AS redeliver_at, max(sends) AS sends,
           min(dispatch_id) AS dispatch_id
    FROM of_stage GROUP BY state, parked
)
SELECT state, parked, messages, tasks, since, first_not_before, last_not_before, redeliver_at, sends,
       -- No further than a person counts.
       (SELECT count(*) FROM (SELECT 1 FROM app.outbox o WHERE o.parked = g.parked AND o.dispatch_id < g.dispatch_id
                              LIMIT 10000) AS line) AS ahead
FROM grouped g ORDER BY state, parked

-- name: waiting
-- Tasks that are to be tried again later, by what ended their last attempt.
WITH later AS (
    SELECT first, last FROM app.outbox
    WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s AND queue = 'tasks' AND not_before > now()
    ORDER BY first LIMIT 10000
), tasks AS (
    SELECT t.task_index, t.attempt, t.due_at, t.attempts -> -1 AS last
    FROM later l CROSS JOIN LATERAL (
        SELECT * FROM app.tasks t
        WHERE t.job_id = %(job_id)s AND t.run = %(run)s AND t.stage = %(stage)s
          AND t.task_index BETWEEN l.first AND l.last AND t.status = 'queued' AND t.due_at > now()
        ORDER BY t.task_index LIMIT 10000
    ) t
    LIMIT 10000
)
SELECT coalesce(last ->> 'outcome', 'later') AS outcome, left(last ->> 'error', 300) AS error, count(*) AS tasks,
       max(attempt) AS attempt, min(due_at) AS first_due_at, max(due_at) AS last_due_at
FROM tasks GROUP BY 1, 2 ORDER BY count(*) DESC, 2 LIMIT 5

-- name: failures
-- Failed tasks of the run by what is the same in their errors, as job_views has it, with the first one's; of the first
-- ten thousand. Errors that are the same throughout are counted before.
WITH told AS (
    SELECT stage, left(error, 300) AS error, count(*) AS tasks, min(task_index) AS first_index
    FROM (SELECT stage, task_index, error FROM app.tasks
          WHERE job_id = %(job_id)s AND run = %(run)s AND status = 'failed' ORDER BY stage, task_index LIMIT 10000) AS t
    GROUP BY 1, 2
)
SELECT (array_agg(error ORDER BY first_index))[1] AS error, sum(tasks)::bigint AS tasks, stage,
       min(first_index) AS first_index
FROM told
GROUP BY stage, regexp_replace(error, '''[^'']*''|"[^"]*"|\S*/\S+|\d+', '…', 'g')
ORDER BY sum(tasks) DESC, stage, min(first_index) LIMIT 5

-- name: limit
SELECT %(limited_type)s AS limited_type, (SELECT at_most FROM app.concurrency_limits
                                          WHERE limited_type = %(limited_type)s) AS at_most,
       app.running_of(%(limited_type)s) AS running

-- name: poison
SELECT count(*) OVER () AS messages, poison_id, queue, left(reason, 300) AS reason, action, recorded_at
FROM app.poison_messages WHERE job_id = %(job_id)s AND coalesce(run, %(run)s) = %(run)s
ORDER BY poison_id DESC LIMIT 1

-- name: callbacks
-- Of the run: what is still to be told, and what was given up.
SELECT count(*) FILTER (WHERE delivered_at IS NULL AND dead_at IS NULL) AS pending,
       count(*) FILTER (WHERE dead_at IS NOT NULL) AS dead,
       min(due_at) FILTER (WHERE delivered_at IS NULL AND dead_at IS NULL) AS due_at,
       max(dead_at) AS dead_at, left((array_agg(last_error ORDER BY attempted_at DESC NULLS LAST)
                                      FILTER (WHERE delivered_at IS NULL))[1], 300) AS error
FROM app.callbacks WHERE job_id = %(job_id)s AND run = %(run)s

-- name: followers
-- What follows the run, or could not.
SELECT request ->> 'job_type' AS job_type, state, next_job_id, next_run, left(error, 300) AS error, due_at
FROM app.followers WHERE job_id = %(job_id)s AND run = %(run)s ORDER BY follower_id LIMIT 10

-- name: interrupted
-- Among the newest events only: an outage has an event an attempt, and a fan-out thousands.
SELECT event, at, detail
FROM (SELECT event, at, detail, stage, run FROM app.job_events
      WHERE job_id = %(job_id)s ORDER BY event_id DESC LIMIT 100) AS e
WHERE event = 'plan_interrupted' AND stage = %(stage)s AND run = %(run)s
ORDER BY at DESC LIMIT 1

-- name: last_event
SELECT event, at, detail FROM app.job_events WHERE job_id = %(job_id)s AND run = %(run)s
ORDER BY event_id DESC LIMIT 1
