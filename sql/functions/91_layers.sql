-- Tables of features: what of their life needs more than one plain statement (services/vector/publishing.py).

-- Whether the attempt holds its task; if so the task cannot be given to another before this transaction ends.
CREATE OR REPLACE FUNCTION app.hold_task(
    p_job_id text, p_run integer, p_stage integer, p_task_index integer, p_fence bigint
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    PERFORM 1 FROM app.tasks t
    WHERE t.job_id = p_job_id AND t.run = p_run AND t.stage = p_stage AND t.task_index = p_task_index
      AND t.fence = p_fence AND t.status = 'processing' FOR SHARE;
    RETURN FOUND;
END $$;

-- Staging tables whose runs ended before a time, or are no more; the oldest first.
CREATE OR REPLACE FUNCTION app.abandoned_staging(p_before timestamptz, p_limit integer) RETURNS SETOF text
LANGUAGE sql STABLE AS $$
    SELECT s.name FROM geo.staging_tables s
    WHERE s.created_at < p_before AND EXISTS (
        SELECT 1 FROM app.ended_runs(ARRAY[s.job_id], ARRAY[s.run], p_before))
    ORDER BY s.created_at LIMIT p_limit
$$;

-- Delete the rejected features of runs that are no more; answers how many.
CREATE OR REPLACE FUNCTION app.sweep_rejected(p_limit integer) RETURNS bigint LANGUAGE sql AS $$
    WITH gone AS (
        DELETE FROM geo.rejected_features WHERE ctid = ANY (ARRAY(
            SELECT f.ctid FROM geo.rejected_features f
            WHERE NOT EXISTS (SELECT 1 FROM app.jobs j WHERE j.job_id = f.job_id AND j.run = f.run)
              AND NOT EXISTS (SELECT 1 FROM app.past_runs p WHERE p.job_id = f.job_id AND p.run = f.run)
            LIMIT p_limit))
        RETURNING 1)
    SELECT count(*) FROM gone
$$;

-- Give a table the privileges that others were granted on another one, which it is about to replace.
CREATE OR REPLACE FUNCTION app.copy_grants(p_from regclass, p_to regclass) RETURNS void LANGUAGE plpgsql AS $$
DECLARE g record;
BEGIN
    FOR g IN
        SELECT a.privilege_type, a.is_grantable,
               CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END AS grantee
        FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = p_from AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s%s', g.privilege_type, p_to, g.grantee,
                       CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
END $$;
