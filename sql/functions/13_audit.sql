-- Who asks for what, written down in the transaction that does it.

-- Say who asks, until the transaction ends; null: nobody, the app does it by itself. Answers the value. As an argument
-- of a step it is evaluated before that step, so that one statement says who asks and does it.
CREATE OR REPLACE FUNCTION app.asked_by(p_caller jsonb, p_value text) RETURNS text
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('app.caller', coalesce(p_caller::text, ''), true);
    RETURN p_value;
END $$;

CREATE OR REPLACE FUNCTION app.caller() RETURNS jsonb
LANGUAGE sql STABLE AS $$ SELECT nullif(current_setting('app.caller', true), '')::jsonb $$;

-- Keep for good what a caller does; without one, nothing. Always true, so that it can be a condition of what does it.
CREATE OR REPLACE FUNCTION app.audit(
    p_caller jsonb, p_action text, p_detail jsonb, p_job_id text DEFAULT NULL, p_run integer DEFAULT NULL
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF p_caller IS NOT NULL THEN
        INSERT INTO audit.actions (action, kind, name, object_id, correlation_id, job_id, run, detail)
        VALUES (p_action, p_caller ->> 'kind', p_caller ->> 'name', p_caller ->> 'id', p_caller ->> 'correlation_id',
                p_job_id, p_run, p_detail);
    END IF;
    RETURN true;
END $$;

-- Record what a caller does to a job: in its history, which goes when the run is removed, and for good.
CREATE OR REPLACE FUNCTION app.record_action(
    p_job_id text, p_run integer, p_stage integer, p_event text, p_detail jsonb DEFAULT '{}',
    p_tasks integer[] DEFAULT NULL
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE v_caller jsonb := app.caller();
BEGIN
    PERFORM app.record_event(p_job_id, p_run, p_stage, p_event, CASE WHEN v_caller IS NULL THEN p_detail
        ELSE p_detail || jsonb_build_object('by', v_caller - 'correlation_id') END, p_tasks);
    PERFORM app.audit(v_caller, p_event, p_detail - 'correlation_id', p_job_id, p_run);
END $$;

-- Delete what was done before a time. Answers how many rows. Locks none before: that takes the right to change them.
CREATE OR REPLACE FUNCTION app.sweep_audit(p_before timestamptz, p_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    DELETE FROM audit.actions WHERE action_id = ANY (ARRAY(
        SELECT action_id FROM audit.actions WHERE at < p_before ORDER BY at LIMIT p_limit));
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
