-- Published COGs, and publications under way (services/cog/publishing.py says in which order they are called).

-- Whether an attempt still holds its task. Once it does not, it never will again: no fence comes twice.
CREATE OR REPLACE FUNCTION app.attempt_holds(
    p_job_id text, p_run integer, p_stage integer, p_task_index integer, p_fence bigint
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT 1 FROM app.tasks
                   WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index = p_task_index
                     AND fence = p_fence AND status = 'processing')
$$;

-- What is known of a target, and of the publication with this mark there, at one moment.
CREATE OR REPLACE FUNCTION app.find_cog(p_container text, p_name text, p_publication text)
RETURNS TABLE (cog jsonb, under_way jsonb, live boolean) LANGUAGE sql STABLE AS $$
    SELECT (SELECT to_jsonb(c) FROM geo.cogs c WHERE c.container = p_container AND c.name = p_name),
           u.cog, u.publication IS NOT NULL AND app.attempt_holds(u.job_id, u.run, u.stage, u.task_index, u.fence)
    FROM (SELECT 1) AS always
    LEFT JOIN geo.cog_publications u
        ON u.container = p_container AND u.name = p_name AND u.publication = p_publication
$$;

-- Note what an attempt is about to publish, if it holds its task. Again, by the same attempt: it still means to.
CREATE OR REPLACE FUNCTION app.begin_publication(p_publication text, p_cog jsonb) RETURNS boolean
LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    INSERT INTO geo.cog_publications (container, name, publication, job_id, run, stage, task_index, fence, cog)
    SELECT p_cog ->> 'container', p_cog ->> 'name', p_publication, t.job_id, t.run, t.stage, t.task_index, t.fence, p_cog
    FROM app.tasks t
    WHERE t.job_id = p_cog ->> 'job_id' AND t.run = (p_cog ->> 'run')::integer
      AND t.stage = (p_cog ->> 'stage')::integer AND t.task_index = (p_cog ->> 'task_index')::integer
      AND t.fence = (p_cog ->> 'fence')::bigint AND t.status = 'processing'
    ON CONFLICT (container, name, publication) DO UPDATE SET cog = EXCLUDED.cog, began_at = now();
    RETURN FOUND;
END $$;

-- The target is what this publication copied there. Only over a row of the publication `p_over` (null: only where
-- there is no row), unless `p_any`. Answers whether it was recorded.
CREATE OR REPLACE FUNCTION app.record_cog(u geo.cog_publications, p_etag text, p_any boolean, p_over text)
RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO geo.cogs (container, name, publication, job_id, run, stage, task_index, sources, parameters_hash,
                          versions, size, md5, etag, notes, item)
    VALUES (u.container, u.name, u.publication, u.job_id, u.run, u.stage, u.task_index, u.cog -> 'sources',
            u.cog ->> 'parameters_hash', u.cog -> 'versions', (u.cog -> 'size')::bigint, u.cog ->> 'md5', p_etag,
            u.cog -> 'notes', u.cog -> 'item')
    ON CONFLICT (container, name) DO UPDATE
    SET publication = EXCLUDED.publication, job_id = EXCLUDED.job_id, run = EXCLUDED.run, stage = EXCLUDED.stage,
        task_index = EXCLUDED.task_index, sources = EXCLUDED.sources, parameters_hash = EXCLUDED.parameters_hash,
        versions = EXCLUDED.versions, size = EXCLUDED.size, md5 = EXCLUDED.md5, etag = EXCLUDED.etag,
        notes = EXCLUDED.notes, item = EXCLUDED.item, published_at = now()
    WHERE p_any OR cogs.publication = p_over;
    RETURN FOUND;
END $$;

-- The attempt's own record. The task's row is locked, so that it cannot be given to another before this commits.
CREATE OR REPLACE FUNCTION app.publish_cog(p_container text, p_name text, p_publication text, p_etag text)
RETURNS SETOF geo.cogs LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE u geo.cog_publications;
BEGIN
    SELECT p.* INTO u FROM geo.cog_publications p
    WHERE p.container = p_container AND p.name = p_name AND p.publication = p_publication FOR UPDATE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM 1 FROM app.tasks t
    WHERE t.job_id = u.job_id AND t.run = u.run AND t.stage = u.stage AND t.task_index = u.task_index
      AND t.fence = u.fence AND t.status = 'processing' FOR SHARE;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    PERFORM app.record_cog(u, p_etag, true, NULL);
    -- Of earlier attempts too: the target is not as they saw it, so that nothing they still try is done.
    DELETE FROM geo.cog_publications p
    WHERE p.container = p_container AND p.name = p_name AND p.job_id = u.job_id AND p.run = u.run
      AND p.stage = u.stage AND p.task_index = u.task_index;
    RETURN QUERY SELECT c.* FROM geo.cogs c WHERE c.container = p_container AND c.name = p_name;
END $$;

-- The record of a publication whose attempt is gone, by somebody who saw its mark on the target with this etag
-- after he saw the row of `p_over`: if that is still the newest, so is what he saw.
CREATE OR REPLACE FUNCTION app.settle_publication(
    p_container text, p_name text, p_publication text, p_etag text, p_over text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE u geo.cog_publications;
BEGIN
    SELECT p.* INTO u FROM geo.cog_publications p
    WHERE p.container = p_container AND p.name = p_name AND p.publication = p_publication FOR UPDATE;
    IF NOT FOUND OR app.attempt_holds(u.job_id, u.run, u.stage, u.task_index, u.fence)
       OR NOT app.record_cog(u, p_etag, false, p_over) THEN
        RETURN false;
    END IF;
    DELETE FROM geo.cog_publications p
    WHERE p.container = p_container AND p.name = p_name AND p.publication = p_publication;
    RETURN true;
END $$;

-- Drop the intent of an attempt that is gone, or that itself found that there is nothing to publish.
CREATE OR REPLACE FUNCTION app.forget_publication(p_container text, p_name text, p_publication text) RETURNS void
LANGUAGE sql AS $$
    DELETE FROM geo.cog_publications u
    WHERE u.container = p_container AND u.name = p_name AND u.publication = p_publication
$$;

-- Intents from before a time whose attempts are gone, the oldest first.
CREATE OR REPLACE FUNCTION app.unsettled_publications(p_before timestamptz, p_limit integer) RETURNS SETOF jsonb
LANGUAGE sql STABLE AS $$
    SELECT u.cog FROM geo.cog_publications u
    WHERE u.began_at < p_before AND NOT app.attempt_holds(u.job_id, u.run, u.stage, u.task_index, u.fence)
    ORDER BY u.began_at LIMIT p_limit
$$;
