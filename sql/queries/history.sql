-- What each minute was like, for charts that reach back further than a look does. One row a minute, kept for a week.

-- name: take_sample
-- Whoever comes first in a minute writes its row. What is old goes a page at a time: as much again as a day adds.
-- Of the outbox the first 10,000 messages are looked at, of live stages the first 10,000, as /api/metrics does.
WITH outbox AS (
    SELECT count(*) AS messages,
           coalesce(extract(epoch FROM now() - min(not_before) FILTER (WHERE not_before <= now())), 0)::float8 AS oldest
    FROM (SELECT not_before FROM app.outbox
          WHERE sent_at IS NULL AND parked IS NULL ORDER BY dispatch_id LIMIT 10000) AS pending
), tasks AS (
    SELECT coalesce(sum(c.queued), 0)::bigint AS queued, coalesce(sum(c.processing), 0)::bigint AS processing
    FROM (SELECT job_id, run, stage FROM app.stages WHERE status IN ('processing', 'failing') LIMIT 10000) AS s
    JOIN app.stage_counters c USING (job_id, run, stage)
), totals AS (
    SELECT signal, jsonb_object_agg(outcome, n) AS by_outcome
    FROM (SELECT signal, outcome, sum(n) AS n FROM app.totals
          WHERE signal IN ('attempts', 'jobs') GROUP BY signal, outcome) AS t
    GROUP BY signal
), old AS (
    DELETE FROM app.samples WHERE at IN (
        SELECT at FROM app.samples WHERE at < now() - %(kept)s::interval ORDER BY at LIMIT 1440)
)
INSERT INTO app.samples (
    at, jobs_messages, jobs_oldest_seconds, jobs_poison, tasks_messages, tasks_oldest_seconds, tasks_poison,
    outbox_messages, outbox_oldest_seconds, tasks_queued, tasks_processing, attempts, jobs)
SELECT date_trunc('minute', now()), %(jobs_messages)s::integer, %(jobs_oldest_seconds)s::float8,
       %(jobs_poison)s::integer, %(tasks_messages)s::integer, %(tasks_oldest_seconds)s::float8,
       %(tasks_poison)s::integer, outbox.messages, outbox.oldest, tasks.queued, tasks.processing,
       coalesce((SELECT by_outcome FROM totals WHERE signal = 'attempts'), '{}'),
       coalesce((SELECT by_outcome FROM totals WHERE signal = 'jobs'), '{}')
FROM outbox, tasks
ON CONFLICT (at) DO NOTHING
RETURNING at

-- name: history
-- Buckets of time from `first` to `last`, the oldest first: of what was looked at the most in each, of what was counted
-- how much it grew. Buckets without a sample are left out. Totals that begin anew have not grown.
WITH samples AS (
    SELECT * FROM app.samples
    -- The last one before the span tells what the first one within it grew by.
    WHERE at >= to_timestamp(%(first)s::float8) - interval '1 hour' AND at < to_timestamp(%(last)s::float8)
), grown AS (
    SELECT s.*,
           extract(epoch FROM at)::float8 AS seconds,
           lag(attempts) OVER w AS attempts_before, lag(jobs) OVER w AS jobs_before
    FROM samples s WINDOW w AS (ORDER BY at)
)
SELECT floor((seconds - %(first)s::float8) / %(width)s)::integer AS bucket,
       max(jobs_messages) AS jobs_messages, max(jobs_oldest_seconds) AS jobs_oldest_seconds,
       max(tasks_messages) AS tasks_messages, max(tasks_oldest_seconds) AS tasks_oldest_seconds,
       max(jobs_poison + tasks_poison) AS poison_messages,
       max(outbox_messages) AS outbox_messages, max(outbox_oldest_seconds) AS outbox_oldest_seconds,
       max(tasks_queued) AS queued, max(tasks_processing) AS processing,
       max(tasks_queued + tasks_processing) AS unfinished,
       sum(app.growth(attempts_before, attempts, 'completed'))::bigint AS completed,
       sum(app.growth(attempts_before, attempts, 'failed'))::bigint AS failed,
       sum(app.growth(attempts_before, attempts, 'cancelled'))::bigint AS cancelled,
       sum(app.growth(attempts_before, attempts, 'retry'))::bigint AS retried,
       sum(app.growth(attempts_before, attempts, 'deferred'))::bigint AS deferred,
       sum(app.growth(attempts_before, attempts, 'lease_lost'))::bigint AS leases_lost,
       sum(app.growth(jobs_before, jobs, 'completed')
           + app.growth(jobs_before, jobs, 'completed_with_errors'))::bigint AS jobs_completed,
       sum(app.growth(jobs_before, jobs, 'failed'))::bigint AS jobs_failed
FROM grown WHERE seconds >= %(first)s::float8
GROUP BY bucket ORDER BY bucket
