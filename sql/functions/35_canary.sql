-- The canary: the first tasks of a stage run alone, and the others are let go only if all of these complete.

-- Judge a canary whose tasks have all ended: let the rest of the stage go, or begin to fail the stage.
-- Safe to call at any time, by anybody. Answers whether anything was decided.
CREATE OR REPLACE FUNCTION app.judge_canary(p_job_id text, p_run integer, p_stage integer, p_worker text)
RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    s app.stages;
    v_failed bigint;
    v_error text;
BEGIN
    PERFORM app.lock_job(p_job_id);
    SELECT st.* INTO s FROM app.stages st JOIN app.jobs j USING (job_id, run, stage)
    WHERE st.job_id = p_job_id AND st.run = p_run AND st.stage = p_stage
      AND st.status = 'processing' AND j.status = 'processing' AND st.held_from IS NOT NULL
    FOR UPDATE OF st;
    IF NOT FOUND OR app.canary_unfinished(s) THEN
        RETURN false;
    END IF;
    SELECT count(*) INTO v_failed FROM app.tasks
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'failed' AND task_index < s.held_from;
    IF v_failed > 0 THEN
        SELECT format('canary of stage %s (%s): %s of %s tasks failed; task %s: %s',
                      p_stage, s.stage_key, v_failed, s.held_from, task_index, error) INTO v_error
        FROM app.tasks
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'failed' AND task_index < s.held_from
        ORDER BY task_index LIMIT 1;
        UPDATE app.stages SET status = 'failing', failing_at = now(), error = v_error
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage;
        PERFORM app.record_event(p_job_id, p_run, p_stage, 'canary_failed',
            jsonb_build_object('failed', v_failed, 'of', s.held_from), p_worker => p_worker);
        RETURN true;
    END IF;
    UPDATE app.stages SET held_from = NULL WHERE job_id = p_job_id AND run = p_run AND stage = p_stage;
    PERFORM app.dispatch_queued(p_job_id, p_run, p_stage);
    PERFORM app.record_event(p_job_id, p_run, p_stage, 'canary_completed',
        jsonb_build_object('of', s.held_from), p_worker => p_worker);
    RETURN true;
END $$;

-- True while a task of the canary is not terminal.
CREATE OR REPLACE FUNCTION app.canary_unfinished(s app.stages) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (
        SELECT 1 FROM app.tasks
        WHERE job_id = s.job_id AND run = s.run AND stage = s.stage AND task_index < s.held_from
          AND status IN ('queued', 'processing'))
$$;
