-- Stages: insert the tasks of one, finish it.

-- One task for each item that completed attempts of the previous stage discovered.
CREATE OR REPLACE FUNCTION app.insert_tasks_from_items(p_job_id text, p_run integer, p_stage integer, p_limit integer)
RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE n bigint;
BEGIN
    INSERT INTO app.tasks (job_id, run, stage, task_index, parameters)
    SELECT p_job_id, p_run, p_stage, row_number() OVER (ORDER BY t.task_index, i.seq) - 1, i.item
    FROM app.tasks t
    -- OFFSET keeps this a look-up by the whole key, whatever the statistics of a table just filled say.
    CROSS JOIN LATERAL (
        SELECT seq, item FROM app.stage_items
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage - 1
          AND task_index = t.task_index AND fence = t.fence
        OFFSET 0
    ) AS i
    WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage - 1 AND t.status = 'completed'
    LIMIT p_limit + 1;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- One task for each distinct value under `p_key` of those items, in the order of first appearance, with all items
-- of its group (docs/adr/0011). Where an item has no such value, nothing counts: the answer then names the first
-- one, by the task that discovered it and its number there, and the caller rolls back. A group is one row, of at
-- most the 256 MB that jsonb holds.
CREATE OR REPLACE FUNCTION app.insert_tasks_from_item_groups(
    p_job_id text, p_run integer, p_stage integer, p_key text, p_limit integer
) RETURNS TABLE (n bigint, keyless_task integer, keyless_seq integer) LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE v_keyless boolean;
BEGIN
    WITH inserted AS (
        INSERT INTO app.tasks (job_id, run, stage, task_index, parameters)
        SELECT p_job_id, p_run, p_stage, row_number() OVER (ORDER BY g.first) - 1,
               jsonb_build_object(p_key, g.value, 'items', g.items)
        FROM (
            SELECT i.item -> p_key AS value, min(ARRAY[t.task_index, i.seq]) AS first,
                   jsonb_agg(i.item ORDER BY t.task_index, i.seq) AS items
            FROM app.tasks t
            CROSS JOIN LATERAL (
                SELECT seq, item FROM app.stage_items
                WHERE job_id = p_job_id AND run = p_run AND stage = p_stage - 1
                  AND task_index = t.task_index AND fence = t.fence
                OFFSET 0
            ) AS i
            WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage - 1 AND t.status = 'completed'
            GROUP BY i.item -> p_key
        ) AS g
        LIMIT p_limit + 1
        RETURNING parameters -> p_key = 'null' AS keyless
    )
    SELECT count(*), coalesce(bool_or(keyless), false) INTO n, v_keyless FROM inserted;
    IF v_keyless THEN
        SELECT t.task_index, i.seq INTO keyless_task, keyless_seq
        FROM app.tasks t
        CROSS JOIN LATERAL (
            SELECT seq, item FROM app.stage_items
            WHERE job_id = p_job_id AND run = p_run AND stage = p_stage - 1
              AND task_index = t.task_index AND fence = t.fence
            OFFSET 0
        ) AS i
        WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage - 1 AND t.status = 'completed'
          AND coalesce(i.item -> p_key, 'null') = 'null'
        ORDER BY t.task_index, i.seq LIMIT 1;
    END IF;
    RETURN NEXT;
END $$;

