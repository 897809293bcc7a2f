-- Limits: how many jobs of a type, or tasks of a type, may run at once. A limited type is written
-- 'job:TYPE' or 'task:TYPE'. What may not run yet waits as a parked dispatch, of which no message is sent;
-- whoever makes room lets the oldest go, and the reconciler lets go what was forgotten.

-- The type itself where it is limited, else null.
CREATE OR REPLACE FUNCTION app.limited(p_type text) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT limited_type FROM app.concurrency_limits WHERE limited_type = p_type $$;

-- One at a time decides about a limited type: who finds no room and who makes room must see each other.
CREATE OR REPLACE FUNCTION app.lock_limit(p_type text) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtextextended('limit ' || p_type, 0)) $$;

-- How many of a limited type run now. Costs as much as there are.
CREATE OR REPLACE FUNCTION app.running_of(p_type text) RETURNS bigint
LANGUAGE sql VOLATILE AS $$
    SELECT CASE WHEN p_type LIKE 'job:%' THEN (
        SELECT count(*) FROM app.jobs
        WHERE job_type = substr(p_type, 5) AND status IN ('processing', 'cancelling'))
    ELSE (
        SELECT count(*) FROM app.stages s JOIN app.tasks t USING (job_id, run, stage)
        WHERE s.task_type = substr(p_type, 6) AND s.status IN ('processing', 'failing') AND t.status = 'processing')
    END
$$;

-- How many more may run now; null without a limit. The answer holds as long as the lock.
CREATE OR REPLACE FUNCTION app.free_slots(p_type text) RETURNS integer
LANGUAGE sql VOLATILE AS $$
    SELECT greatest(at_most - app.running_of(p_type), 0)::integer FROM app.concurrency_limits
    WHERE limited_type = p_type
$$;

-- Park the dispatch of a job that may not start yet. It keeps its place in the line.
CREATE OR REPLACE FUNCTION app.park_job(p_job_id text, p_run integer, p_stage integer, p_type text) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM app.outbox WHERE job_id = p_job_id AND run = p_run AND stage = p_stage
               AND queue = 'jobs' AND parked = p_type) THEN
        RETURN;
    END IF;
    UPDATE app.outbox SET parked = p_type, sent_at = NULL, redeliver_at = NULL, taken_until = NULL, sends = 0
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = 'jobs';
    IF NOT FOUND THEN
        INSERT INTO app.outbox (queue, job_id, run, stage, parked) VALUES ('jobs', p_job_id, p_run, p_stage, p_type);
    END IF;
    PERFORM app.record_event(p_job_id, p_run, p_stage, 'job_waits', jsonb_build_object('limit', p_type));
END $$;

-- Park what is left of a message's tasks, of which only a part could be claimed. Its dispatch begins where the
-- message did, or later, where the message is a repeat: one that begins before speaks for other tasks too.
CREATE OR REPLACE FUNCTION app.park_tasks(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer, p_left integer, p_type text
) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    UPDATE app.outbox
    SET parked = p_type, first = p_left, sent_at = NULL, redeliver_at = NULL, taken_until = NULL, sends = 0
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = 'tasks'
      AND first BETWEEN p_first AND p_left AND last = p_last;
    IF NOT FOUND THEN
        INSERT INTO app.outbox (queue, job_id, run, stage, first, last, parked)
        VALUES ('tasks', p_job_id, p_run, p_stage, p_left, p_last, p_type);
    END IF;
END $$;

-- Whether anybody still waits for what a dispatch speaks of. What it says no to stays so: tasks that are
-- queued again, and stages that are to be planned again, get dispatches of their own.
CREATE OR REPLACE FUNCTION app.dispatch_needed(o app.outbox) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT CASE o.queue
        WHEN 'tasks' THEN j.status = 'processing' AND coalesce(s.status = 'processing', false) AND EXISTS (
            SELECT 1 FROM app.tasks t
            WHERE t.job_id = o.job_id AND t.run = o.run AND t.stage = o.stage
              AND t.task_index BETWEEN o.first AND o.last AND t.status = 'queued')
        ELSE j.status IN ('queued', 'processing') AND s.job_id IS NULL END
    FROM (SELECT 1) AS one
    LEFT JOIN app.jobs j ON (j.job_id, j.run, j.stage) = (o.job_id, o.run, o.stage)
    LEFT JOIN app.stages s ON (s.job_id, s.run, s.stage) = (o.job_id, o.run, o.stage)
