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

-- Of rows that are going to be added to a table: the first column whose type there does not hold a value, and that
-- value. PostgreSQL would round numbers, cut times off dates and drop digits without a word, wherever a cast exists.
-- Both lists are of the same columns, in the same order. Times without a zone are UTC: `TimeZone` must say so.
CREATE OR REPLACE FUNCTION app.lossy_column(
    p_from regclass, p_from_columns text[], p_to regclass, p_to_columns text[]
) RETURNS TABLE (column_name text, kind text, value text) LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
    FOR c IN
        SELECT f.attname AS source, t.attname AS target, format_type(f.atttypid, f.atttypmod) AS source_type,
               format_type(t.atttypid, t.atttypmod) AS target_type
        FROM unnest(p_from_columns, p_to_columns) AS pair (source, target)
        JOIN pg_attribute f ON f.attrelid = p_from AND f.attname = pair.source
        JOIN pg_attribute t ON t.attrelid = p_to AND t.attname = pair.target
        JOIN pg_type ft ON ft.oid = f.atttypid
        JOIN pg_type tt ON tt.oid = t.atttypid
        WHERE (f.atttypid, f.atttypmod) <> (t.atttypid, t.atttypmod)
          -- Text holds anything; what has no cast that is made on insertion, PostgreSQL refuses by itself.
          AND t.atttypid <> 'text'::regtype
          AND (f.atttypid = t.atttypid OR EXISTS (
              SELECT 1 FROM pg_cast k WHERE k.castcontext IN ('a', 'i') AND (
                  (k.castsource = f.atttypid AND k.casttarget = t.atttypid)
                  OR (ft.typcategory = 'A' AND tt.typcategory = 'A'
                      AND k.castsource = ft.typelem AND k.casttarget = tt.typelem))))
    LOOP
        BEGIN
            EXECUTE format('SELECT %1$I::text FROM %2$s WHERE %1$I::%3$s::%4$s IS DISTINCT FROM %1$I LIMIT 1',
                           c.source, p_from, c.target_type, c.source_type) INTO value;
        EXCEPTION WHEN data_exception THEN
            value := SQLERRM;
        END;
        IF value IS NOT NULL THEN
            column_name := c.target;
            kind := c.target_type;
            RETURN NEXT;
            RETURN;
        END IF;
    END LOOP;
END $$;
