-- Subscribers and callbacks (sql/functions/18_callbacks.sql).

-- name: subscribe_run
SELECT new FROM app.subscribe_run(%(job_id)s, %(run)s, %(url)s, %(events)s::text[]) AS new
WHERE CASE WHEN new THEN app.audit(%(caller)s::jsonb, 'callback_asked', '{}', %(job_id)s, %(run)s) ELSE true END

-- name: subscribe
WITH made AS (
    INSERT INTO app.subscriptions (job_type, url, events, secret)
    VALUES (%(job_type)s, %(url)s, %(events)s::text[], %(secret)s)
    RETURNING subscription_id, job_type, url, events, created_at
)
SELECT * FROM made
WHERE app.audit(%(caller)s::jsonb, 'subscription_created',
                jsonb_build_object('subscription_id', subscription_id, 'job_type', job_type))

-- name: subscriptions
SELECT subscription_id, job_type, url, events, created_at FROM app.subscriptions ORDER BY created_at, subscription_id

-- name: unsubscribe
SELECT found FROM app.unsubscribe(%(subscription_id)s) AS found
WHERE CASE WHEN found THEN app.audit(%(caller)s::jsonb, 'subscription_deleted',
                                     jsonb_build_object('subscription_id', %(subscription_id)s::text)) ELSE true END

-- name: take_callbacks
SELECT callback_id, fence, event_id, event_type, job_id, data, occurred_at, url, host, attempts, secret
FROM app.take_callbacks(%(busy)s::text[], %(per_host)s, %(limit)s, %(hold)s, %(max_attempts)s)

-- name: settle_callback
SELECT app.settle_callback(%(callback_id)s, %(fence)s, %(outcome)s, %(status)s::integer, %(error)s, %(delay)s) AS settled

-- name: resend_callback
SELECT found FROM app.resend_callback(%(callback_id)s) AS found
WHERE CASE WHEN found THEN app.audit(%(caller)s::jsonb, 'callback_resent',
                                     jsonb_build_object('callback_id', %(callback_id)s::bigint)) ELSE true END

-- name: resend_dead
SELECT resent, more FROM app.resend_dead(%(job_id)s, %(subscription_id)s, %(host)s, %(limit)s)
WHERE CASE WHEN resent > 0 THEN app.audit(%(caller)s::jsonb, 'callbacks_resent', jsonb_build_object(
    'resent', resent, 'job_id', %(job_id)s::text, 'subscription_id', %(subscription_id)s::uuid,
    'host', %(host)s::text)) ELSE true END

-- name: callbacks
-- The newest first. Each filter has its index: of those given up, and of a job's.
SELECT callback_id, event_id, event_type, job_id, run, data, subscription_id, url,
       CASE WHEN delivered_at IS NOT NULL THEN 'delivered' WHEN dead_at IS NOT NULL THEN 'dead' ELSE 'pending' END AS state,
       attempts, last_status, last_error, due_at, attempted_at, occurred_at, delivered_at, dead_at
FROM app.callbacks
WHERE (%(before)s::bigint IS NULL OR callback_id < %(before)s::bigint)
  AND (%(job_id)s::text IS NULL OR job_id = %(job_id)s::text)
  AND (%(state)s::text IS NULL
       OR (%(state)s::text = 'dead' AND dead_at IS NOT NULL)
       OR (%(state)s::text = 'delivered' AND delivered_at IS NOT NULL)
       OR (%(state)s::text = 'pending' AND delivered_at IS NULL AND dead_at IS NULL))
ORDER BY callback_id DESC LIMIT %(limit)s
