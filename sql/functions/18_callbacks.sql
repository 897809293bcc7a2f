-- Callbacks: what subscribers are to be told is written with what happened, and sent by whoever comes (ADR 0016).

-- Names an event by what it is about and when it happened, so that whoever tells of it later finds the same name.
CREATE OR REPLACE FUNCTION app.event_id(p_job_id text, p_run integer, p_stage integer, p_at timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT left(encode(sha256(convert_to(
        concat_ws('/', p_job_id, p_run, coalesce(p_stage, 0), (extract(epoch FROM p_at) * 1000000)::bigint),
        'UTF8')), 'hex'), 32)::uuid::text
$$;

-- Write an event down for each of its subscribers, or for one of the run's. The caller holds the job's row, so that
-- nobody subscribes to the run at the same time. In plpgsql, which keeps the plan: every end of a stage calls it.
CREATE OR REPLACE FUNCTION app.tell(
    p_job_id text, p_run integer, p_stage integer, p_job_type text, p_kind text, p_event_type text, p_at timestamptz,
    p_detail jsonb, p_only_url text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.callbacks (event_id, event_type, job_id, run, data, occurred_at, subscription_id, url)
    SELECT app.event_id(p_job_id, p_run, p_stage, p_at), p_event_type, p_job_id, p_run,
           jsonb_build_object('job_id', p_job_id, 'job_type', p_job_type, 'run', p_run) || p_detail, p_at,
           s.subscription_id, s.url
    FROM (
        SELECT NULL::uuid AS subscription_id, url, events FROM app.run_subscribers
        WHERE job_id = p_job_id AND run = p_run AND (p_only_url IS NULL OR url = p_only_url)
        UNION ALL
        SELECT subscription_id, url, events FROM app.subscriptions
        WHERE (job_type = p_job_type OR job_type IS NULL) AND p_only_url IS NULL
    ) AS s
    WHERE p_kind = ANY (s.events);
END $$;

-- The same for the end of a run.
CREATE OR REPLACE FUNCTION app.tell_end(
    p_job_id text, p_run integer, p_job_type text, p_status app.job_status, p_error text, p_at timestamptz,
    p_only_url text DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app.tell(p_job_id, p_run, NULL, p_job_type,
        CASE p_status WHEN 'completed_with_errors' THEN 'completed' ELSE p_status::text END,
        'job.' || p_status, p_at, jsonb_build_object('status', p_status, 'error', p_error), p_only_url);
END $$;

-- Add a subscriber to a job's run, whose row the caller's transaction has locked or made; where the run has ended
-- already, its end is told at once. Answers whether the subscriber is new.
CREATE OR REPLACE FUNCTION app.subscribe_run(p_job_id text, p_run integer, p_url text, p_events text[]) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    -- Whoever asks for more events than before at the same URL is told of those too.
    INSERT INTO app.run_subscribers AS s (job_id, run, url, events) VALUES (p_job_id, p_run, p_url, p_events)
    ON CONFLICT (job_id, run, url) DO UPDATE
    SET events = ARRAY(SELECT DISTINCT e FROM unnest(s.events || excluded.events) AS e)
    WHERE NOT s.events @> excluded.events;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM app.tell_end(j.job_id, j.run, j.job_type, j.status, j.error, j.completed_at, p_url)
    FROM app.jobs j
    WHERE j.job_id = p_job_id AND j.run = p_run AND j.completed_at IS NOT NULL
      AND NOT EXISTS (
          SELECT 1 FROM app.callbacks c
          WHERE c.job_id = p_job_id AND c.run = p_run AND c.url = p_url AND c.subscription_id IS NULL
            AND c.event_id = app.event_id(p_job_id, p_run, NULL, j.completed_at));
    RETURN true;
END $$;

-- Take callbacks that are due for `p_hold`: of each host at most `p_per_host`, of hosts in `p_busy` none, however many
-- wait there. The attempt counts from here, lest one that kills its sender is sent for ever: with `p_max_attempts`
-- behind it, it is given up. What is meant for a subscription that is gone goes too.
CREATE OR REPLACE FUNCTION app.take_callbacks(
    p_busy text[], p_per_host integer, p_limit integer, p_hold interval, p_max_attempts integer
) RETURNS TABLE (callback_id bigint, fence bigint, event_id text, event_type text, job_id text, data jsonb,
                 occurred_at timestamptz, url text, host text, attempts smallint, secret text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE hosts AS (
        -- A step from one host to the next, however many callbacks wait for each.
        (SELECT c.host FROM app.callbacks c WHERE c.delivered_at IS NULL AND c.dead_at IS NULL ORDER BY c.host LIMIT 1)
        UNION ALL
        SELECT (SELECT c.host FROM app.callbacks c
                WHERE c.delivered_at IS NULL AND c.dead_at IS NULL AND c.host > h.host ORDER BY c.host LIMIT 1)
        FROM hosts h WHERE h.host IS NOT NULL
    ), due AS (
        SELECT d.* FROM hosts h CROSS JOIN LATERAL (
            SELECT c.callback_id, c.due_at FROM app.callbacks c
            WHERE c.host = h.host AND c.delivered_at IS NULL AND c.dead_at IS NULL AND c.due_at <= now()
              AND (c.taken_until IS NULL OR c.taken_until < now())
            ORDER BY c.due_at LIMIT p_per_host
            FOR UPDATE SKIP LOCKED
        ) AS d
        WHERE h.host <> ALL (p_busy)
    ), picked AS MATERIALIZED (
        SELECT c.callback_id,
               c.subscription_id IS NOT NULL AND s.subscription_id IS NULL AS orphaned,
               c.attempts >= p_max_attempts AS spent
        FROM (SELECT due.callback_id FROM due ORDER BY due.due_at LIMIT p_limit) AS first
        JOIN app.callbacks c USING (callback_id)
        LEFT JOIN app.subscriptions s USING (subscription_id)
    ), removed AS (
        DELETE FROM app.callbacks c USING picked p WHERE c.callback_id = p.callback_id AND p.orphaned
    ), given_up AS (
        UPDATE app.callbacks c
        SET dead_at = now(), taken_until = NULL, fence = NULL,
            last_error = coalesce(c.last_error, 'its senders died, or could not say what became of it')
        FROM picked p WHERE c.callback_id = p.callback_id AND p.spent AND NOT p.orphaned
        RETURNING 1
    ), counted AS MATERIALIZED (
        SELECT CASE WHEN count(*) > 0
                    THEN app.add_totals('callbacks', ARRAY[''], ARRAY['dead'], ARRAY[count(*)], NULL) END AS totals
        FROM given_up
    ), taken AS (
        UPDATE app.callbacks c
        SET taken_until = now() + p_hold, fence = (random() * 9e18)::bigint, attempts = c.attempts + 1,
            attempted_at = now()
        FROM picked p WHERE c.callback_id = p.callback_id AND NOT p.spent AND NOT p.orphaned
        RETURNING c.*
    )
    SELECT t.callback_id, t.fence, t.event_id, t.event_type, t.job_id, t.data, t.occurred_at, t.url, t.host, t.attempts,
           s.secret
    FROM counted CROSS JOIN taken t LEFT JOIN app.subscriptions s USING (subscription_id)
    ORDER BY t.due_at;
END $$;

-- Note what became of an attempt, if its sender still holds the callback: `delivered`, `dead`, or `retry` after a delay
-- in seconds.
CREATE OR REPLACE FUNCTION app.settle_callback(
    p_callback_id bigint, p_fence bigint, p_outcome text, p_status integer, p_error text, p_delay double precision
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE app.callbacks
    SET taken_until = NULL, fence = NULL, last_status = p_status, last_error = p_error,
        delivered_at = CASE p_outcome WHEN 'delivered' THEN now() END,
        dead_at = CASE p_outcome WHEN 'dead' THEN now() END,
        due_at = CASE p_outcome WHEN 'retry' THEN now() + make_interval(secs => p_delay) ELSE due_at END
    WHERE callback_id = p_callback_id AND fence = p_fence;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM app.add_totals('callbacks', ARRAY[''], ARRAY[p_outcome], ARRAY[1], NULL);
    RETURN true;
END $$;

-- Send a callback again, whatever became of it, with all its attempts before it. False: there is none of this id.
CREATE OR REPLACE FUNCTION app.resend_callback(p_callback_id bigint) RETURNS boolean
LANGUAGE sql AS $$
    WITH again AS (
        UPDATE app.callbacks
        SET due_at = now(), attempts = 0, delivered_at = NULL, dead_at = NULL, taken_until = NULL, fence = NULL
        WHERE callback_id = p_callback_id
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM again)
$$;

-- Send again what was given up, the oldest first, with all its attempts before it; null: whatever it is. Answers how many
-- there were, and whether there are more.
CREATE OR REPLACE FUNCTION app.resend_dead(p_job_id text, p_subscription_id uuid, p_host text, p_limit integer)
RETURNS TABLE (resent integer, more boolean) LANGUAGE plpgsql AS $$
BEGIN
    WITH dead AS MATERIALIZED (
        SELECT c.callback_id, row_number() OVER (ORDER BY c.callback_id) AS place FROM (
            SELECT callback_id FROM app.callbacks
            WHERE dead_at IS NOT NULL
              AND (p_job_id IS NULL OR job_id = p_job_id)
              AND (p_subscription_id IS NULL OR subscription_id = p_subscription_id)
              AND (p_host IS NULL OR host = p_host)
            ORDER BY callback_id LIMIT p_limit + 1
            FOR UPDATE SKIP LOCKED) AS c
    ), again AS (
        UPDATE app.callbacks c
        SET due_at = now(), attempts = 0, dead_at = NULL, taken_until = NULL, fence = NULL
        FROM dead d WHERE c.callback_id = d.callback_id AND d.place <= p_limit
        RETURNING 1
    )
    SELECT (SELECT count(*) FROM again), count(*) > p_limit INTO resent, more FROM dead;
    RETURN NEXT;
END $$;

-- Forget a subscription, with what still waits for it or was given up. False: there is none of this id.
CREATE OR REPLACE FUNCTION app.unsubscribe(p_subscription_id uuid) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM app.subscriptions WHERE subscription_id = p_subscription_id;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    DELETE FROM app.callbacks WHERE subscription_id = p_subscription_id AND delivered_at IS NULL;
    RETURN true;
END $$;

-- Delete callbacks that were delivered or given up before a time. Answers how many.
CREATE OR REPLACE FUNCTION app.sweep_callbacks(p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    DELETE FROM app.callbacks WHERE callback_id = ANY (ARRAY(
        SELECT c.callback_id FROM app.callbacks c
        WHERE coalesce(c.delivered_at, c.dead_at) IS NOT NULL AND coalesce(c.delivered_at, c.dead_at) < p_before
        ORDER BY coalesce(c.delivered_at, c.dead_at) LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
