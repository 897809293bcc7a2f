-- What attempts logged: written with their outcomes, read by people.

-- Keep the lines of attempts whose outcome was accepted. Of a task the newest ten attempts are kept, so that a day of
-- outage does not make it grow. `p_logs`: objects of task_index, fence, attempt, outcome, severity, dropped and lines.
-- Answers of how many attempts there were any.
CREATE OR REPLACE FUNCTION app.keep_task_logs(
    p_job_id text, p_run integer, p_stage integer, p_logs jsonb, p_accepted integer[]
) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE n integer;
BEGIN
    INSERT INTO app.task_logs (job_id, run, stage, task_index, fence, attempt, outcome, severity, dropped, lines)
    SELECT p_job_id, p_run, p_stage, l.task_index, l.fence, l.attempt, l.outcome, l.severity, l.dropped, l.lines
    FROM jsonb_to_recordset(p_logs) AS l (task_index integer, fence bigint, attempt smallint, outcome text,
                                          severity smallint, dropped integer, lines jsonb)
    WHERE l.task_index = ANY (p_accepted)
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS n = ROW_COUNT;
    DELETE FROM app.task_logs d
    USING jsonb_to_recordset(p_logs) AS l (task_index integer)
    CROSS JOIN LATERAL (
        SELECT fence FROM app.task_logs
        WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index = l.task_index
        ORDER BY written_at DESC OFFSET 10
    ) AS old
    WHERE d.job_id = p_job_id AND d.run = p_run AND d.stage = p_stage AND d.task_index = l.task_index
      AND d.fence = old.fence;
    RETURN n;
END $$;

-- Delete up to `p_limit` rows of a removed run after a position, {stage, task_index, fence}, as the functions of
-- 80_retention.sql do.
CREATE OR REPLACE FUNCTION app.sweep_run_logs(p_job_id text, p_run integer, p_after bigint[], p_limit integer)
RETURNS TABLE (removed bigint, reached bigint[]) LANGUAGE plpgsql
SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off SET jit = off AS $$
DECLARE v_rows tid[];
BEGIN
    IF NOT app.run_is_removed(p_job_id, p_run) THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT array_agg(page.ctid), max(ARRAY[page.stage::bigint, page.task_index::bigint, page.fence]) INTO v_rows, reached
    FROM (SELECT l.ctid, l.stage, l.task_index, l.fence FROM app.task_logs l
          WHERE l.job_id = p_job_id AND l.run = p_run
            AND (l.stage, l.task_index, l.fence) > (coalesce(p_after[1], -1), coalesce(p_after[2], -1), coalesce(p_after[3], -1))
          ORDER BY l.stage, l.task_index, l.fence LIMIT p_limit FOR UPDATE SKIP LOCKED) AS page;
    DELETE FROM app.task_logs WHERE ctid = ANY (v_rows);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END $$;