$$;

-- Let as many parked dispatches of a type go as there is room for, the oldest first. A few too many may
-- go while messages are on their way: those find no room, and are parked again. Answers how many went.
-- What nobody waits for any more, as of a job that was cancelled, takes nobody's turn: it is removed, up to
-- some ten thousand at a time, because everybody else who decides about the type waits meanwhile; and ten
-- thousand go at a time at most.
CREATE OR REPLACE FUNCTION app.unpark(p_type text) RETURNS integer
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_free integer;
    v_page integer;
    v_removed bigint;
    v_gone bigint;
    v_size bigint;
    v_removed_so_far bigint := 0;
    n integer := 0;
BEGIN
    PERFORM app.lock_limit(p_type);
    v_free := app.free_slots(p_type);
    v_page := least(v_free, 10000);
    LOOP
        WITH waiting AS MATERIALIZED (
            SELECT o.dispatch_id, coalesce(o.last - o.first, 0) + 1 AS size, app.dispatch_needed(o) IS TRUE AS needed
            FROM app.outbox o WHERE o.parked = p_type ORDER BY o.dispatch_id LIMIT v_page FOR UPDATE SKIP LOCKED
        ), removed AS (
            DELETE FROM app.outbox o USING waiting w WHERE o.dispatch_id = w.dispatch_id AND NOT w.needed
            RETURNING 1
        ), placed AS (
            SELECT dispatch_id, size, sum(size) OVER (ORDER BY dispatch_id) - size AS ahead FROM waiting WHERE needed
        ), gone AS (
            -- Nothing was lost of it so far: it is redelivered as soon as any that is sent for the first time.
            UPDATE app.outbox o SET parked = NULL, sends = 0 FROM placed p
            WHERE o.dispatch_id = p.dispatch_id AND (v_free IS NULL OR p.ahead < v_free)
            RETURNING p.size
        )
        SELECT (SELECT count(*) FROM removed), count(*), coalesce(sum(size), 0) INTO v_removed, v_gone, v_size
        FROM gone;
        n := n + v_gone;
        v_removed_so_far := v_removed_so_far + v_removed;
        v_free := v_free - v_size;
        EXIT WHEN v_removed = 0 OR v_free IS NULL OR v_free <= 0 OR v_removed_so_far >= 10000;
        v_page := least(greatest(v_free, 1000), 10000);
    END LOOP;
    RETURN n;
END $$;

-- Every type for which dispatches are parked. A step from one to the next, however many wait for each.
CREATE OR REPLACE FUNCTION app.parked_types() RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE found AS (
        (SELECT parked FROM app.outbox WHERE parked IS NOT NULL ORDER BY parked LIMIT 1)
        UNION ALL
        SELECT (SELECT o.parked FROM app.outbox o WHERE o.parked > f.parked ORDER BY o.parked LIMIT 1)
        FROM found f WHERE f.parked IS NOT NULL
    )
    SELECT parked FROM found WHERE parked IS NOT NULL
$$;

-- Let go what there is room for, of every type: slots were freed by somebody who died, or a limit was raised.
CREATE OR REPLACE FUNCTION app.reconcile_limits() RETURNS bigint
LANGUAGE sql AS $$ SELECT coalesce(sum(app.unpark(t)), 0) FROM app.parked_types() AS t $$;

-- Set a limit, or remove it with null; 0 holds everything of the type back. What may run now is let go.
CREATE OR REPLACE FUNCTION app.set_limit(p_type text, p_at_most integer) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM app.lock_limit(p_type);
    IF p_at_most IS NULL THEN
        DELETE FROM app.concurrency_limits WHERE limited_type = p_type;
    ELSE
        INSERT INTO app.concurrency_limits (limited_type, at_most) VALUES (p_type, p_at_most)
        ON CONFLICT (limited_type) DO UPDATE SET at_most = excluded.at_most, updated_at = now();
    END IF;
    PERFORM app.unpark(p_type);
END $$;