-- One task for each completed task of the previous stage; `p_select` maps parameter → key of the result.
CREATE OR REPLACE FUNCTION app.insert_tasks_from_results(
    p_job_id text, p_run integer, p_stage integer, p_select jsonb, p_limit integer
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE n bigint;
BEGIN
    INSERT INTO app.tasks (job_id, run, stage, task_index, parameters)
    SELECT p_job_id, p_run, p_stage, row_number() OVER (ORDER BY t.task_index) - 1,
           (SELECT coalesce(jsonb_object_agg(s.key, t.result -> s.value), '{}') FROM jsonb_each_text(p_select) AS s)
    FROM app.tasks t
    WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage - 1 AND t.status = 'completed'
    LIMIT p_limit + 1;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Messages for a range of a stage's tasks, cut to its batch size; parked where its task type is limited.
CREATE OR REPLACE FUNCTION app.dispatch_range(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    s app.stages;
    v_type text;
    n bigint;
BEGIN
    SELECT * INTO s FROM app.stages WHERE job_id = p_job_id AND run = p_run AND stage = p_stage;
    v_type := app.limited('task:' || s.task_type);
    INSERT INTO app.outbox (queue, job_id, run, stage, first, last, parked)
    SELECT 'tasks', p_job_id, p_run, p_stage, batch, least(batch + s.batch_size - 1, p_last), v_type
    FROM generate_series(p_first, p_last, s.batch_size) AS batch;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF v_type IS NOT NULL THEN
        PERFORM app.unpark(v_type);
    END IF;
    RETURN n;
END $$;

-- The same for every queued task of a stage that is not held back: contiguous runs of indexes.
CREATE OR REPLACE FUNCTION app.dispatch_queued(p_job_id text, p_run integer, p_stage integer) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    s app.stages;
    v_type text;
    n bigint;
BEGIN
    SELECT * INTO s FROM app.stages WHERE job_id = p_job_id AND run = p_run AND stage = p_stage;
    v_type := app.limited('task:' || s.task_type);
    WITH numbered AS (
        SELECT t.task_index, t.task_index - row_number() OVER (ORDER BY t.task_index) AS island
        FROM app.tasks t
        WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage AND t.status = 'queued'
          AND (s.held_from IS NULL OR t.task_index < s.held_from)
    ), islands AS (
        SELECT min(task_index) AS first, max(task_index) AS last FROM numbered GROUP BY island
    )
    INSERT INTO app.outbox (queue, job_id, run, stage, first, last, parked)
    SELECT 'tasks', p_job_id, p_run, p_stage, batch, least(batch + s.batch_size - 1, i.last), v_type
    FROM islands i, generate_series(i.first, i.last, s.batch_size) AS batch
    ORDER BY batch;
    GET DIAGNOSTICS n = ROW_COUNT;
    IF v_type IS NOT NULL THEN
        PERFORM app.unpark(v_type);
    END IF;
    RETURN n;
END $$;

-- Make a stage whose tasks were inserted in this transaction real, if this planner still may: else the
-- caller rolls everything back. The guard comes last, so that the job's row is locked for an instant only.
CREATE OR REPLACE FUNCTION app.seal_stage(
    p_job_id text, p_run integer, p_stage integer, p_fence bigint, p_worker text, p_stage_key text,
    p_task_type text, p_task_count integer, p_batch_size integer, p_parameters jsonb,
    p_on_failure app.failure_policy, p_max_failed_fraction double precision, p_max_attempts integer,
    p_canary integer
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE v_held_from integer := CASE WHEN p_canary > 0 AND p_canary < p_task_count THEN p_canary END;
BEGIN
    UPDATE app.jobs SET plan_seconds = plan_seconds + app.planned_for(jobs, clock_timestamp()), plan_began_at = NULL,
        plan_fence = NULL, plan_lease_until = NULL, plan_attempts = 0, plan_spared = 0,
        plan_interruptions = 0, updated_at = now()
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'processing' AND plan_fence = p_fence;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size, parameters,
                            on_failure, max_failed_fraction, max_attempts, held_from)
    VALUES (p_job_id, p_run, p_stage, p_stage_key, p_task_type, p_task_count, p_batch_size, p_parameters,
            p_on_failure, p_max_failed_fraction, p_max_attempts, v_held_from);
    INSERT INTO app.stage_counters (job_id, run, stage, slot, queued)
    SELECT p_job_id, p_run, p_stage, slot, CASE slot WHEN 0 THEN p_task_count ELSE 0 END
    FROM generate_series(0, 7) AS slot
    -- Of a plan that a retry made forgotten there is what it took.
    ON CONFLICT (job_id, run, stage, slot) DO UPDATE SET queued = excluded.queued;
    PERFORM app.dispatch_range(p_job_id, p_run, p_stage, 0, coalesce(v_held_from, p_task_count) - 1);
    DELETE FROM app.outbox WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = 'jobs';
    PERFORM app.record_event(p_job_id, p_run, p_stage, 'stage_planned',
        jsonb_build_object('stage_key', p_stage_key, 'task_type', p_task_type, 'tasks', p_task_count,
                           'batch_size', p_batch_size, 'canary', coalesce(v_held_from, 0)), p_worker => p_worker);
    RETURN true;
END $$;

-- True while the stage has a task that is not terminal. From the far end: a plain EXISTS would first walk
-- the dead index entries of the tasks that finished.
CREATE OR REPLACE FUNCTION app.stage_unfinished(p_job_id text, p_run integer, p_stage integer) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (SELECT 1 FROM (
        SELECT 1 FROM app.tasks
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status IN ('queued', 'processing')
        ORDER BY task_index DESC LIMIT 1
    ) AS farthest)
$$;

-- What a finished stage hands on. Results of the first tasks are quoted where they are small.
CREATE OR REPLACE FUNCTION app.stage_result(s app.stages, p_status app.stage_status, p_completed bigint, p_failed bigint)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'stage_number', s.stage, 'stage_key', s.stage_key, 'status', p_status, 'task_count', s.task_count,
        'successful_tasks', p_completed, 'failed_tasks', p_failed,
        'success_rate', CASE WHEN s.task_count = 0 THEN 1.0
                             ELSE round(p_completed::numeric / s.task_count, 6) END,
        'first_task_results', coalesce((
            SELECT jsonb_agg(jsonb_build_object(
                'task_index', f.task_index, 'status', f.status,
                'result', CASE WHEN pg_column_size(f.result) <= 16384 THEN f.result END,
                'result_url', f.result_location ->> 'url', 'error', f.error) ORDER BY f.task_index)
            FROM (SELECT * FROM app.tasks t
                  WHERE t.job_id = s.job_id AND t.run = s.run AND t.stage = s.stage
                  ORDER BY t.task_index LIMIT 10) AS f), '[]'),
        'completed_at', to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'),
        'metadata', '{}'::jsonb)
$$;

-- Advance the job if this stage has no unfinished task; the rows alone decide. Safe to call at any time,
-- by anybody, any number of times. Answers whether anything was moved.
CREATE OR REPLACE FUNCTION app.finish_stage(p_job_id text, p_run integer, p_stage integer, p_worker text)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    j app.jobs;
    s app.stages;
    v_completed bigint;
    v_failed bigint;
    v_status app.stage_status;
    v_error text;
BEGIN
    IF app.stage_unfinished(p_job_id, p_run, p_stage) THEN
        RETURN false;
    END IF;
    -- Lock first, then look: a retry or a new plan that committed in between is seen by the second look.
    PERFORM app.lock_job(p_job_id);
    SELECT * INTO j FROM app.jobs
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status IN ('processing', 'cancelling') FOR UPDATE;
    IF NOT FOUND OR app.stage_unfinished(p_job_id, p_run, p_stage) THEN
        RETURN false;
    END IF;
    SELECT * INTO s FROM app.stages WHERE job_id = p_job_id AND run = p_run AND stage = p_stage FOR UPDATE;
    IF NOT FOUND THEN
        IF j.status = 'cancelling' THEN
            PERFORM app.end_job(p_job_id, p_run, 'cancelled', NULL, NULL);
            RETURN true;
        END IF;
        RETURN false;
    END IF;
    SELECT count(*) FILTER (WHERE status = 'completed'), count(*) FILTER (WHERE status = 'failed')
    INTO v_completed, v_failed
    FROM app.tasks WHERE job_id = p_job_id AND run = p_run AND stage = p_stage;
    v_error := s.error;
    IF j.status = 'cancelling' THEN
        v_status := 'cancelled';
    ELSIF s.status = 'failing' OR app.policy_broken(s, v_failed) THEN
        v_status := 'failed';
        v_error := coalesce(v_error, app.failure_summary(s, v_failed));
    ELSIF v_failed > 0 THEN
        v_status := 'completed_with_errors';
    ELSE
        v_status := 'completed';
    END IF;
    UPDATE app.stages
    SET status = v_status, completed_at = now(), error = v_error,
        result = app.stage_result(s, v_status, v_completed, v_failed)
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage;
    PERFORM app.record_event(p_job_id, p_run, p_stage, 'stage_' || v_status,
        jsonb_build_object('completed', v_completed, 'failed', v_failed), p_worker => p_worker);
    PERFORM app.tell(p_job_id, p_run, p_stage, j.job_type, 'stage', 'stage.' || v_status, now(),
        jsonb_build_object('stage', p_stage, 'stage_key', s.stage_key, 'total_stages', j.total_stages,
                           'status', v_status, 'error', v_error, 'task_count', s.task_count,
                           'completed', v_completed, 'failed', v_failed));
    -- Every task is terminal and committed, so nobody holds a difference back: the counters become exact.
    UPDATE app.stage_counters c
    SET queued = 0, processing = 0,
        completed = CASE c.slot WHEN 0 THEN v_completed ELSE 0 END,
        failed = CASE c.slot WHEN 0 THEN v_failed ELSE 0 END,
        cancelled = CASE c.slot WHEN 0 THEN s.task_count - v_completed - v_failed ELSE 0 END
    WHERE c.job_id = p_job_id AND c.run = p_run AND c.stage = p_stage;
    DELETE FROM app.outbox WHERE job_id = p_job_id AND run = p_run AND stage = p_stage;
    IF v_status = 'cancelled' THEN
        PERFORM app.end_job(p_job_id, p_run, 'cancelled', NULL, NULL);
    ELSIF v_status = 'failed' THEN
        PERFORM app.end_job(p_job_id, p_run, 'failed', NULL, v_error);
    ELSE
        UPDATE app.jobs SET stage = p_stage + 1, updated_at = now(),
            plan_fence = NULL, plan_lease_until = NULL, plan_attempts = 0, plan_spared = 0, plan_interruptions = 0
        WHERE job_id = p_job_id;
        PERFORM app.dispatch_job(p_job_id, p_run, p_stage + 1);
    END IF;
    RETURN true;
END $$;

-- Whether so many failed tasks are more than the stage's policy bears.
CREATE OR REPLACE FUNCTION app.policy_broken(s app.stages, p_failed bigint) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT p_failed > CASE s.on_failure
        WHEN 'fail_job' THEN 0
        ELSE floor(coalesce(s.max_failed_fraction, 1) * s.task_count) END
$$;

-- Why a stage failed, in one sentence with the first error quoted.
CREATE OR REPLACE FUNCTION app.failure_summary(s app.stages, p_failed bigint) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT format('stage %s (%s): %s of %s tasks failed; task %s: %s',
                  s.stage, s.stage_key, p_failed, s.task_count, t.task_index, t.error)
    FROM app.tasks t
    WHERE t.job_id = s.job_id AND t.run = s.run AND t.stage = s.stage AND t.status = 'failed'
    ORDER BY t.task_index LIMIT 1
$$;

-- The last step: the job's result, made by the planner that holds the fence. The same step carries a
-- plan that completes the job early.
CREATE OR REPLACE FUNCTION app.complete_job(p_job_id text, p_run integer, p_stage integer, p_fence bigint, p_result jsonb)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE j app.jobs;
BEGIN
    SELECT * INTO j FROM app.jobs
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'processing' AND plan_fence = p_fence
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    PERFORM app.end_job(p_job_id, p_run,
        CASE WHEN EXISTS (SELECT 1 FROM app.stages WHERE job_id = p_job_id AND run = p_run
                          AND status = 'completed_with_errors')
             THEN 'completed_with_errors'::app.job_status ELSE 'completed' END, p_result, NULL);
    RETURN true;
END $$;
