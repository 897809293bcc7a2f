-- Planners: who may plan a stage, and what becomes of one that dies, is interrupted, or freezes.

-- Take up the planning of a stage, or of the job's result when all stages have ended. No row: a repeat,
-- somebody else is at it, or the job has moved on. A job whose planner keeps dying is failed.
CREATE OR REPLACE FUNCTION app.claim_plan(
    p_job_id text, p_run integer, p_stage integer, p_worker text, p_lease interval, p_max_attempts integer
) RETURNS SETOF app.jobs LANGUAGE plpgsql AS $$
DECLARE
    j app.jobs;
    v_first boolean;
    v_type text;
BEGIN
    SELECT * INTO j FROM app.jobs
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status IN ('queued', 'processing')
      AND (plan_lease_until IS NULL OR plan_lease_until < now())
    FOR UPDATE;
    -- Looked at with the row locked: who held it may just have planned the stage.
    IF NOT FOUND OR EXISTS (SELECT 1 FROM app.stages WHERE job_id = p_job_id AND run = p_run AND stage = p_stage) THEN
        RETURN;
    END IF;
    IF j.plan_lease_until IS NOT NULL THEN
        j := app.lose_plan(p_job_id);
    END IF;
    IF j.plan_attempts >= p_max_attempts THEN
        PERFORM app.end_job(p_job_id, p_run, 'failed', NULL,
            format('stage %s could not be planned: %s attempts ended without an answer', p_stage, j.plan_attempts)
            || CASE WHEN j.plan_interruptions > 0
                    THEN format(', and %s were interrupted', j.plan_interruptions) ELSE '' END);
        RETURN;
    END IF;
    v_first := j.status = 'queued';
    v_type := app.limited('job:' || j.job_type);
    IF v_first AND v_type IS NOT NULL THEN
        PERFORM app.lock_limit(v_type);
        IF app.free_slots(v_type) = 0 THEN
            PERFORM app.park_job(p_job_id, p_run, p_stage, v_type);
            RETURN;
        END IF;
    END IF;
    UPDATE app.jobs
    SET status = 'processing', started_at = coalesce(started_at, now()), updated_at = now(),
        plan_fence = nextval('app.fences'), plan_lease_until = now() + p_lease, plan_attempts = plan_attempts + 1,
        plan_worker = p_worker, plan_shared = false, plan_began_at = clock_timestamp(),
        plan_heard_at = clock_timestamp()
    WHERE job_id = p_job_id
    RETURNING * INTO j;
    IF v_first THEN
        PERFORM app.record_event(p_job_id, p_run, p_stage, 'job_started', p_worker => p_worker);
    END IF;
    IF j.plan_attempts + j.plan_spared + j.plan_interruptions > 1 THEN
        PERFORM app.record_event(p_job_id, p_run, p_stage, 'plan_repeated',
            jsonb_build_object('attempt', j.plan_attempts, 'spared', j.plan_spared,
                               'interrupted', j.plan_interruptions), p_worker => p_worker);
    END IF;
    RETURN NEXT j;
END $$;

-- Give the planning back after an error that may pass, so that the next delivery can take it up at once. It does
-- not count as an attempt: the planner lives. Only beyond a hundred times it does, because some plans break what
-- they need, as one that fills the disk, and each time they may do so to others too.
CREATE OR REPLACE FUNCTION app.release_plan(p_job_id text, p_fence bigint, p_error text) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE j app.jobs;
BEGIN
    UPDATE app.jobs
    SET plan_seconds = plan_seconds + app.planned_for(jobs, clock_timestamp()), plan_began_at = NULL,
        plan_fence = NULL, plan_lease_until = NULL, updated_at = now(),
        plan_attempts = plan_attempts - (plan_interruptions < 100)::integer,
        plan_interruptions = least(plan_interruptions + 1, 100)
    WHERE job_id = p_job_id AND plan_fence = p_fence RETURNING * INTO j;
    IF FOUND THEN
        PERFORM app.record_event(p_job_id, j.run, j.stage, 'plan_interrupted', jsonb_build_object('error', p_error));
    END IF;
END $$;

-- Whether the process that plans for this job holds anything else now: tasks, or the plan of another job.
CREATE OR REPLACE FUNCTION app.planner_holds_more(j app.jobs) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM app.tasks t WHERE t.status = 'processing' AND t.worker = j.plan_worker)
        OR EXISTS (SELECT 1 FROM app.jobs o
                   WHERE o.status IN ('queued', 'processing', 'cancelling')
                     AND o.plan_worker = j.plan_worker AND o.plan_fence IS NOT NULL AND o.job_id <> j.job_id)
$$;

-- How many plans this process holds, or has lost within the last hour. Longer than that no lease waits to be judged.
CREATE OR REPLACE FUNCTION app.plans_of(p_worker text) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT count(*) FROM (
        SELECT job_id FROM app.jobs
        WHERE status IN ('queued', 'processing', 'cancelling') AND plan_worker = p_worker AND plan_fence IS NOT NULL
        UNION
        SELECT job_id FROM app.dead_planners WHERE worker = p_worker AND lost_at > now() - interval '1 hour'
    ) AS plans
