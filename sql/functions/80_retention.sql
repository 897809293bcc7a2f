-- Retention: runs that ended long ago are removed.
--
-- One short transaction (remove_run) takes a run out of everybody's sight; from then on no reader finds it, no
-- message about it has an effect, and nothing writes to it. What it leaves behind is removed page by page, each
-- page in a transaction of its own, and the row in past_runs that says so comes last: a crash anywhere leaves
-- that row, and the next firing goes on from there (docs/adr/0005).

-- Runs that ended before a time and are not being removed, the oldest first, after a position.
CREATE OR REPLACE FUNCTION app.old_runs(
    p_before timestamptz, p_after_at timestamptz, p_after_job_id text, p_after_run integer, p_limit integer
) RETURNS TABLE (job_id text, run integer, completed_at timestamptz, is_current boolean)
LANGUAGE sql STABLE AS $$
    SELECT * FROM (
        (SELECT p.job_id, p.run, p.completed_at, false FROM app.past_runs p
         WHERE p.removed_at IS NULL AND p.completed_at < p_before
           AND (p.completed_at, p.job_id, p.run) > (p_after_at, p_after_job_id, p_after_run)
         ORDER BY p.completed_at, p.job_id, p.run LIMIT p_limit)
        UNION ALL
        -- Only a terminal job has a completed_at.
        (SELECT j.job_id, j.run, j.completed_at, true FROM app.jobs j
         WHERE j.completed_at < p_before
           AND (j.completed_at, j.job_id, j.run) > (p_after_at, p_after_job_id, p_after_run)
         ORDER BY j.completed_at, j.job_id, j.run LIMIT p_limit)
    ) AS old (job_id, run, completed_at, is_current)
    ORDER BY completed_at, job_id, run LIMIT p_limit
$$;

-- Take a run out of sight, if it is still as it was found; the job with it where this is its current run.
-- Answers what is gone, 'run' or 'job'. Null: it was retried or removed meanwhile, somebody steers it now, or an
-- older run of the job must go first.
CREATE OR REPLACE FUNCTION app.remove_run(p_job_id text, p_run integer, p_completed_at timestamptz)
RETURNS text LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    j app.jobs;
    v_gone text := 'run';
BEGIN
    UPDATE app.past_runs SET removed_at = now()
    WHERE job_id = p_job_id AND run = p_run AND completed_at = p_completed_at AND removed_at IS NULL;
    IF FOUND THEN
        DELETE FROM app.stages WHERE job_id = p_job_id AND run = p_run;
    ELSE
        -- Whoever steers the job holds its row; whoever comes later waits for this row, and finds no job.
        SELECT * INTO j FROM app.jobs
        WHERE job_id = p_job_id AND run = p_run AND completed_at = p_completed_at
        FOR UPDATE SKIP LOCKED;
        IF NOT FOUND OR EXISTS (SELECT 1 FROM app.past_runs WHERE job_id = p_job_id AND removed_at IS NULL) THEN
            RETURN NULL;
        END IF;
        PERFORM app.keep_past_run(j);
        UPDATE app.past_runs SET removed_at = now() WHERE job_id = p_job_id AND run = p_run;
        -- Its stages go with it.
        DELETE FROM app.jobs WHERE job_id = p_job_id;
        INSERT INTO app.removed_jobs AS r (first_digits, highest_run) VALUES (left(p_job_id, 4), p_run)
        ON CONFLICT (first_digits) DO UPDATE SET highest_run = greatest(r.highest_run, excluded.highest_run);
        v_gone := 'job';
    END IF;
    DELETE FROM app.stage_counters WHERE job_id = p_job_id AND run = p_run;
    DELETE FROM app.outbox WHERE job_id = p_job_id AND run = p_run;
    -- What they are still to be told needs no run; it goes by its own age.
    DELETE FROM app.run_subscribers WHERE job_id = p_job_id AND run = p_run;
    DELETE FROM app.followers WHERE job_id = p_job_id AND run = p_run;
    RETURN v_gone;
END $$;

-- Runs that are out of sight and not yet gone, the oldest removal first.
CREATE OR REPLACE FUNCTION app.unswept_runs(p_limit integer)
RETURNS TABLE (job_id text, run integer, completed_at timestamptz)
LANGUAGE sql STABLE AS $$
    SELECT job_id, run, completed_at FROM app.past_runs WHERE removed_at IS NOT NULL
    ORDER BY removed_at, job_id, run LIMIT p_limit
$$;

-- True while a run is out of sight: only then may its rows be deleted.
CREATE OR REPLACE FUNCTION app.run_is_removed(p_job_id text, p_run integer) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM app.past_runs
                   WHERE job_id = p_job_id AND run = p_run AND removed_at IS NOT NULL)
