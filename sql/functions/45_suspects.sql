-- Suspects: tasks that may be what kills their process, as one that runs out of memory does (docs/adr/0004).

-- The next due suspect of a range, locked, if this worker runs none; else the message about it is put back
-- for a few seconds. So a process that dies has one suspect at most, and that one pays for it.
CREATE OR REPLACE FUNCTION app.pick_suspect(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer, p_worker text
) RETURNS integer[] LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE v_due integer[];
BEGIN
    SELECT array_agg(task_index) INTO v_due FROM (
        SELECT task_index FROM app.tasks
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index BETWEEN p_first AND p_last
          AND status = 'queued' AND suspicion = 2 AND due_at <= now() + interval '1 second'
        ORDER BY task_index LIMIT 2
    ) AS due;
    IF v_due IS NULL THEN
        RETURN NULL;
    END IF;
    -- Two threads of the worker must not both find that it runs none.
    PERFORM pg_advisory_xact_lock(hashtextextended('suspects of ' || p_worker, 0));
    IF EXISTS (SELECT 1 FROM app.tasks WHERE worker = p_worker AND status = 'processing' AND suspicion = 2) THEN
        PERFORM app.put_back(p_job_id, p_run, p_stage, p_first, v_due[1]);
        RETURN NULL;
    END IF;
    IF cardinality(v_due) > 1 THEN
        PERFORM app.put_back(p_job_id, p_run, p_stage, p_first, v_due[2]);
    END IF;
    RETURN (
        SELECT array_agg(task_index) FROM (
            SELECT task_index FROM app.tasks
            WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index = v_due[1]
              AND status = 'queued' AND suspicion = 2
            FOR UPDATE SKIP LOCKED
        ) AS locked);
END $$;

-- Send what speaks for this task, from where the message about it began, again in a few seconds; to which
-- process is for the queue to decide.
CREATE OR REPLACE FUNCTION app.put_back(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_index integer)
RETURNS void LANGUAGE sql AS $$
    UPDATE app.outbox
    -- It has arrived, so that nothing of it was lost.
    SET sent_at = NULL, redeliver_at = NULL, taken_until = NULL, sends = 0,
        not_before = now() + make_interval(secs => 1 + 4 * random())
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = 'tasks'
      AND first BETWEEN p_first AND p_index AND p_index <= last
      -- A repeated message finds it put back already.
      AND (sent_at IS NOT NULL OR not_before <= now())
$$;
