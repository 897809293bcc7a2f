-- The outbox: take what is to be sent, note what was sent. A sender that dies loses its hold by time.

-- Take up to `p_limit` pending dispatches, of one job or of all, for `p_hold`.
CREATE OR REPLACE FUNCTION app.take_dispatches(p_job_id text, p_limit integer, p_hold interval)
RETURNS TABLE (dispatch_id bigint, queue text, job_id text, run integer, stage smallint, first integer, last integer,
               delay_seconds integer, correlation_id text)
LANGUAGE sql AS $$
    -- A hold or a mark that a crash of the server forgets repeats a message, which changes nothing: neither
    -- need wait for the disk.
    SELECT set_config('synchronous_commit', 'off', true);
    -- Each by its own index: one condition for both would walk through what waits of other jobs. So would an
    -- equality, from which the planner sees that the order by dispatch_id is the same.
    WITH of_one_job AS (
        SELECT o.dispatch_id FROM app.outbox o
        WHERE o.sent_at IS NULL AND o.parked IS NULL AND (o.taken_until IS NULL OR o.taken_until < now())
          AND o.job_id BETWEEN p_job_id AND p_job_id
        ORDER BY o.job_id, o.dispatch_id LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ), of_all_jobs AS (
        SELECT o.dispatch_id FROM app.outbox o
        WHERE o.sent_at IS NULL AND o.parked IS NULL AND (o.taken_until IS NULL OR o.taken_until < now())
          AND p_job_id IS NULL
        ORDER BY o.dispatch_id LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ), picked AS (
        SELECT dispatch_id FROM of_one_job UNION ALL SELECT dispatch_id FROM of_all_jobs
    ), taken AS (
        UPDATE app.outbox o SET taken_until = now() + p_hold FROM picked
        WHERE o.dispatch_id = picked.dispatch_id
        RETURNING o.*
    )
    SELECT t.dispatch_id, t.queue, t.job_id, t.run, t.stage, t.first, t.last,
           -- Seven days is the longest a storage queue hides a message.
           least(greatest(ceil(extract(epoch FROM t.not_before - now())), 0), 604800)::integer,
           coalesce(j.correlation_id, '')
    FROM taken t LEFT JOIN app.jobs j ON j.job_id = t.job_id
    ORDER BY t.dispatch_id
$$;

-- Note what was sent, and when to look again: later each time, so that a long backlog is not multiplied.
CREATE OR REPLACE FUNCTION app.mark_sent(p_dispatch_ids bigint[], p_redelivery interval, p_longest interval)
RETURNS void LANGUAGE sql AS $$
    SELECT set_config('synchronous_commit', 'off', true);
    UPDATE app.outbox
    SET sent_at = clock_timestamp(), taken_until = NULL, sends = least(sends + 1, 32767),
        redeliver_at = greatest(clock_timestamp(), not_before)
                       + least(p_redelivery * power(2, least(sends, 20)), p_longest)
    -- What was sent may have arrived, been found without room, parked, and let go again before it is marked
    -- here: then it is nobody's any more, and waits for its next sender.
    WHERE dispatch_id = ANY (p_dispatch_ids) AND taken_until IS NOT NULL
$$;

-- Let go of what could not be sent; the relay tries again.
CREATE OR REPLACE FUNCTION app.release_dispatches(p_dispatch_ids bigint[]) RETURNS void
LANGUAGE sql AS $$
    UPDATE app.outbox SET taken_until = NULL WHERE dispatch_id = ANY (p_dispatch_ids) AND sent_at IS NULL
$$;
