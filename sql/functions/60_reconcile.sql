-- Recovery as a normal path. One function for each rule, each safe to repeat and to run beside anything
-- else; each answers what it moved.

-- Ended leases: queue the task again, or end it where its attempts are used up or its job is ending.
-- What a process held alone pays for its death with an attempt. Of several nobody knows which it was, and
-- twice that is held against none of them (docs/adr/0004). So what a process held is judged together: once
-- the newest of its leases has ended, all of them. While a process renews others, it lives, and only does not
-- care for this one any more: it is taken from it after `p_patience`, which is longer than the leases of a
-- dead process end one after the other. About `p_limit` tasks at a time, of whole processes.
--
-- What they took is known as far as their process was heard of, a lease (`p_lease`) before its end: counted from the
-- claim, and once for tasks that were claimed together, of which nobody knows how far they were.
CREATE OR REPLACE FUNCTION app.reconcile_leases(p_limit integer, p_patience interval, p_lease interval)
RETURNS TABLE (job_id text, run integer, stage smallint, task_index integer, status app.task_status)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_lost jsonb;
    g record;
BEGIN
    WITH held AS (
        SELECT coalesce(worker, '') AS holder, count(*) AS tasks, max(lease_until) < now() AS dead,
               count(*) FILTER (WHERE lease_until < now() - p_patience) AS neglected
        FROM app.tasks WHERE status = 'processing' GROUP BY holder
    ), placed AS (
        SELECT holder, tasks, dead,
               sum(CASE WHEN dead THEN tasks ELSE neglected END) OVER (ORDER BY holder)
               - CASE WHEN dead THEN tasks ELSE neglected END AS ahead
        FROM held WHERE dead OR neglected > 0
    ), judged AS MATERIALIZED (
        SELECT holder, tasks + app.plans_of(holder) AS held, dead FROM placed WHERE ahead < p_limit
    ), lost AS (
        SELECT t.job_id, t.run, t.stage, t.task_index, s.batch_size, h.held, f.spared, t.worker, t.started_at,
               greatest(coalesce(extract(epoch FROM t.lease_until - p_lease - t.started_at), 0), 0) AS heard,
               CASE WHEN j.status = 'cancelling' THEN 'cancelled'
                    WHEN s.status = 'failing' THEN 'failed'
                    WHEN t.attempt >= s.max_attempts AND NOT f.spared THEN 'failed'
                    ELSE 'queued' END::app.task_status AS new_status
        FROM app.tasks t
        JOIN judged h ON h.holder = coalesce(t.worker, '')
        JOIN app.stages s USING (job_id, run, stage)
        JOIN app.jobs j USING (job_id)
        CROSS JOIN LATERAL (
            SELECT h.held > 1 AND t.suspicion < 2
                   AND j.status <> 'cancelling' AND s.status <> 'failing' AS spared
        ) f
        WHERE t.status = 'processing' AND t.lease_until < now() - CASE WHEN h.dead THEN interval '0' ELSE p_patience END
        ORDER BY t.job_id, t.run, t.stage, t.task_index
        FOR UPDATE OF t SKIP LOCKED
    ), timed AS (
        SELECT l.*, round(l.heard / count(*) OVER (PARTITION BY job_id, run, stage, worker, started_at), 6) AS seconds
        FROM lost l
    ), moved AS (
        UPDATE app.tasks t
        SET status = l.new_status, fence = NULL, lease_until = NULL, due_at = now(),
            attempt = t.attempt - l.spared::integer, suspicion = CASE WHEN l.spared THEN t.suspicion + 1 ELSE 2 END,
            attempts = app.with_attempt(t.attempts, t.attempt, 'lease_lost',
                CASE WHEN l.spared
                     THEN format('the worker stopped renewing its lease, and those of %s more tasks or plans: not counted',
                                 l.held - 1)
                     ELSE 'the worker stopped renewing its lease' END,
                t.worker, t.started_at),
            error = CASE l.new_status WHEN 'failed'
                THEN format('lease lost on attempt %s: worker %s stopped renewing it (killed, out of memory, or hung)',
                            t.attempt, t.worker) END,
            completed_at = CASE WHEN l.new_status <> 'queued' THEN clock_timestamp() END,
            usage = CASE WHEN l.seconds >= 0.001
                         THEN app.with_usage(t.usage, jsonb_build_object('seconds', l.seconds)) ELSE t.usage END
        FROM timed l
        WHERE (t.job_id, t.run, t.stage, t.task_index) = (l.job_id, l.run, l.stage, l.task_index)
        RETURNING t.job_id, t.run, t.stage, t.task_index, t.status, t.suspicion, l.batch_size, l.seconds
    ), dispatched AS (
        -- In the batches that they were in, except for suspects.
        INSERT INTO app.outbox (queue, job_id, run, stage, first, last)
        SELECT 'tasks', m.job_id, m.run, m.stage, min(m.task_index), max(m.task_index)
        FROM (SELECT *, CASE WHEN suspicion = 2 THEN task_index
                             ELSE task_index - row_number() OVER (PARTITION BY job_id, run, stage, suspicion
                                                                  ORDER BY task_index) END AS island
              FROM moved WHERE status = 'queued') m
        GROUP BY m.job_id, m.run, m.stage, m.suspicion, m.island, m.task_index / m.batch_size
    )
    SELECT jsonb_agg(to_jsonb(m)) INTO v_lost FROM moved m;
    FOR g IN
        SELECT m.job_id, m.run, m.stage, m.status, count(*) AS n, array_agg(m.task_index) AS indexes,
               sum(m.seconds) AS seconds
        FROM jsonb_to_recordset(v_lost)
             AS m (job_id text, run integer, stage smallint, task_index integer, status app.task_status,
                   seconds double precision)
        GROUP BY m.job_id, m.run, m.stage, m.status
        -- Each takes a counter of its stage, as reconcile_counters does, in this order, too.
        ORDER BY m.job_id, m.run, m.stage
    LOOP
        PERFORM app.count_work(g.job_id, g.run, g.stage, p_processing => -g.n, p_completed => 0,
            p_queued => CASE g.status WHEN 'queued' THEN g.n ELSE 0 END,
            p_failed => CASE g.status WHEN 'failed' THEN g.n ELSE 0 END,
            p_cancelled => CASE g.status WHEN 'cancelled' THEN g.n ELSE 0 END,
            p_usage => jsonb_build_object('attempts', g.n, 'seconds', g.seconds));
        PERFORM app.record_event(g.job_id, g.run, g.stage, 'leases_lost', jsonb_build_object('now', g.status), g.indexes);
        IF g.status = 'failed' THEN
            PERFORM app.check_policy(g.job_id, g.run, g.stage);
        END IF;
    END LOOP;
    RETURN QUERY SELECT m.job_id, m.run, m.stage, m.task_index, m.status
        FROM jsonb_to_recordset(v_lost)
             AS m (job_id text, run integer, stage smallint, task_index integer, status app.task_status);
