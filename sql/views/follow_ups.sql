-- The invariants of docs/adr/0016, about what follows a job: each view must be empty, as those of the design.

-- 9. A run that ended in the last hour, with a subscriber to whom its end is not told. Both are one transaction. Of
--    subscriptions that were made at the same time, nobody can tell which came first.
CREATE VIEW app.invariant_9_untold_end AS
SELECT j.job_id, j.run, j.status, j.completed_at, s.subscription_id, s.url
FROM app.jobs j
CROSS JOIN LATERAL (
    SELECT NULL::uuid AS subscription_id, r.url, r.events FROM app.run_subscribers r
    WHERE r.job_id = j.job_id AND r.run = j.run
    UNION ALL
    SELECT t.subscription_id, t.url, t.events FROM app.subscriptions t
    WHERE (t.job_type = j.job_type OR t.job_type IS NULL) AND t.created_at < j.completed_at - interval '5 seconds'
) AS s
WHERE j.completed_at > now() - interval '1 hour'
  AND CASE j.status WHEN 'completed_with_errors' THEN 'completed' ELSE j.status::text END = ANY (s.events)
  AND NOT EXISTS (
      SELECT 1 FROM app.callbacks c
      WHERE c.job_id = j.job_id AND c.run = j.run AND c.event_id = app.event_id(j.job_id, j.run, NULL, j.completed_at)
        AND c.url = s.url AND c.subscription_id IS NOT DISTINCT FROM s.subscription_id);

-- 10. A callback that was due an hour ago and is held by nobody, although no other that waits was sent to its host for
--     ten minutes. Where its host is slow, it may wait so long for its turn.
CREATE VIEW app.invariant_10_neglected_callback AS
SELECT c.callback_id, c.job_id, c.run, c.url, c.due_at
FROM app.callbacks c
WHERE c.delivered_at IS NULL AND c.dead_at IS NULL AND c.due_at < now() - interval '1 hour'
  AND (c.taken_until IS NULL OR c.taken_until < now() - interval '10 minutes')
  AND NOT EXISTS (
      SELECT 1 FROM app.callbacks o
      WHERE o.host = c.host AND o.delivered_at IS NULL AND o.dead_at IS NULL
        AND o.attempted_at > now() - interval '10 minutes');

-- 11. A schedule whose tick came five minutes ago and was not fired, and that can be read.
CREATE VIEW app.invariant_11_overdue_schedule AS
SELECT s.name, s.job_type, s.next_at
FROM app.schedules s WHERE s.enabled AND s.next_at < now() - interval '5 minutes' AND s.error IS NULL;

-- 12. What follows a run that ended five minutes ago, and was not submitted, skipped or found impossible.
CREATE VIEW app.invariant_12_forgotten_follower AS
SELECT f.follower_id, f.job_id, f.run, f.request ->> 'job_type' AS next_job_type, f.due_at
FROM app.followers f
LEFT JOIN app.jobs j USING (job_id)
WHERE f.state = 'waiting'
  AND CASE WHEN f.due_at IS NOT NULL THEN f.due_at < now() - interval '5 minutes'
           ELSE j.run IS DISTINCT FROM f.run OR j.completed_at < now() - interval '5 minutes' END;
