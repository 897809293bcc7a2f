-- What /api/metrics and the exporters tell of all processes (docs/signals.md). Read-only. What is read grows with what
-- is live at most, and is cut off where that could be much: never with what has ended.

-- name: snapshot
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY

-- name: bounds
SELECT app.duration_bounds() AS bounds

-- name: totals
SELECT signal, kind, outcome, n, seconds, buckets, extract(epoch FROM at)::float8 AS at FROM app.totals

-- name: jobs
-- Live jobs by type and state, and for how long the first of each has been so at least; the first 100,000.
SELECT job_type, status, count(*) AS jobs, extract(epoch FROM now() - min(queued_at))::float8 AS oldest_seconds
FROM (SELECT job_type, status, queued_at FROM app.jobs
      WHERE status IN ('queued', 'processing', 'cancelling') LIMIT 100000) AS live
GROUP BY job_type, status

-- name: tasks
-- Tasks of live stages by type, from the counters; of the first 10,000 stages.
SELECT s.task_type, coalesce(sum(c.queued), 0)::bigint AS queued, coalesce(sum(c.processing), 0)::bigint AS processing
FROM (SELECT job_id, run, stage, task_type FROM app.stages WHERE status IN ('processing', 'failing') LIMIT 10000) AS s
JOIN app.stage_counters c USING (job_id, run, stage)
GROUP BY s.task_type

-- name: outbox
-- Messages to be sent, by queue; the first 10,000.
SELECT queue, count(*) AS messages,
       extract(epoch FROM now() - min(not_before) FILTER (WHERE not_before <= now()))::float8 AS oldest_seconds
FROM (SELECT queue, not_before FROM app.outbox
      WHERE sent_at IS NULL AND parked IS NULL ORDER BY dispatch_id LIMIT 10000) AS pending
GROUP BY queue

-- name: parked
-- Messages that a limit holds back, by what is limited; the first 10,000.
SELECT parked, count(*) AS messages
FROM (SELECT parked FROM app.outbox WHERE parked IS NOT NULL ORDER BY parked, dispatch_id LIMIT 10000) AS held
GROUP BY parked

-- name: callbacks
-- Those that wait, by index and host, and those that were given up: up to 10,000 of each.
SELECT 'pending' AS state, count(*) AS n, extract(epoch FROM now() - min(occurred_at))::float8 AS oldest_seconds
FROM (SELECT occurred_at FROM app.callbacks
      WHERE delivered_at IS NULL AND dead_at IS NULL ORDER BY host, due_at LIMIT 10000) AS waiting
UNION ALL
SELECT 'dead', count(*), NULL
FROM (SELECT 1 FROM app.callbacks WHERE dead_at IS NOT NULL ORDER BY callback_id LIMIT 10000) AS dead

-- name: stuck
-- What the timers should have moved more than half a minute ago, and schedules that cannot tick; up to 10,000 of each.
SELECT 'task_lease_ended' AS reason, count(*) AS n
FROM (SELECT 1 FROM app.tasks
      WHERE status = 'processing' AND lease_until < now() - interval '30 seconds' LIMIT 10000) AS t
UNION ALL
SELECT 'plan_lease_ended', count(*)
FROM (SELECT 1 FROM app.jobs
      WHERE status IN ('queued', 'processing', 'cancelling') AND plan_lease_until < now() - interval '30 seconds'
      LIMIT 10000) AS j
UNION ALL
SELECT 'message_overdue', count(*)
FROM (SELECT 1 FROM app.outbox
      WHERE sent_at IS NOT NULL AND redeliver_at < now() - interval '30 seconds' LIMIT 10000) AS o
UNION ALL
SELECT 'schedule_unreadable', count(*)
FROM (SELECT 1 FROM app.schedules
      WHERE enabled AND next_at < now() - interval '30 seconds' AND error IS NOT NULL LIMIT 10000) AS s
