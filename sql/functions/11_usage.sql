-- What work takes: added up while outcomes are written, at no statement's extra cost.

-- Add differences to one of the stage's counter rows, as count_tasks does, and what the attempts took that
-- made them.
CREATE OR REPLACE FUNCTION app.count_work(
    p_job_id text, p_run integer, p_stage integer, p_processing bigint, p_queued bigint, p_completed bigint,
    p_failed bigint, p_cancelled bigint, p_usage jsonb
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_slot smallint;
BEGIN
    SELECT slot INTO v_slot FROM app.stage_counters
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage
    LIMIT 1 FOR UPDATE SKIP LOCKED;
    UPDATE app.stage_counters
    SET queued = queued + p_queued, processing = processing + p_processing, completed = completed + p_completed,
        failed = failed + p_failed, cancelled = cancelled + p_cancelled,
        attempts = attempts + coalesce((p_usage ->> 'attempts')::bigint, 0),
        seconds = seconds + coalesce((p_usage ->> 'seconds')::float8, 0),
        gb_seconds = gb_seconds + coalesce((p_usage ->> 'gb_seconds')::float8, 0),
        operations = operations + coalesce((p_usage ->> 'operations')::bigint, 0),
        bytes_read = bytes_read + coalesce((p_usage ->> 'bytes_read')::bigint, 0),
        bytes_written = bytes_written + coalesce((p_usage ->> 'bytes_written')::bigint, 0),
        peak_bytes = greatest(peak_bytes, (p_usage ->> 'peak_bytes')::bigint)
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND slot = coalesce(v_slot, pg_backend_pid() % 8);
END $$;

-- What a task's attempts took together, with one more.
CREATE OR REPLACE FUNCTION app.with_usage(p_before jsonb, p_more jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_before IS NULL THEN p_more WHEN p_more IS NULL THEN p_before ELSE (
        SELECT jsonb_object_agg(key, amount)
        FROM (SELECT key, CASE key WHEN 'peak_bytes' THEN max(value::numeric) ELSE sum(value::numeric) END AS amount
              FROM (SELECT * FROM jsonb_each_text(p_before) UNION ALL SELECT * FROM jsonb_each_text(p_more)) AS both_of
              GROUP BY key) AS added)
    END
$$;
