-- Attempts: the history of a task's, and those that do not count because what they needed failed.

-- The history with one more attempt that did not complete. Attempts that were put off one after the other
-- are one entry: `times` of them, from the first's start to the last's end, `seconds` long in all. The
-- newest 50 entries are kept, so that a day of outage does not make a row grow.
CREATE OR REPLACE FUNCTION app.with_attempt(
    p_attempts jsonb, p_attempt integer, p_outcome text, p_error text, p_worker text, p_started_at timestamptz
) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    v_kept jsonb := coalesce(p_attempts, '[]');
    v_last jsonb := v_kept -> -1;
    v_seconds numeric := round(extract(epoch FROM clock_timestamp() - p_started_at), 3);
    v_entry jsonb := jsonb_build_object(
        'attempt', p_attempt, 'outcome', p_outcome, 'error', p_error, 'worker', p_worker,
        'started_at', p_started_at, 'ended_at', clock_timestamp(), 'seconds', v_seconds);
BEGIN
    IF p_outcome = 'deferred' THEN
        v_entry := v_entry || '{"times": 1}';
        IF v_last ->> 'outcome' = 'deferred' THEN
            v_entry := v_entry || jsonb_build_object(
                'times', (v_last ->> 'times')::integer + 1, 'started_at', v_last -> 'started_at',
                'seconds', (v_last ->> 'seconds')::numeric + v_seconds);
            v_kept := v_kept - -1;
        END IF;
    END IF;
    IF jsonb_array_length(v_kept) >= 50 THEN
        v_kept := v_kept - 0;
    END IF;
    RETURN v_kept || v_entry;
END $$;

-- Messages for tasks that this transaction put off: one for each range of neighbours that are due together.
-- The message that brought them is forgotten, or each time they are put off would add one to be repeated.
CREATE OR REPLACE FUNCTION app.dispatch_deferred(p_job_id text, p_run integer, p_stage integer, p_indexes integer[])
RETURNS void LANGUAGE sql AS $$
    WITH numbered AS (
        SELECT t.task_index, t.due_at,
               t.task_index - row_number() OVER (PARTITION BY t.due_at ORDER BY t.task_index) AS island
        FROM unnest(p_indexes) AS i (task_index)
        CROSS JOIN LATERAL (
            SELECT task_index, due_at FROM app.tasks
            WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index = i.task_index
            OFFSET 0
        ) AS t
    ), ranges AS MATERIALIZED (
        SELECT min(task_index) AS first, max(task_index) AS last, due_at FROM numbered GROUP BY due_at, island
    ), superseded AS (
        -- Of the ranges as a whole, whatever their due times; a sender may hold one, which then stays.
        SELECT o.dispatch_id
        FROM (SELECT min(first) AS first, max(last) AS last FROM ranges) AS span
        CROSS JOIN LATERAL (
            SELECT dispatch_id, first, last FROM app.outbox
            WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = 'tasks'
              AND first BETWEEN span.first AND span.last AND last <= span.last AND sent_at IS NOT NULL
            OFFSET 0
            FOR UPDATE SKIP LOCKED
        ) AS o
        -- Only if it speaks of no other task.
        WHERE o.last - o.first + 1 = (SELECT count(*) FROM unnest(p_indexes) AS i WHERE i BETWEEN o.first AND o.last)
    ), removed AS (
        DELETE FROM app.outbox WHERE dispatch_id IN (SELECT dispatch_id FROM superseded)
    )
    INSERT INTO app.outbox (queue, job_id, run, stage, first, last, not_before)
    SELECT 'tasks', p_job_id, p_run, p_stage, first, last, due_at FROM ranges ORDER BY first
$$;

-- Make a message that has arrived pending again, for later, without a look at its tasks. Answers whether
-- there was such a dispatch; the tasks of one that is gone are spoken for by others, or have ended.
CREATE OR REPLACE FUNCTION app.postpone_dispatch(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer, p_delay double precision
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    -- What a crash of the server forgets is a message that was sent and not acted upon: it is sent again.
    PERFORM set_config('synchronous_commit', 'off', true);
    UPDATE app.outbox
    SET sent_at = NULL, redeliver_at = NULL, taken_until = NULL, sends = 0,
        not_before = now() + make_interval(secs => p_delay)
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = 'tasks'
      AND first = p_first AND last = p_last AND sent_at IS NOT NULL;
    RETURN FOUND;
END $$;