END $$;

-- As the release before calls it, which does not say how long a lease is: then what was lost takes no time.
CREATE OR REPLACE FUNCTION app.reconcile_leases(p_limit integer, p_patience interval)
RETURNS TABLE (job_id text, run integer, stage smallint, task_index integer, status app.task_status)
LANGUAGE sql AS $$
    SELECT * FROM app.reconcile_leases(p_limit, p_patience, interval '100 years')
$$;

-- Stages of live jobs that should be looked at: those with nothing unfinished (advance), those that take
-- no more claims but still have queued tasks, or should take none (sweep), and those whose canary has ended
-- (canary). A policy is broken and nobody knows it where failures were committed at the same time, of which
-- none saw the others, and whoever was to look again afterwards died.
CREATE OR REPLACE FUNCTION app.stalled_stages()
RETURNS TABLE (job_id text, run integer, stage smallint, rule text)
LANGUAGE sql STABLE AS $$
    SELECT j.job_id, j.run, j.stage,
           CASE WHEN NOT app.stage_unfinished(j.job_id, j.run, j.stage) THEN 'advance'
                WHEN j.status = 'cancelling' OR (c.s).status = 'failing' OR c.broken THEN 'sweep'
                ELSE 'canary' END
    FROM app.jobs j
    -- OFFSET keeps this a look-up by the whole key, whatever the statistics say.
    LEFT JOIN LATERAL (
        SELECT s, app.policy_broken(s, app.failures_that_matter(s)) AS broken FROM app.stages s
        WHERE s.job_id = j.job_id AND s.run = j.run AND s.stage = j.stage
        OFFSET 0
    ) AS c ON true
    WHERE j.status IN ('processing', 'cancelling')
      AND (((c.s).job_id IS NULL AND j.status = 'cancelling')
           OR ((c.s).job_id IS NOT NULL
               AND (j.status = 'cancelling' OR (c.s).status = 'failing' OR c.broken
                    OR ((c.s).held_from IS NOT NULL AND NOT app.canary_unfinished(c.s))
                    OR NOT app.stage_unfinished(j.job_id, j.run, j.stage))))