$$;

-- The three functions below delete up to `p_limit` rows of a removed run after a position, and answer how many
-- and the position reached; null: there is nothing more. Rows that somebody else deletes now are skipped. The
-- position keeps a page from walking the dead entries of the pages before. A page is read in the order of its
-- index, whatever statistics there are: to sort all rows of the run for each page would cost their square. No page
-- waits for the disk: one that a crash of the server forgets is deleted again.

-- Positions: {stage, task_index}.
CREATE OR REPLACE FUNCTION app.sweep_run_tasks(p_job_id text, p_run integer, p_after bigint[], p_limit integer)
RETURNS TABLE (removed bigint, reached bigint[]) LANGUAGE plpgsql
SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off SET jit = off AS $$
DECLARE v_rows tid[];
BEGIN
    IF NOT app.run_is_removed(p_job_id, p_run) THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT array_agg(page.ctid), max(ARRAY[page.stage::bigint, page.task_index::bigint]) INTO v_rows, reached
    FROM (SELECT t.ctid, t.stage, t.task_index FROM app.tasks t
          WHERE t.job_id = p_job_id AND t.run = p_run
            AND (t.stage, t.task_index) > (coalesce(p_after[1], -1), coalesce(p_after[2], -1))
          ORDER BY t.stage, t.task_index LIMIT p_limit FOR UPDATE SKIP LOCKED) AS page;
    -- A row that a straggler moved before it was locked here is missed, and met again at the next removal:
    -- forget_run keeps the run until no row of it is left.
    DELETE FROM app.tasks WHERE ctid = ANY (v_rows);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END $$;

-- Positions: {stage, task_index, fence, seq}.
CREATE OR REPLACE FUNCTION app.sweep_run_items(p_job_id text, p_run integer, p_after bigint[], p_limit integer)
RETURNS TABLE (removed bigint, reached bigint[]) LANGUAGE plpgsql
SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off SET jit = off AS $$
DECLARE v_rows tid[];
BEGIN
    IF NOT app.run_is_removed(p_job_id, p_run) THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT array_agg(page.ctid),
           max(ARRAY[page.stage::bigint, page.task_index::bigint, page.fence, page.seq::bigint])
    INTO v_rows, reached
    FROM (SELECT i.ctid, i.stage, i.task_index, i.fence, i.seq FROM app.stage_items i
          WHERE i.job_id = p_job_id AND i.run = p_run
            AND (i.stage, i.task_index, i.fence, i.seq)
                > (coalesce(p_after[1], -1), coalesce(p_after[2], -1), coalesce(p_after[3], -1), coalesce(p_after[4], -1))
          ORDER BY i.stage, i.task_index, i.fence, i.seq LIMIT p_limit FOR UPDATE SKIP LOCKED) AS page;
    DELETE FROM app.stage_items WHERE ctid = ANY (v_rows);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END $$;

-- Positions: {event_id}.
CREATE OR REPLACE FUNCTION app.sweep_run_events(p_job_id text, p_run integer, p_after bigint[], p_limit integer)
RETURNS TABLE (removed bigint, reached bigint[]) LANGUAGE plpgsql
SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off SET jit = off AS $$
DECLARE v_rows tid[];
BEGIN
    IF NOT app.run_is_removed(p_job_id, p_run) THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT array_agg(page.ctid), max(ARRAY[page.event_id]) INTO v_rows, reached
    FROM (SELECT e.ctid, e.event_id FROM app.job_events e
          WHERE e.job_id = p_job_id AND e.run = p_run AND e.event_id > coalesce(p_after[1], 0)
          ORDER BY e.event_id LIMIT p_limit FOR UPDATE SKIP LOCKED) AS page;
    DELETE FROM app.job_events WHERE ctid = ANY (v_rows);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END $$;

-- The end of a removed run, once nothing of it is left: poison messages that spoke of it, and the row that
-- says it is being removed. False: rows are left, which somebody else was deleting; another sweep is needed.
CREATE OR REPLACE FUNCTION app.forget_run(p_job_id text, p_run integer) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF NOT app.run_is_removed(p_job_id, p_run)
       OR EXISTS (SELECT 1 FROM app.tasks WHERE job_id = p_job_id AND run = p_run)
       OR EXISTS (SELECT 1 FROM app.stage_items WHERE job_id = p_job_id AND run = p_run)
       OR EXISTS (SELECT 1 FROM app.task_logs WHERE job_id = p_job_id AND run = p_run)
       OR EXISTS (SELECT 1 FROM app.job_events WHERE job_id = p_job_id AND run = p_run) THEN
        RETURN false;
    END IF;
    DELETE FROM app.poison_messages p WHERE job_id = p_job_id AND run = p_run AND app.poison_is_gone(p);
    DELETE FROM app.outbox WHERE job_id = p_job_id AND run = p_run;
    DELETE FROM app.past_runs WHERE job_id = p_job_id AND run = p_run;
    RETURN true;
