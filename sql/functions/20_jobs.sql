-- Jobs: submit, cancel, fail, finish. Each is one guarded transition with its event and its wake-up.

CREATE OR REPLACE FUNCTION app.dispatch_job(p_job_id text, p_run integer, p_stage integer) RETURNS void
LANGUAGE sql AS $$
    INSERT INTO app.outbox (queue, job_id, run, stage) VALUES ('jobs', p_job_id, p_run, p_stage)
$$;

-- Keep what a job's row says of its run, before the row is about another one or is deleted.
CREATE OR REPLACE FUNCTION app.keep_past_run(j app.jobs) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO app.past_runs (job_id, run, status, result, error, correlation_id, queued_at, started_at, completed_at,
                               plan_seconds)
    VALUES (j.job_id, j.run, j.status, j.result, j.error, j.correlation_id, j.queued_at, j.started_at, j.completed_at,
            j.plan_seconds);
END $$;

-- Insert the job, or start its next run where the design says so. `created` is true when something was queued.
CREATE OR REPLACE FUNCTION app.submit_job(
    p_job_id text, p_job_type text, p_parameters jsonb, p_total_stages integer,
    p_correlation_id text, p_rerun boolean
) RETURNS TABLE (created boolean, run integer, status app.job_status)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    j app.jobs;
    v_run integer;
BEGIN
    INSERT INTO app.jobs (job_id, job_type, parameters, total_stages, correlation_id, submitted_by)
    VALUES (p_job_id, p_job_type, p_parameters, p_total_stages, p_correlation_id, app.caller() - 'correlation_id')
    ON CONFLICT DO NOTHING
    RETURNING * INTO j;
    IF FOUND THEN
        -- A job of this id may have been here before, and a process be at work that removes it: no number of a run
        -- comes twice. Looked up with the id taken, so that a removal that just committed is seen.
        SELECT max(highest_run) INTO v_run FROM app.removed_jobs WHERE first_digits = left(p_job_id, 4);
        v_run := coalesce(v_run, 0) + 1;
        IF v_run > 1 THEN
            UPDATE app.jobs SET run = v_run WHERE job_id = p_job_id;
        END IF;
        PERFORM app.record_action(p_job_id, v_run, 1, 'submitted',
                                  jsonb_build_object('correlation_id', p_correlation_id));
        PERFORM app.dispatch_job(p_job_id, v_run, 1);
        RETURN QUERY SELECT true, v_run, j.status;
        RETURN;
    END IF;
    SELECT * INTO j FROM app.jobs WHERE job_id = p_job_id FOR UPDATE;
    IF NOT FOUND THEN
        -- Retention removed it between the two statements: now it is new.
        RETURN QUERY SELECT * FROM app.submit_job(p_job_id, p_job_type, p_parameters, p_total_stages,
                                                  p_correlation_id, p_rerun);
        RETURN;
    END IF;
    IF j.status IN ('failed', 'cancelled')
       OR (p_rerun AND j.status IN ('completed', 'completed_with_errors')) THEN
        PERFORM app.keep_past_run(j);
        UPDATE app.jobs
        SET run = jobs.run + 1, stage = 1, status = 'queued', total_stages = p_total_stages,
            result = NULL, error = NULL, correlation_id = p_correlation_id,
            submitted_by = app.caller() - 'correlation_id',
            plan_fence = NULL, plan_lease_until = NULL, plan_attempts = 0, plan_spared = 0, plan_interruptions = 0,
            plan_began_at = NULL, plan_heard_at = NULL, plan_seconds = 0, queued_at = now(), started_at = NULL, completed_at = NULL, updated_at = now()
        WHERE job_id = p_job_id
        RETURNING * INTO j;
        PERFORM app.record_action(p_job_id, j.run, 1, 'run_submitted',
                                  jsonb_build_object('correlation_id', p_correlation_id));
        PERFORM app.dispatch_job(p_job_id, j.run, 1);
        RETURN QUERY SELECT true, j.run, j.status;
    ELSE
        RETURN QUERY SELECT false, j.run, j.status;
    END IF;
END $$;

