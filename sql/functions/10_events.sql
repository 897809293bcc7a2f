-- What every step of the protocol shares: history and progress.

-- Indexes as the fewest ranges that hold them.
CREATE OR REPLACE FUNCTION app.task_ranges(p_indexes integer[]) RETURNS int4multirange
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT range_agg(int4range(i, i, '[]')) FROM unnest(p_indexes) AS i
$$;

CREATE OR REPLACE FUNCTION app.record_event(
    p_job_id text, p_run integer, p_stage integer, p_event text,
    p_detail jsonb DEFAULT '{}', p_tasks integer[] DEFAULT NULL, p_worker text DEFAULT NULL
) RETURNS void LANGUAGE sql AS $$
    INSERT INTO app.job_events (job_id, run, stage, event, tasks, detail, worker)
    VALUES (p_job_id, p_run, p_stage, p_event, app.task_ranges(p_tasks), p_detail, p_worker)
$$;

-- Add differences to one of the stage's counter rows: to one that nobody else holds, if there is any.
CREATE OR REPLACE FUNCTION app.count_tasks(
    p_job_id text, p_run integer, p_stage integer,
    p_queued bigint DEFAULT 0, p_processing bigint DEFAULT 0, p_completed bigint DEFAULT 0,
    p_failed bigint DEFAULT 0, p_cancelled bigint DEFAULT 0
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_slot smallint;
BEGIN
    SELECT slot INTO v_slot FROM app.stage_counters
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage
    LIMIT 1 FOR UPDATE SKIP LOCKED;
    UPDATE app.stage_counters
    SET queued = queued + p_queued, processing = processing + p_processing, completed = completed + p_completed,
        failed = failed + p_failed, cancelled = cancelled + p_cancelled
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND slot = coalesce(v_slot, pg_backend_pid() % 8);
END $$;

-- Set the stage's counters to what the rows say. Every counter row is locked before counting: whoever
-- changed tasks and has not committed still waits for its counter row, and adds its difference afterwards.
CREATE OR REPLACE FUNCTION app.recount_stage(p_job_id text, p_run integer, p_stage integer) RETURNS void
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    INSERT INTO app.stage_counters (job_id, run, stage, slot)
    SELECT p_job_id, p_run, p_stage, slot FROM generate_series(0, 7) AS slot
    ON CONFLICT DO NOTHING;
    PERFORM 1 FROM app.stage_counters
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage ORDER BY slot FOR UPDATE;
    UPDATE app.stage_counters c
    SET queued = coalesce(n.queued, 0), processing = coalesce(n.processing, 0), completed = coalesce(n.completed, 0),
        failed = coalesce(n.failed, 0), cancelled = coalesce(n.cancelled, 0)
    FROM generate_series(0, 7) AS slots (slot)
    LEFT JOIN (
        SELECT 0 AS slot,
               count(*) FILTER (WHERE status = 'queued') AS queued,
               count(*) FILTER (WHERE status = 'processing') AS processing,
               count(*) FILTER (WHERE status = 'completed') AS completed,
               count(*) FILTER (WHERE status = 'failed') AS failed,
               count(*) FILTER (WHERE status = 'cancelled') AS cancelled
        FROM app.tasks WHERE job_id = p_job_id AND run = p_run AND stage = p_stage
    ) n USING (slot)
    WHERE c.job_id = p_job_id AND c.run = p_run AND c.stage = p_stage AND c.slot = slots.slot;
END $$;

-- The single key of the lock under which a job's stage is advanced.
CREATE OR REPLACE FUNCTION app.lock_job(p_job_id text) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtextextended(p_job_id, 0)) $$;

-- Claims share this lock until they commit, and a cancellation takes it alone: so no claim that saw the job
-- running is still under way when the cancellation commits. Claims never wait for each other.
CREATE OR REPLACE FUNCTION app.lock_claims(p_job_id text) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock(hashtextextended('claims of ' || p_job_id, 0)) $$;

CREATE OR REPLACE FUNCTION app.share_claims(p_job_id text) RETURNS void
LANGUAGE sql AS $$ SELECT pg_advisory_xact_lock_shared(hashtextextended('claims of ' || p_job_id, 0)) $$;
