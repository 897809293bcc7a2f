-- The eight invariants of the design: each view must be empty, whenever one looks.
-- Columns differ; `repositories` reads them as JSON rows.

-- 1. A live job whose current stage has no unfinished task, and no job message on its way, for more than 5 s.
--    A message that should have been sent again 30 s ago is on no way.
CREATE VIEW app.invariant_1_stalled_job AS
SELECT j.job_id, j.run, j.stage, j.status, j.updated_at
FROM app.jobs j
WHERE j.status IN ('queued', 'processing', 'cancelling')
  AND j.updated_at < now() - interval '5 seconds'
  AND NOT EXISTS (
      SELECT 1 FROM app.tasks t
      WHERE t.job_id = j.job_id AND t.run = j.run AND t.stage = j.stage AND t.status IN ('queued', 'processing'))
  AND NOT EXISTS (
      SELECT 1 FROM app.outbox o
      WHERE o.job_id = j.job_id AND o.run = j.run AND o.stage = j.stage AND o.queue = 'jobs'
        AND (o.sent_at IS NULL OR o.redeliver_at > now() - interval '30 seconds'))
  AND NOT coalesce(j.plan_lease_until > now(), false)
  -- The last tasks of the stage may have ended this instant: the far end of the stage tells.
  AND NOT EXISTS (
      SELECT 1 FROM app.tasks t
      WHERE t.job_id = j.job_id AND t.run = j.run AND t.stage = j.stage
        AND t.completed_at > now() - interval '5 seconds');

-- 2. A terminal job with a task of its run that is not terminal.
CREATE VIEW app.invariant_2_unfinished_task_of_terminal_job AS
SELECT t.job_id, t.run, t.stage, t.task_index, t.status, j.status AS job_status
FROM app.tasks t JOIN app.jobs j USING (job_id)
WHERE t.status IN ('queued', 'processing')
  AND (j.status NOT IN ('queued', 'processing', 'cancelling') OR t.run < j.run);

-- 3. A running task whose lease ended more than one reconcile period (15 s, and as much to act) ago.
CREATE VIEW app.invariant_3_ended_lease AS
SELECT t.job_id, t.run, t.stage, t.task_index, t.worker, t.lease_until
FROM app.tasks t
WHERE t.status = 'processing' AND t.lease_until < now() - interval '30 seconds';

-- 4. A due task that nothing will move: no message speaks for it, none pending and none sent that is not
--    overdue to be sent again; or it waits for a canary that has ended. Where its stage takes no more claims, it
--    should have been cancelled within a minute, or as long as a message goes on with that.
CREATE VIEW app.invariant_4_undispatched_task AS
SELECT t.job_id, t.run, t.stage, t.task_index, t.due_at
FROM app.tasks t
JOIN app.jobs j USING (job_id, run, stage)
JOIN app.stages s USING (job_id, run, stage)
CROSS JOIN LATERAL (
    SELECT EXISTS (
        SELECT 1 FROM app.outbox o
        WHERE o.job_id = t.job_id AND o.run = t.run AND o.stage = t.stage
          AND t.task_index BETWEEN o.first AND o.last
          AND (o.sent_at IS NULL OR o.redeliver_at > now() - interval '30 seconds')) AS spoken_for
) AS m
WHERE t.status = 'queued' AND t.due_at < now() - interval '30 seconds'
  AND CASE
      WHEN j.status = 'cancelling' THEN j.updated_at < now() - interval '60 seconds' AND NOT m.spoken_for
      WHEN s.status = 'failing' THEN s.failing_at < now() - interval '60 seconds' AND NOT m.spoken_for
      WHEN t.task_index >= s.held_from THEN NOT EXISTS (
          SELECT 1 FROM app.tasks c
          WHERE c.job_id = t.job_id AND c.run = t.run AND c.stage = t.stage AND c.task_index < s.held_from
            AND (c.status IN ('queued', 'processing') OR c.completed_at > now() - interval '30 seconds'))
      WHEN j.status = 'processing' AND s.status = 'processing' THEN NOT m.spoken_for
      ELSE false END;

-- 5. A stage whose number of tasks differs from what was planned. Of live stages and those that ended in
--    the last hour: what ended before does not change any more.
CREATE VIEW app.invariant_5_task_count AS
SELECT s.job_id, s.run, s.stage, s.task_count AS planned, present.n AS present
FROM app.stages s
CROSS JOIN LATERAL (
    SELECT count(*) AS n FROM app.tasks t WHERE t.job_id = s.job_id AND t.run = s.run AND t.stage = s.stage
) AS present
WHERE (s.status IN ('processing', 'failing') OR s.completed_at > now() - interval '1 hour')
  AND s.task_count <> present.n;

-- 6. A completed task without a result, a failed task without an error. (A CHECK constraint, seen from
--    outside.) Of the same stages.
CREATE VIEW app.invariant_6_missing_outcome AS
SELECT t.job_id, t.run, t.stage, t.task_index, t.status
FROM app.stages s
JOIN app.tasks t USING (job_id, run, stage)
WHERE (s.status IN ('processing', 'failing') OR s.completed_at > now() - interval '1 hour')
  AND ((t.status = 'completed' AND t.result IS NULL AND t.result_location IS NULL)
       OR (t.status = 'failed' AND t.error IS NULL));

-- 7. A job at stage s with a task of a later stage of the same run.
CREATE VIEW app.invariant_7_task_of_later_stage AS
SELECT t.job_id, t.run, t.stage, t.task_index, j.stage AS job_stage
FROM app.jobs j
JOIN app.tasks t ON t.job_id = j.job_id AND t.run = j.run AND t.stage > j.stage;

-- 8. A message in a poison queue with no row that explains it. A look into the queues refreshes the sightings.
--    The service shows 32 of a queue's messages; where there are more, one row stands for all the others. Their
--    trigger takes messages off the queue as it records them, so that even explained ones should not be so many.
CREATE VIEW app.invariant_8_unexplained_poison AS
SELECT s.queue, s.message_id, s.seen_at
FROM app.poison_queue_sightings s
LEFT JOIN app.poison_messages p USING (message_id)
WHERE p.message_id IS NULL
  -- Its trigger may be about to record it.
  AND s.seen_at < now() - interval '30 seconds';