-- Seconds that the plan has taken which is held now, up to a time; 0 where none is.
CREATE OR REPLACE FUNCTION app.planned_for(j app.jobs, p_until timestamptz) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
    RETURN CASE WHEN j.plan_fence IS NULL THEN 0
                ELSE greatest(coalesce(extract(epoch FROM p_until - j.plan_began_at), 0), 0) END;
END $$;

-- End a job: the one place where a job becomes terminal. The caller holds the job's row.
CREATE OR REPLACE FUNCTION app.end_job(
    p_job_id text, p_run integer, p_status app.job_status, p_result jsonb, p_error text
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_type text;
    v_job_type text;
    v_seconds double precision;
BEGIN
    UPDATE app.jobs
    SET status = p_status, result = p_result, error = p_error, completed_at = now(), updated_at = now(),
        plan_seconds = plan_seconds + app.planned_for(jobs, clock_timestamp()), plan_began_at = NULL,
        plan_fence = NULL, plan_lease_until = NULL
    WHERE job_id = p_job_id AND run = p_run AND status IN ('queued', 'processing', 'cancelling')
    RETURNING app.limited('job:' || job_type), job_type, extract(epoch FROM now() - started_at)
    INTO v_type, v_job_type, v_seconds;
    IF FOUND THEN
        PERFORM app.record_event(p_job_id, p_run, NULL, 'job_' || p_status,
                                 jsonb_strip_nulls(jsonb_build_object('error', p_error)));
        PERFORM app.tell_end(p_job_id, p_run, v_job_type, p_status, p_error, now());
        PERFORM app.wake_followers(p_job_id, p_run, now());
        DELETE FROM app.outbox WHERE job_id = p_job_id AND run = p_run;
        IF v_type IS NOT NULL THEN
            PERFORM app.unpark(v_type);
        END IF;
        PERFORM pg_notify('app_job_ended', p_job_id);
        PERFORM app.add_totals('jobs', ARRAY[v_job_type], ARRAY[p_status::text], ARRAY[1], ARRAY[v_seconds]);
    END IF;
END $$;

-- Fail a job that is not terminal. Where tasks of the current stage still run, the stage only begins to
-- fail: nothing more is claimed, and the job fails when the last of them has ended.
CREATE OR REPLACE FUNCTION app.fail_job(p_job_id text, p_run integer, p_stage integer, p_error text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE j app.jobs;
BEGIN
    PERFORM app.lock_job(p_job_id);
    SELECT * INTO j FROM app.jobs
    WHERE job_id = p_job_id AND (p_run IS NULL OR run = p_run) AND (p_stage IS NULL OR stage = p_stage)
      AND status IN ('queued', 'processing')
    FOR UPDATE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    UPDATE app.stages SET status = 'failing', failing_at = now(), error = p_error
    WHERE job_id = p_job_id AND run = j.run AND stage = j.stage AND status = 'processing';
    IF FOUND THEN
        PERFORM app.record_event(p_job_id, j.run, j.stage, 'stage_failing', jsonb_build_object('error', p_error));
    ELSIF NOT EXISTS (SELECT 1 FROM app.stages WHERE job_id = p_job_id AND run = j.run AND stage = j.stage
                      AND status = 'failing') THEN
        PERFORM app.end_job(p_job_id, j.run, 'failed', NULL, p_error);
    END IF;
    RETURN true;
END $$;

-- Ask a job to stop. No row: no such job. After the commit nothing of it is claimed any more.
CREATE OR REPLACE FUNCTION app.cancel_job(p_job_id text)
RETURNS TABLE (changed boolean, run integer, stage smallint, status app.job_status)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE j app.jobs;
BEGIN
    PERFORM app.lock_claims(p_job_id);
    UPDATE app.jobs SET status = 'cancelling', updated_at = now()
    WHERE job_id = p_job_id AND jobs.status IN ('queued', 'processing')
    RETURNING * INTO j;
    IF FOUND THEN
        PERFORM app.record_action(p_job_id, j.run, j.stage, 'job_cancelling');
        RETURN QUERY SELECT true, j.run, j.stage, j.status;
    ELSE
        RETURN QUERY SELECT false, a.run, a.stage, a.status FROM app.jobs a WHERE a.job_id = p_job_id;
    END IF;
END $$;

-- Queue a terminal job's failed and cancelled tasks again, from the earliest stage that has any. Later
-- stages were planned from what is about to change: they are forgotten and planned anew. A job that
-- failed while a stage was being planned, or while its result was being made, takes up there.
CREATE OR REPLACE FUNCTION app.retry_job(p_job_id text, p_correlation_id text)
RETURNS TABLE (changed boolean, run integer, stage smallint, status app.job_status, tasks_queued bigint)
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    j app.jobs;
    v_stage smallint;
    v_indexes integer[];
BEGIN
    PERFORM app.lock_job(p_job_id);
    SELECT * INTO j FROM app.jobs WHERE job_id = p_job_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    IF j.status NOT IN ('failed', 'cancelled', 'completed_with_errors') THEN
        RETURN QUERY SELECT false, j.run, j.stage, j.status, 0::bigint;
        RETURN;
    END IF;
    SELECT min(t.stage) INTO v_stage FROM app.tasks t
    WHERE t.job_id = p_job_id AND t.run = j.run AND t.status IN ('failed', 'cancelled');
    DELETE FROM app.stages s WHERE s.job_id = p_job_id AND s.run = j.run AND s.stage > coalesce(v_stage, j.stage);
    DELETE FROM app.tasks t WHERE t.job_id = p_job_id AND t.run = j.run AND t.stage > coalesce(v_stage, j.stage);
    DELETE FROM app.stage_items i WHERE i.job_id = p_job_id AND i.run = j.run AND i.stage > coalesce(v_stage, j.stage);
    DELETE FROM app.task_logs l WHERE l.job_id = p_job_id AND l.run = j.run AND l.stage > coalesce(v_stage, j.stage);
    -- What they took was spent all the same.
    UPDATE app.stage_counters c SET queued = 0, processing = 0, completed = 0, failed = 0, cancelled = 0
    WHERE c.job_id = p_job_id AND c.run = j.run AND c.stage > coalesce(v_stage, j.stage);
    UPDATE app.tasks t
    SET status = 'queued', attempt = 0, suspicion = 0, fence = NULL, lease_until = NULL, due_at = now(), error = NULL,
        result = NULL, result_location = NULL, completed_at = NULL
    WHERE t.job_id = p_job_id AND t.run = j.run AND t.stage = v_stage AND t.status IN ('failed', 'cancelled');
    UPDATE app.jobs
    SET status = 'processing', stage = coalesce(v_stage, jobs.stage), result = NULL, error = NULL,
        correlation_id = p_correlation_id, completed_at = NULL, updated_at = now(),
        started_at = coalesce(started_at, now()), plan_fence = NULL, plan_lease_until = NULL,
        plan_attempts = 0, plan_spared = 0, plan_interruptions = 0
    WHERE job_id = p_job_id
    RETURNING * INTO j;
    SELECT array_agg(t.task_index) INTO v_indexes FROM app.tasks t
    WHERE t.job_id = p_job_id AND t.run = j.run AND t.stage = v_stage AND t.status = 'queued';
    PERFORM app.record_action(p_job_id, j.run, j.stage, 'job_retried',
                              jsonb_build_object('correlation_id', p_correlation_id), v_indexes);
    -- What its messages raised is not held against it any more.
    UPDATE app.poison_messages p SET action = 'forgiven'
    WHERE p.job_id = p_job_id AND p.run = j.run AND p.action = 'raised';
    UPDATE app.stages s SET status = 'processing', error = NULL, failing_at = NULL, result = NULL, completed_at = NULL
    WHERE s.job_id = p_job_id AND s.run = j.run AND s.stage = j.stage;
    IF NOT FOUND THEN
        -- The stage was never planned, or only the job's result is missing.
        PERFORM app.dispatch_job(p_job_id, j.run, j.stage);
    ELSE
        PERFORM app.recount_stage(p_job_id, j.run, j.stage);
        PERFORM app.dispatch_queued(p_job_id, j.run, j.stage);
    END IF;
    RETURN QUERY SELECT true, j.run, j.stage, j.status, coalesce(cardinality(v_indexes), 0)::bigint;
END $$;