$$;

-- Take the plan from a planner whose lease has ended; the caller holds the job's row. The attempt counts if the
-- planner held nothing else. Else nobody knows what it died of, and twice that is not held against the plan.
CREATE OR REPLACE FUNCTION app.lose_plan(p_job_id text) RETURNS app.jobs
LANGUAGE plpgsql AS $$
DECLARE
    j app.jobs;
    v_spared boolean;
    v_worker text;
BEGIN
    SELECT * INTO j FROM app.jobs WHERE job_id = p_job_id;
    v_spared := j.plan_spared < 2 AND (j.plan_shared OR app.planner_holds_more(j));
    v_worker := j.plan_worker;
    -- Until it was last heard of it worked.
    UPDATE app.jobs
    SET plan_seconds = plan_seconds + app.planned_for(jobs, plan_heard_at), plan_began_at = NULL,
        plan_fence = NULL, plan_lease_until = NULL, updated_at = now(),
        plan_attempts = plan_attempts - v_spared::integer, plan_spared = plan_spared + v_spared::integer
    WHERE job_id = p_job_id
    RETURNING * INTO j;
    -- Of plans that were held before an upgrade it is not known by whom.
    INSERT INTO app.dead_planners (worker, job_id) SELECT v_worker, p_job_id WHERE v_worker IS NOT NULL
    ON CONFLICT (worker, job_id) DO UPDATE SET lost_at = now();
    PERFORM app.record_event(p_job_id, j.run, j.stage, 'plan_lease_lost',
                             jsonb_build_object('counted', NOT v_spared), p_worker => v_worker);
    RETURN j;
END $$;

-- Note of plans that something else their planner held has been lost. To be called before that is given to others:
-- afterwards nothing tells who held it.
CREATE OR REPLACE FUNCTION app.note_shared_plans() RETURNS bigint
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE n bigint;
BEGIN
    UPDATE app.jobs SET plan_shared = true
    WHERE job_id IN (
        SELECT j.job_id FROM app.jobs j
        WHERE j.status IN ('queued', 'processing') AND j.plan_fence IS NOT NULL AND NOT j.plan_shared
          AND (EXISTS (SELECT 1 FROM app.tasks t
                       WHERE t.status = 'processing' AND t.worker = j.plan_worker AND t.lease_until < now())
               OR EXISTS (SELECT 1 FROM app.jobs o
                          WHERE o.status IN ('queued', 'processing') AND o.plan_worker = j.plan_worker
                            AND o.plan_lease_until < now() AND o.job_id <> j.job_id))
        ORDER BY j.job_id FOR UPDATE SKIP LOCKED);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

-- Begin the transaction that inserts a stage's tasks, if this planner may still plan it. A predecessor that is not
-- dead but frozen may have left such a transaction open, whose rows keep the same tasks from being inserted again:
-- its session is ended. The lock of a stage's fan-out shows whose that is, although nothing of it is committed.
CREATE OR REPLACE FUNCTION app.begin_fan_out(
    p_job_id text, p_run integer, p_stage integer, p_fence bigint, p_patience interval
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    v_stage bigint := hashtextextended(format('fan-out of %s %s %s', p_job_id, p_run, p_stage), 0);
    v_ms text := (extract(epoch FROM p_patience) * 1000)::bigint::text;
    v_pid integer;
BEGIN
    IF NOT app.may_plan(p_job_id, p_run, p_stage, p_fence) THEN
        RETURN false;
    END IF;
    -- Who freezes between two statements holds its locks no longer than this, and nobody waits for them longer.
    PERFORM set_config('idle_in_transaction_session_timeout', v_ms, true), set_config('lock_timeout', v_ms, true);
    -- The same claim cannot be its own predecessor.
    IF pg_try_advisory_xact_lock(hashtextextended('fan-out with ' || p_fence, 0))
       AND NOT pg_try_advisory_xact_lock(v_stage) THEN
        SELECT l.pid INTO v_pid FROM pg_locks l
        WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1 AND l.pid <> pg_backend_pid()
          AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND (l.classid::bigint << 32 | l.objid::bigint) = v_stage
          AND app.may_plan(p_job_id, p_run, p_stage, p_fence);
        BEGIN
            IF pg_terminate_backend(v_pid) THEN
                PERFORM app.record_event(p_job_id, p_run, p_stage, 'planner_ended', jsonb_build_object('pid', v_pid));
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            -- It is of another role: all that can be done is to wait for it, and come back.
            NULL;
        END;
    END IF;
    PERFORM pg_advisory_xact_lock(v_stage);
    RETURN app.may_plan(p_job_id, p_run, p_stage, p_fence);
END $$;

-- Whether this claim of a stage's planning is the newest.
CREATE OR REPLACE FUNCTION app.may_plan(p_job_id text, p_run integer, p_stage integer, p_fence bigint) RETURNS boolean
LANGUAGE sql VOLATILE AS $$
    SELECT EXISTS (SELECT 1 FROM app.jobs
                   WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'processing'
                     AND plan_fence = p_fence)
$$;
