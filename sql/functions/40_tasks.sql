-- Tasks: claim a batch, keep its leases, write its outcomes.

-- Claim the tasks of a range that are due. The rows claimed are the answer; none means that the message was a
-- repeat, or came too late. A task whose lease has ended is not taken over: it is judged together with all
-- that its worker held, and only the reconciler does that (docs/adr/0004).
CREATE OR REPLACE FUNCTION app.claim_tasks(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer, p_worker text, p_lease interval
) RETURNS TABLE (task_index integer, attempt smallint, fence bigint, parameters jsonb, task_type text,
                 max_attempts smallint)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    s app.stages;
    v_queued integer[];
    v_type text;
    v_free integer;
    v_left integer;
BEGIN
    PERFORM app.share_claims(p_job_id);
    SELECT st.* INTO s FROM app.stages st JOIN app.jobs j USING (job_id, run, stage)
    WHERE st.job_id = p_job_id AND st.run = p_run AND st.stage = p_stage
      AND st.status = 'processing' AND j.status = 'processing';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    p_last := least(p_last, s.held_from - 1);
    v_type := app.limited('task:' || s.task_type);
    IF v_type IS NOT NULL THEN
        PERFORM app.lock_limit(v_type);
        v_free := app.free_slots(v_type);
    END IF;
    SELECT array_agg(task_index) INTO v_queued
    FROM (
        SELECT task_index FROM app.tasks
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index BETWEEN p_first AND p_last
          -- A queue delays by whole seconds: a message may come a moment before its task is due.
          AND status = 'queued' AND due_at <= now() + interval '1 second'
          AND suspicion < 2
        ORDER BY task_index
        LIMIT v_free
        FOR UPDATE SKIP LOCKED
    ) AS due;
    IF v_free IS NOT NULL THEN
        SELECT min(task_index) INTO v_left FROM app.tasks
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index BETWEEN p_first AND p_last
          AND status = 'queued' AND due_at <= now() + interval '1 second' AND (suspicion < 2 OR v_free = 0)
          AND task_index <> ALL (coalesce(v_queued, '{}'));
        IF v_left IS NOT NULL THEN
            PERFORM app.park_tasks(p_job_id, p_run, p_stage, p_first, p_last, v_left, v_type);
        END IF;
    END IF;
    IF v_queued IS NULL AND v_free IS DISTINCT FROM 0 THEN
        v_queued := app.pick_suspect(p_job_id, p_run, p_stage, p_first, p_last, p_worker);
    END IF;
    IF v_queued IS NULL THEN
        RETURN;
    END IF;
    -- A claim that a crash of the server forgets is a queued task again, and what its worker writes is
    -- refused: so the claim need not wait for the disk.
    PERFORM set_config('synchronous_commit', 'off', true);
    RETURN QUERY
        UPDATE app.tasks t
        SET status = 'processing', attempt = t.attempt + 1, fence = f.fence, worker = p_worker,
            lease_until = now() + p_lease, started_at = now()
        -- Random, because a sequence may repeat itself after a crash that forgot the claim.
        FROM (SELECT (random() * 9e18)::bigint AS fence) AS f
        WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage
          AND t.task_index BETWEEN p_first AND p_last AND t.task_index = ANY (v_queued)
        RETURNING t.task_index, t.attempt, t.fence, s.parameters || t.parameters, s.task_type, s.max_attempts;
    PERFORM app.count_tasks(p_job_id, p_run, p_stage,
        p_queued => -cardinality(v_queued), p_processing => cardinality(v_queued));
    PERFORM app.record_event(p_job_id, p_run, p_stage, 'tasks_claimed', p_tasks => v_queued, p_worker => p_worker);
END $$;

-- Renew the leases of everything this process runs, in one statement. What is not in the answer was lost;
-- what is comes with the state of its job, so that a handler learns of a cancellation.
CREATE OR REPLACE FUNCTION app.extend_leases(
    p_job_ids text[], p_runs integer[], p_stages integer[], p_indexes integer[], p_fences bigint[], p_lease interval
) RETURNS TABLE (job_id text, run integer, stage smallint, task_index integer, job_status app.job_status)
LANGUAGE sql AS $$
    WITH held AS (
        SELECT * FROM unnest(p_job_ids, p_runs, p_stages, p_indexes, p_fences) AS h (job_id, run, stage, task_index, fence)
    ), locked AS (
        SELECT t.job_id, t.run, t.stage, t.task_index
        FROM app.tasks t JOIN held h USING (job_id, run, stage, task_index)
        WHERE t.status = 'processing' AND t.fence = h.fence
        ORDER BY t.job_id, t.run, t.stage, t.task_index
        FOR UPDATE OF t
    ), extended AS (
        UPDATE app.tasks t SET lease_until = now() + p_lease
        FROM locked l
        WHERE (t.job_id, t.run, t.stage, t.task_index) = (l.job_id, l.run, l.stage, l.task_index)
        RETURNING t.job_id, t.run, t.stage, t.task_index
    )
    SELECT e.job_id, e.run, e.stage, e.task_index, j.status FROM extended e JOIN app.jobs j USING (job_id)
