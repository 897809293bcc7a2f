-- Schedules and chains: who moves a tick, or a follower, on submits its job in the same transaction (ADR 0016).

-- Take a tick: whoever does so first, of a schedule that is still as it was read, and enabled. The caller submits the
-- job and records the tick in this transaction; it is the last of the ticks that are due, and those before are missed.
CREATE OR REPLACE FUNCTION app.take_tick(
    p_name text, p_created_at timestamptz, p_next_at timestamptz, p_following timestamptz
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    UPDATE app.schedules SET next_at = p_following, error = NULL, rests_until = NULL
    WHERE name = p_name AND created_at = p_created_at AND next_at = p_next_at AND enabled
      AND next_at <= now() AND p_following > next_at;
    RETURN FOUND;
END $$;

-- Follow a run, whose row the caller's transaction has locked or made, with another submission; where the run has ended
-- already, at once. Asked for again, what could not be submitted is tried again.
CREATE OR REPLACE FUNCTION app.add_follower(
    p_job_id text, p_run integer, p_digest text, p_request jsonb, p_depth integer
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.followers AS f (job_id, run, digest, request, depth, due_at)
    SELECT p_job_id, p_run, p_digest, p_request, p_depth,
           (SELECT completed_at FROM app.jobs WHERE job_id = p_job_id AND run = p_run)
    ON CONFLICT (job_id, run, digest) DO UPDATE
    SET state = 'waiting', error = NULL, settled_at = NULL, due_at = excluded.due_at
    WHERE f.state = 'failed'
$$;

-- A run has ended: what follows it is due. Where it had ended before and was retried, what had no reason to follow then
-- may have one now; what was submitted is not submitted again.
CREATE OR REPLACE FUNCTION app.wake_followers(p_job_id text, p_run integer, p_at timestamptz) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    UPDATE app.followers SET due_at = p_at, state = 'waiting', error = NULL, settled_at = NULL
    WHERE job_id = p_job_id AND run = p_run AND state <> 'submitted';
END $$;

-- Followers that are due, with the end that they follow. A null status: the run was retried since, or removed.
CREATE OR REPLACE FUNCTION app.due_followers(p_limit integer)
RETURNS TABLE (follower_id bigint, due_at timestamptz, job_id text, run integer, request jsonb, depth smallint,
               job_type text, parameters jsonb, status app.job_status, result jsonb, error text, correlation_id text,
               is_live boolean)
LANGUAGE sql STABLE AS $$
    SELECT f.follower_id, f.due_at, f.job_id, f.run, f.request, f.depth, j.job_type, j.parameters, e.status, e.result,
           e.error, e.correlation_id, j.run = f.run AND j.completed_at IS NULL
    FROM (SELECT * FROM app.followers WHERE due_at <= now() ORDER BY due_at, follower_id LIMIT p_limit) AS f
    -- One look-up for each, whatever the statistics say of a table just filled.
    LEFT JOIN LATERAL (SELECT * FROM app.jobs WHERE job_id = f.job_id OFFSET 0) AS j ON true
    LEFT JOIN LATERAL (
        SELECT c.status, c.result, c.error, c.correlation_id FROM app.jobs c
        WHERE c.job_id = f.job_id AND c.run = f.run AND c.completed_at = f.due_at
        UNION ALL
        SELECT p.status, p.result, p.error, p.correlation_id FROM app.past_runs p
        WHERE p.job_id = f.job_id AND p.run = f.run AND p.completed_at = f.due_at AND p.removed_at IS NULL
    ) AS e ON true
    ORDER BY f.due_at, f.follower_id
$$;

-- Settle a follower, if it is still to follow that end: nobody else submits its job then. `waiting`: its run was
-- retried, and its next end is waited for. Where it is submitted, the caller does so in this transaction.
CREATE OR REPLACE FUNCTION app.settle_follower(
    p_follower_id bigint, p_due_at timestamptz, p_state text, p_next_job_id text, p_error text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE f app.followers;
BEGIN
    -- The rows of jobs before those of followers, as whoever ends a run has them: else a chain that leads back to a job
    -- waits for the end of its run, which waits for it. A job that is not there yet has nobody who ends it.
    IF p_state = 'submitted' THEN
        PERFORM 1 FROM app.jobs WHERE job_id = p_next_job_id FOR UPDATE;
    END IF;
    UPDATE app.followers
    SET state = p_state, due_at = NULL, error = p_error, next_job_id = p_next_job_id,
        settled_at = CASE WHEN p_state <> 'waiting' THEN now() END
    WHERE follower_id = p_follower_id AND due_at = p_due_at
    RETURNING * INTO f;
    IF FOUND AND p_state <> 'waiting' AND EXISTS (SELECT 1 FROM app.jobs WHERE job_id = f.job_id) THEN
        PERFORM app.record_event(f.job_id, f.run, NULL, 'follower_' || p_state, jsonb_strip_nulls(jsonb_build_object(
            'job_type', f.request -> 'job_type', 'job_id', p_next_job_id, 'error', p_error)));
    END IF;
    RETURN f.follower_id IS NOT NULL;
END $$;

-- Delete ticks that were fired before a time, but of each schedule the last one. Answers how many.
CREATE OR REPLACE FUNCTION app.sweep_ticks(p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    -- The rows are locked, so they stay where they are.
    DELETE FROM app.schedule_ticks WHERE ctid = ANY (ARRAY(
        SELECT t.ctid FROM app.schedule_ticks t
        WHERE t.fired_at < p_before
          AND t.tick_at < (SELECT max(l.tick_at) FROM app.schedule_ticks l WHERE l.name = t.name)
        ORDER BY t.fired_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
