-- A stage with its progress, from the counters.
CREATE VIEW app.stage_progress AS
SELECT s.job_id, s.run, s.stage, s.stage_key, s.task_type, s.status, s.task_count, s.batch_size,
       s.on_failure, s.max_failed_fraction, s.max_attempts, s.error, s.result, s.created_at, s.completed_at,
       coalesce(c.queued, 0) AS queued, coalesce(c.processing, 0) AS processing,
       coalesce(c.completed, 0) AS completed, coalesce(c.failed, 0) AS failed, coalesce(c.cancelled, 0) AS cancelled
FROM app.stages s
LEFT JOIN LATERAL (
    SELECT sum(queued) AS queued, sum(processing) AS processing, sum(completed) AS completed,
           sum(failed) AS failed, sum(cancelled) AS cancelled
    FROM app.stage_counters n WHERE n.job_id = s.job_id AND n.run = s.run AND n.stage = s.stage
) c ON true;