$$;

-- The same for the planning of stages.
CREATE OR REPLACE FUNCTION app.extend_plans(p_job_ids text[], p_fences bigint[], p_lease interval)
RETURNS TABLE (job_id text, fence bigint)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        UPDATE app.jobs j SET plan_lease_until = now() + p_lease, plan_heard_at = now()
        FROM unnest(p_job_ids, p_fences) AS h (job_id, fence)
        WHERE j.job_id = h.job_id AND j.plan_fence = h.fence
        RETURNING j.job_id, j.plan_fence;
END $$;

-- Write the outcomes of a batch, where the fencing token still matches. `outcome` is completed, failed,
-- cancelled, retry or deferred: the last two queue the task again after a delay, and an attempt that was
-- deferred does not count; where nothing is claimed any more, its task is swept like one that never ran.
-- A task is cancelled only together with its job. `usages` are what each attempt took, null where that is too little
-- to be kept, and `usage` what all of them took together. An array of nothing but nulls may be null itself.
-- Answers the tasks whose outcome was accepted, with the status they have now. Nothing waits for another
-- worker's commit, except for the rows themselves.
CREATE OR REPLACE FUNCTION app.finish_tasks(
    p_job_id text, p_run integer, p_stage integer, p_worker text,
    p_indexes integer[], p_fences bigint[], p_outcomes text[], p_results jsonb[], p_locations jsonb[],
    p_errors text[], p_delays double precision[], p_usages jsonb[], p_usage jsonb
) RETURNS TABLE (task_index integer, status app.task_status)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    v_may_retry boolean;
    v_job app.job_status;
    v_indexes integer[];
    v_statuses app.task_status[];
    v_deferred boolean[];
