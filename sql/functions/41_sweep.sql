-- Sweeping: a stage that takes no more claims, because its job is cancelled or it is failing, cancels what it
-- has queued. Page by page, because a million rows take longer than anybody who begins with it may wait.

-- Cancel up to `p_limit` queued tasks of such a stage, and forget what speaks for them. Answers how many. What
-- is left is spoken for by one dispatch, whose message goes on: whoever sweeps may have no more time, or die.
-- Called after the commit of a failure, so it looks at the policy once more: of failures that commit at the
-- same time, none saw the others when it was written.
CREATE OR REPLACE FUNCTION app.sweep_stage(p_job_id text, p_run integer, p_stage integer, p_limit integer)
RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_from integer;
    v_indexes integer[];
BEGIN
    PERFORM app.check_policy(p_job_id, p_run, p_stage);
    PERFORM 1 FROM app.stages s JOIN app.jobs j USING (job_id, run, stage)
    WHERE s.job_id = p_job_id AND s.run = p_run AND s.stage = p_stage
      AND (j.status = 'cancelling' OR (j.status = 'processing' AND s.status = 'failing'));
    -- One at a time: a second would wait for the same rows.
    IF NOT FOUND OR NOT pg_try_advisory_xact_lock(hashtextextended('sweep of ' || p_job_id, 0)) THEN
        RETURN 0;
    END IF;
    SELECT min(task_index) INTO v_from
    FROM (SELECT task_index FROM app.tasks
          WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'queued'
          ORDER BY task_index DESC LIMIT p_limit) AS farthest;
    WITH swept AS (
        UPDATE app.tasks SET status = 'cancelled', completed_at = clock_timestamp()
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'queued' AND task_index >= v_from
        RETURNING task_index
    )
    SELECT array_agg(task_index) INTO v_indexes FROM swept;
    -- Parked ones would take the turns of other jobs, and what is pending would be sent in vain.
    DELETE FROM app.outbox WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM app.outbox
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = 'tasks'
        ORDER BY first LIMIT p_limit FOR UPDATE SKIP LOCKED));
    IF v_indexes IS NOT NULL THEN
        PERFORM app.count_tasks(p_job_id, p_run, p_stage,
            p_queued => -cardinality(v_indexes), p_cancelled => cardinality(v_indexes));
        PERFORM app.record_event(p_job_id, p_run, p_stage, 'tasks_cancelled', p_tasks => v_indexes);
    END IF;
    IF v_from > 0 AND cardinality(v_indexes) >= p_limit THEN
        INSERT INTO app.outbox (queue, job_id, run, stage, first, last)
        VALUES ('tasks', p_job_id, p_run, p_stage, 0, v_from - 1);
    END IF;
    RETURN coalesce(cardinality(v_indexes), 0);
END $$;

-- What a message is good for of which no task was claimed. Most such messages are repeats, and good for
-- nothing. Its tasks may wait to be swept. Or it may have been let go by a limit (`unparked`: so many others
-- are let go in its place), and what it was to start has ended meanwhile.
CREATE OR REPLACE FUNCTION app.after_no_claim(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer
) RETURNS TABLE (to_sweep boolean, unparked integer) LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_type text;
    v_sweeps boolean;
BEGIN
    SELECT 'task:' || s.task_type, (j.run, j.stage) = (s.run, s.stage) AND (j.status = 'cancelling' OR s.status = 'failing')
    INTO v_type, v_sweeps
    FROM app.stages s JOIN app.jobs j USING (job_id)
    WHERE s.job_id = p_job_id AND s.run = p_run AND s.stage = p_stage;
    to_sweep := coalesce(v_sweeps, false) AND EXISTS (
        SELECT 1 FROM app.tasks
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index BETWEEN p_first AND p_last
          AND status = 'queued');
    unparked := CASE WHEN EXISTS (SELECT 1 FROM app.outbox WHERE parked = v_type) THEN app.unpark(v_type) ELSE 0 END;
    RETURN NEXT;
END $$;