$$;

-- Dispatches whose messages their queue has passed: those at its front, of which the oldest was put at `p_front`, were
-- put `p_margin` after them and more (docs/adr/0013). Whether their work was taken up is looked at now, however long
-- they were to wait. Answers how many.
CREATE OR REPLACE FUNCTION app.expect_passed(p_queue text, p_front timestamptz, p_margin interval, p_limit integer)
RETURNS bigint LANGUAGE sql AS $$
    WITH passed AS (
        SELECT dispatch_id FROM app.outbox
        WHERE queue = p_queue AND sent_at < least(p_front, now()) - p_margin AND sent_at IS NOT NULL
          AND not_before < least(p_front, now()) - p_margin AND redeliver_at > now()
        ORDER BY sent_at LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ), expected AS (
        UPDATE app.outbox o SET redeliver_at = now() - interval '1 ms' FROM passed
        WHERE o.dispatch_id = passed.dispatch_id
        RETURNING 1
    )
    SELECT count(*) FROM expected
$$;

-- The other side of it: messages that were put `p_margin` and more after the oldest at the front have not had their turn
-- yet. They are not sent again while that is so, for `p_longest` after they were sent. Answers how many are spared.
CREATE OR REPLACE FUNCTION app.expect_waiting(
    p_queue text, p_front timestamptz, p_margin interval, p_longest interval, p_limit integer
) RETURNS bigint LANGUAGE sql AS $$
    -- What is due first, whatever the statistics say of how much was sent lately.
    WITH due AS MATERIALIZED (
        SELECT dispatch_id, queue, sent_at FROM app.outbox
        WHERE sent_at IS NOT NULL AND redeliver_at < now() + p_margin
        ORDER BY redeliver_at LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ), expected AS (
        UPDATE app.outbox o SET redeliver_at = now() + 2 * p_margin FROM due
        WHERE o.dispatch_id = due.dispatch_id
          AND due.queue = p_queue AND due.sent_at > greatest(p_front + p_margin, now() - p_longest)
        RETURNING 1
    )
    SELECT count(*) FROM expected
$$;

-- Sent dispatches that nobody acted upon become pending again; those whose work was taken up are removed.
CREATE OR REPLACE FUNCTION app.reconcile_dispatches(p_limit integer)
RETURNS TABLE (job_id text, run integer, stage smallint, redelivered bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
        SELECT o.dispatch_id, app.dispatch_needed(o) AS needed FROM app.outbox o
        WHERE o.sent_at IS NOT NULL AND o.redeliver_at < now()
        ORDER BY o.redeliver_at LIMIT p_limit
        FOR UPDATE SKIP LOCKED
    ), removed AS (
        DELETE FROM app.outbox o USING judged WHERE o.dispatch_id = judged.dispatch_id AND judged.needed IS NOT TRUE
    ), again AS (
        UPDATE app.outbox o SET sent_at = NULL, redeliver_at = NULL, taken_until = NULL
        FROM judged WHERE o.dispatch_id = judged.dispatch_id AND judged.needed
        RETURNING o.job_id, o.run, o.stage
    ), noted AS (
        INSERT INTO app.job_events (job_id, run, stage, event, detail)
        SELECT a.job_id, a.run, a.stage, 'dispatches_redelivered', jsonb_build_object('messages', count(*))
        FROM again a GROUP BY a.job_id, a.run, a.stage
    )
    SELECT a.job_id, a.run, a.stage, count(*) FROM again a GROUP BY a.job_id, a.run, a.stage;