END $$;

-- What removing a run takes with it.
CREATE OR REPLACE FUNCTION app.count_run(p_job_id text, p_run integer)
RETURNS TABLE (tasks bigint, items bigint, events bigint)
LANGUAGE sql STABLE AS $$
    SELECT (SELECT count(*) FROM app.tasks WHERE job_id = p_job_id AND run = p_run),
           (SELECT count(*) FROM app.stage_items WHERE job_id = p_job_id AND run = p_run),
           (SELECT count(*) FROM app.job_events WHERE job_id = p_job_id AND run = p_run)
$$;

-- Whether blob storage may hold results of a stage's attempts that no task refers to: one of them did not
-- complete, or a retry deleted the tasks of the stage before it was planned anew.
CREATE OR REPLACE FUNCTION app.had_other_attempts(s app.stages) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM app.tasks t
                   WHERE t.job_id = s.job_id AND t.run = s.run AND t.stage = s.stage
                     AND (t.attempts IS NOT NULL OR t.status <> 'completed'))
        OR EXISTS (SELECT 1 FROM app.job_events e
                   WHERE e.job_id = s.job_id AND e.run = s.run AND e.event = 'job_retried')
$$;

-- Most stages leave nothing behind: note that of up to `p_limit` that ended before a time. Answers how many.
CREATE OR REPLACE FUNCTION app.pass_clean_stages(p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    UPDATE app.stages SET cleaned_at = completed_at
    -- The rows are locked, so they stay where they are. The order keeps the look for items one by their key,
    -- whatever the statistics say.
    WHERE ctid = ANY (ARRAY(
        SELECT s.ctid FROM app.stages s
        WHERE s.completed_at < p_before AND (s.cleaned_at IS NULL OR s.cleaned_at < s.completed_at)
          AND NOT EXISTS (SELECT 1 FROM (
              SELECT 1 FROM app.stage_items i
              WHERE i.job_id = s.job_id AND i.run = s.run AND i.stage = s.stage
              ORDER BY i.job_id, i.run, i.stage, i.task_index LIMIT 1) AS first_item)
          AND NOT app.had_other_attempts(s)
        ORDER BY s.completed_at LIMIT p_limit
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Stages that ended before a time, in which nobody has looked yet for what attempts left that did not complete.
-- `listing` says whether to look into blob storage too.
CREATE OR REPLACE FUNCTION app.uncleaned_stages(p_before timestamptz, p_limit integer)
RETURNS TABLE (job_id text, run integer, stage smallint, completed_at timestamptz, listing boolean)
LANGUAGE sql STABLE AS $$
    SELECT s.job_id, s.run, s.stage, s.completed_at, app.had_other_attempts(s)
    FROM app.stages s
    WHERE s.completed_at < p_before AND (s.cleaned_at IS NULL OR s.cleaned_at < s.completed_at)
    ORDER BY s.completed_at LIMIT p_limit
$$;

-- Which of these attempts are over without having completed: their task's row carries another fencing token,
-- or none, and a token never comes back. What such an attempt wrote can never count, whatever happens next.
CREATE OR REPLACE FUNCTION app.abandoned_attempts(
    p_job_id text, p_run integer, p_stage integer, p_indexes integer[], p_fences bigint[]
) RETURNS TABLE (task_index integer, fence bigint)
LANGUAGE sql STABLE AS $$
    SELECT a.task_index, a.fence FROM unnest(p_indexes, p_fences) AS a (task_index, fence)
    WHERE NOT EXISTS (
        SELECT 1 FROM app.tasks t
        WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage
          AND t.task_index = a.task_index AND t.fence = a.fence)
$$;

-- The abandoned attempts of a stage that left items behind. A step from one attempt to the next, however many
-- items each of them has.
CREATE OR REPLACE FUNCTION app.abandoned_items(p_job_id text, p_run integer, p_stage integer)
RETURNS TABLE (task_index integer, fence bigint)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE wrote AS (
        (SELECT i.task_index, i.fence FROM app.stage_items i
         WHERE i.job_id = p_job_id AND i.run = p_run AND i.stage = p_stage
         ORDER BY i.task_index, i.fence LIMIT 1)
        UNION ALL
        SELECT n.task_index, n.fence FROM wrote w CROSS JOIN LATERAL (
            SELECT i.task_index, i.fence FROM app.stage_items i
            WHERE i.job_id = p_job_id AND i.run = p_run AND i.stage = p_stage
              AND (i.task_index, i.fence) > (w.task_index, w.fence)
            ORDER BY i.task_index, i.fence LIMIT 1) AS n
    )
    SELECT a.task_index, a.fence FROM app.abandoned_attempts(p_job_id, p_run, p_stage,
        (SELECT array_agg(task_index ORDER BY task_index, fence) FROM wrote),
        (SELECT array_agg(fence ORDER BY task_index, fence) FROM wrote)) AS a
$$;

-- Delete up to `p_limit` items of an abandoned attempt. Positions: {seq}.
CREATE OR REPLACE FUNCTION app.sweep_attempt_items(
    p_job_id text, p_run integer, p_stage integer, p_index integer, p_fence bigint, p_after bigint[], p_limit integer
) RETURNS TABLE (removed bigint, reached bigint[]) LANGUAGE plpgsql
SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off SET jit = off AS $$
DECLARE v_rows tid[];
BEGIN
    IF NOT EXISTS (SELECT 1 FROM app.abandoned_attempts(p_job_id, p_run, p_stage, ARRAY[p_index], ARRAY[p_fence])) THEN
        RETURN;
    END IF;
    PERFORM set_config('synchronous_commit', 'off', true);
    SELECT array_agg(page.ctid), max(ARRAY[page.seq::bigint]) INTO v_rows, reached
    FROM (SELECT i.ctid, i.seq FROM app.stage_items i
          WHERE i.job_id = p_job_id AND i.run = p_run AND i.stage = p_stage
            AND i.task_index = p_index AND i.fence = p_fence AND i.seq > coalesce(p_after[1], -1)
          ORDER BY i.seq LIMIT p_limit FOR UPDATE SKIP LOCKED) AS page;
    DELETE FROM app.stage_items WHERE ctid = ANY (v_rows);
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN NEXT;
END $$;

-- Note that a stage was cleaned after the end that was seen. A retry ends it anew, later.
CREATE OR REPLACE FUNCTION app.stage_cleaned(p_job_id text, p_run integer, p_stage integer, p_completed_at timestamptz)
RETURNS void LANGUAGE sql AS $$
    UPDATE app.stages SET cleaned_at = p_completed_at
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND completed_at = p_completed_at
$$;

-- Which of these runs are over since before a time, or gone: no handler of theirs can be at work any more. Each
-- is looked up by its whole key, whatever the statistics say.
CREATE OR REPLACE FUNCTION app.ended_runs(p_job_ids text[], p_runs integer[], p_before timestamptz)
RETURNS TABLE (job_id text, run integer) LANGUAGE sql STABLE AS $$
    SELECT r.job_id, r.run FROM unnest(p_job_ids, p_runs) AS r (job_id, run)
    WHERE NOT EXISTS (
            SELECT 1 FROM app.jobs j
            WHERE j.job_id = r.job_id AND j.run = r.run AND (j.completed_at IS NULL OR j.completed_at >= p_before)
            OFFSET 0)
      AND NOT EXISTS (
            SELECT 1 FROM app.past_runs p
            WHERE p.job_id = r.job_id AND p.run = r.run AND p.completed_at >= p_before
            OFFSET 0)
$$;

-- Whether no look into the poison queues has found this message; one that lies there needs its row.
CREATE OR REPLACE FUNCTION app.poison_is_gone(p app.poison_messages) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT NOT EXISTS (SELECT 1 FROM app.poison_queue_sightings s WHERE s.message_id = p.message_id)
$$;

-- Old rows that no run speaks for: poison messages, and dispatches of runs that are over. Answers how many.
CREATE OR REPLACE FUNCTION app.sweep_leftovers(p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_poison bigint;
    v_dispatches bigint;
BEGIN
    DELETE FROM app.poison_messages WHERE poison_id IN (
        SELECT p.poison_id FROM app.poison_messages p
        WHERE p.recorded_at < p_before AND app.poison_is_gone(p)
        ORDER BY p.poison_id LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_poison = ROW_COUNT;
    DELETE FROM app.outbox WHERE dispatch_id IN (
        SELECT o.dispatch_id FROM app.outbox o
        WHERE o.created_at < p_before AND NOT EXISTS (
            SELECT 1 FROM app.jobs j WHERE j.job_id = o.job_id AND j.run = o.run AND j.completed_at IS NULL)
        ORDER BY o.dispatch_id LIMIT p_limit FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS v_dispatches = ROW_COUNT;
    RETURN v_poison + v_dispatches;
END $$;