BEGIN
    SELECT j.status = 'processing' AND st.status = 'processing', j.status INTO v_may_retry, v_job
    FROM app.jobs j JOIN app.stages st USING (job_id, run, stage)
    WHERE j.job_id = p_job_id AND j.run = p_run AND j.stage = p_stage;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- Lock first, then look: who had to wait here for a heartbeat's commit finds the row in another place, which
    -- only a new statement sees.
    -- In the order of the heartbeat, which may hold the same rows: outcomes come as they ended.
    PERFORM 1 FROM (
        SELECT * FROM unnest(p_indexes, p_fences) AS u (task_index, fence) ORDER BY task_index
    ) AS r
    CROSS JOIN LATERAL (
        SELECT 1 FROM app.tasks
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index = r.task_index
          AND status = 'processing' AND fence = r.fence
        FOR UPDATE
    ) AS t;
    -- One look-up by the whole key for each task, whatever the statistics of a table just filled say.
    WITH reported AS MATERIALIZED (
        SELECT t.row_id, t.task_index, t.attempt, t.attempts, t.started_at,
               r.outcome, r.result, r.location, r.error, r.delay, r.usage,
               CASE WHEN r.outcome IN ('retry', 'deferred') AND v_may_retry THEN 'queued'
                    WHEN r.outcome = 'deferred' OR (r.outcome = 'retry' AND v_job = 'cancelling') THEN 'cancelled'
                    -- A handler that gives up by itself has failed: only a person cancels.
                    WHEN r.outcome = 'retry' OR (r.outcome = 'cancelled' AND v_job <> 'cancelling') THEN 'failed'
                    ELSE r.outcome END::app.task_status AS new_status
        FROM unnest(p_indexes, p_fences, p_outcomes, p_results, p_locations, p_errors, p_delays, p_usages)
             AS r (task_index, fence, outcome, result, location, error, delay, usage)
        CROSS JOIN LATERAL (
            SELECT ctid AS row_id, task_index, attempt, attempts, started_at FROM app.tasks
            WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index = r.task_index
              AND status = 'processing' AND fence = r.fence
            FOR UPDATE
        ) AS t
    ), written AS (
        UPDATE app.tasks t
        SET status = r.new_status,
            -- A number may come twice then: what a worker may write is decided by its fence alone.
            attempt = CASE WHEN r.outcome = 'deferred' THEN t.attempt - 1 ELSE t.attempt END,
            lease_until = NULL,
            fence = CASE WHEN r.new_status = 'completed' THEN t.fence END,
            due_at = CASE WHEN r.new_status = 'queued' THEN now() + make_interval(secs => coalesce(r.delay, 0)) ELSE t.due_at END,
            result = r.result,
            result_location = r.location,
            usage = CASE WHEN t.usage IS NULL THEN r.usage ELSE app.with_usage(t.usage, r.usage) END,
            error = CASE WHEN r.new_status IN ('failed', 'cancelled') THEN r.error END,
            attempts = CASE WHEN r.new_status = 'completed' THEN t.attempts
                            ELSE app.with_attempt(r.attempts, r.attempt, r.outcome, r.error, p_worker, r.started_at) END,
            completed_at = CASE WHEN r.new_status <> 'queued' THEN clock_timestamp() END
        FROM reported r
        -- The rows are locked, so they stay where they are.
        WHERE t.ctid = r.row_id
        RETURNING t.task_index, t.status, t.due_at, r.outcome = 'deferred' AS deferred
    ), dispatched AS (
        INSERT INTO app.outbox (queue, job_id, run, stage, first, last, not_before)
        SELECT 'tasks', p_job_id, p_run, p_stage, w.task_index, w.task_index, w.due_at
        FROM written w WHERE w.status = 'queued' AND NOT w.deferred
    )
    SELECT array_agg(w.task_index ORDER BY w.task_index), array_agg(w.status ORDER BY w.task_index),
           array_agg(w.deferred ORDER BY w.task_index)
    INTO v_indexes, v_statuses, v_deferred FROM written w;
    IF v_indexes IS NULL THEN
        RETURN;
    END IF;
    PERFORM app.count_work(p_job_id, p_run, p_stage,
        p_queued => count(*) FILTER (WHERE x = 'queued'), p_processing => -count(*),
        p_completed => count(*) FILTER (WHERE x = 'completed'), p_failed => count(*) FILTER (WHERE x = 'failed'),
        p_cancelled => count(*) FILTER (WHERE x = 'cancelled'), p_usage => p_usage)
    FROM unnest(v_statuses) AS x;
    IF true = ANY (v_deferred) THEN
        PERFORM app.dispatch_deferred(p_job_id, p_run, p_stage, array_agg(x.task_index))
        FROM unnest(v_indexes, v_statuses, v_deferred) AS x (task_index, status, deferred)
        WHERE x.deferred AND x.status = 'queued' HAVING count(*) > 0;
    END IF;
    PERFORM app.record_event(p_job_id, p_run, p_stage, 'tasks_' || x.event,
        p_tasks => array_agg(x.task_index), p_worker => p_worker)
    FROM (
        SELECT u.task_index,
               CASE WHEN u.status <> 'queued' THEN u.status::text WHEN u.deferred THEN 'deferred' ELSE 'retried' END AS event
        FROM unnest(v_indexes, v_statuses, v_deferred) AS u (task_index, status, deferred)
    ) AS x GROUP BY x.event;
    IF 'failed' = ANY (v_statuses) THEN
        PERFORM app.check_policy(p_job_id, p_run, p_stage);
    END IF;
    RETURN QUERY SELECT * FROM unnest(v_indexes, v_statuses);
END $$;

-- How many tasks of a stage failed, counted by their own index only up to the number that breaks its policy.
-- A policy that any number of failures keeps needs no counting.
CREATE OR REPLACE FUNCTION app.failures_that_matter(s app.stages) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM (
        SELECT 1 FROM app.tasks
        WHERE job_id = s.job_id AND run = s.run AND stage = s.stage AND status = 'failed'
          AND (s.on_failure = 'fail_job' OR s.max_failed_fraction < 1)
        LIMIT CASE s.on_failure WHEN 'fail_job' THEN 1 ELSE floor(s.max_failed_fraction * s.task_count)::integer + 1 END
    ) AS counted
$$;

-- After a failure: begin to fail the stage when its policy is broken.
CREATE OR REPLACE FUNCTION app.check_policy(p_job_id text, p_run integer, p_stage integer) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    s app.stages;
    v_failed bigint;
BEGIN
    SELECT * INTO s FROM app.stages
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'processing';
    IF NOT FOUND THEN
        RETURN;
    END IF;
    v_failed := app.failures_that_matter(s);
    IF app.policy_broken(s, v_failed) THEN
        UPDATE app.stages SET status = 'failing', failing_at = now()
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'processing';
        IF FOUND THEN
            PERFORM app.record_event(p_job_id, p_run, p_stage, 'stage_failing', jsonb_build_object('failed', v_failed));
        END IF;
    END IF;
END $$;