END $$;

-- Work that no dispatch speaks for at all: a job whose stage waits to be planned, or queued tasks of a
-- stage. The protocol leaves none behind; this rule mends what was deleted by other hands.
CREATE OR REPLACE FUNCTION app.reconcile_undispatched()
RETURNS TABLE (job_id text, run integer, stage smallint, dispatched bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    g record;
    n bigint;
BEGIN
    FOR g IN
        SELECT j.job_id, j.run, j.stage, s.job_id IS NULL AS unplanned
        FROM app.jobs j
        LEFT JOIN LATERAL (
            SELECT job_id, status FROM app.stages
            WHERE job_id = j.job_id AND run = j.run AND stage = j.stage
            OFFSET 0
        ) AS s ON true
        WHERE j.status IN ('queued', 'processing')
          AND (s.job_id IS NULL OR s.status = 'processing')
          AND NOT EXISTS (SELECT 1 FROM app.outbox o WHERE (o.job_id, o.run, o.stage) = (j.job_id, j.run, j.stage))
        ORDER BY j.job_id
        FOR UPDATE OF j SKIP LOCKED
    LOOP
        IF g.unplanned THEN
            PERFORM app.dispatch_job(g.job_id, g.run, g.stage);
            n := 1;
        ELSE
            n := app.dispatch_queued(g.job_id, g.run, g.stage);
        END IF;
        IF n > 0 THEN
            PERFORM app.record_event(g.job_id, g.run, g.stage, 'dispatched_anew', jsonb_build_object('messages', n));
            RETURN QUERY SELECT g.job_id, g.run, g.stage, n;
        END IF;
    END LOOP;
END $$;

-- A planner that died: its lease has ended and the stage still waits. The dispatch is made pending now.
CREATE OR REPLACE FUNCTION app.reconcile_plans()
RETURNS TABLE (job_id text, run integer, stage smallint)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE g record;
BEGIN
    PERFORM app.note_shared_plans();
    DELETE FROM app.dead_planners WHERE lost_at < now() - interval '1 hour';
    FOR g IN
        SELECT j.job_id, j.run, j.stage FROM app.jobs j
        WHERE j.status IN ('queued', 'processing') AND j.plan_lease_until < now()
        ORDER BY j.job_id FOR UPDATE SKIP LOCKED
    LOOP
        PERFORM app.lose_plan(g.job_id);
        DELETE FROM app.outbox o
        WHERE o.job_id = g.job_id AND o.run = g.run AND o.stage = g.stage AND o.queue = 'jobs';
        PERFORM app.dispatch_job(g.job_id, g.run, g.stage);
        RETURN QUERY SELECT g.job_id, g.run, g.stage;
    END LOOP;
END $$;

-- Counters of live stages that do not add up to the number of tasks are counted anew.
CREATE OR REPLACE FUNCTION app.reconcile_counters()
RETURNS TABLE (job_id text, run integer, stage smallint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE g record;
BEGIN
    FOR g IN
        SELECT s.job_id, s.run, s.stage FROM app.stages s
        WHERE s.status IN ('processing', 'failing')
          AND s.task_count IS DISTINCT FROM (
              SELECT sum(c.queued + c.processing + c.completed + c.failed + c.cancelled) FROM app.stage_counters c
              WHERE (c.job_id, c.run, c.stage) = (s.job_id, s.run, s.stage))
        ORDER BY s.job_id, s.run, s.stage
    LOOP
        PERFORM app.recount_stage(g.job_id, g.run, g.stage);
        RETURN QUERY SELECT g.job_id, g.run, g.stage;
    END LOOP;
END $$;
