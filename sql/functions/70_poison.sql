-- Messages that cannot be processed: recorded once, then the job or task they name is told.

-- Record a message. False: it was recorded before.
CREATE OR REPLACE FUNCTION app.record_poison(
    p_queue text, p_message_id text, p_reason text, p_raw text, p_bytes integer, p_dequeue_count integer,
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer, p_correlation_id text,
    p_action text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE v_new boolean;
BEGIN
    INSERT INTO app.poison_messages (queue, message_id, reason, raw, bytes, dequeue_count,
                                     job_id, run, stage, first, last, correlation_id, action)
    VALUES (p_queue, p_message_id, p_reason, p_raw, p_bytes, p_dequeue_count,
            p_job_id, p_run, p_stage, p_first, p_last, p_correlation_id, p_action)
    ON CONFLICT DO NOTHING;
    v_new := FOUND;
    IF v_new AND p_job_id IS NOT NULL THEN
        PERFORM app.record_event(j.job_id, j.run, p_stage, 'poison_recorded',
            jsonb_build_object('queue', p_queue, 'message_id', p_message_id, 'reason', p_reason))
        FROM app.jobs j WHERE j.job_id = p_job_id;
    END IF;
    IF v_new THEN
        PERFORM app.add_totals('poison', ARRAY[p_queue], ARRAY[p_action], ARRAY[1], NULL);
    END IF;
    RETURN v_new;
END $$;

-- Wake the work that a given-up message was about, if it still waits. By the dispatch that speaks for it, where there
-- is one: another would be sent again beside it from then on, and each of its messages might be given up too.
CREATE OR REPLACE FUNCTION app.dispatch_again(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer
) RETURNS boolean LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE v_queue text;
BEGIN
    PERFORM 1 FROM app.jobs
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status IN ('queued', 'processing');
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    v_queue := CASE WHEN p_first IS NULL THEN 'jobs' ELSE 'tasks' END;
    IF NOT EXISTS (SELECT 1 FROM app.outbox
                   WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = v_queue
                     AND first IS NOT DISTINCT FROM p_first AND last IS NOT DISTINCT FROM p_last) THEN
        INSERT INTO app.outbox (queue, job_id, run, stage, first, last)
        VALUES (v_queue, p_job_id, p_run, p_stage, p_first, p_last);
    END IF;
    UPDATE app.outbox SET sent_at = NULL, redeliver_at = NULL, taken_until = NULL
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND queue = v_queue
      AND first IS NOT DISTINCT FROM p_first AND last IS NOT DISTINCT FROM p_last AND sent_at IS NOT NULL;
    RETURN true;
END $$;

-- The same, because somebody asks for it.
CREATE OR REPLACE FUNCTION app.replay_message(
    p_poison_id bigint, p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF NOT app.dispatch_again(p_job_id, p_run, p_stage, p_first, p_last) THEN
        RETURN false;
    END IF;
    PERFORM app.record_action(p_job_id, p_run, p_stage, 'message_replayed',
                              jsonb_build_object('poison_id', p_poison_id));
    RETURN true;
END $$;

-- Fail the named tasks that are not terminal yet. Answers how many; null where no such task is there.
CREATE OR REPLACE FUNCTION app.fail_tasks(
    p_job_id text, p_run integer, p_stage integer, p_first integer, p_last integer, p_error text
) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
DECLARE
    v_queued integer[];
    v_running integer[];
BEGIN
    PERFORM 1 FROM app.jobs WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND status = 'processing';
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT array_agg(task_index) FILTER (WHERE status = 'queued'),
           array_agg(task_index) FILTER (WHERE status = 'processing')
    INTO v_queued, v_running
    FROM (SELECT task_index, status FROM app.tasks
          WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index BETWEEN p_first AND p_last
            AND status IN ('queued', 'processing')
          ORDER BY task_index FOR UPDATE) AS named;
    IF v_queued IS NULL AND v_running IS NULL THEN
        RETURN (SELECT 0 FROM app.tasks
                WHERE job_id = p_job_id AND run = p_run AND stage = p_stage AND task_index BETWEEN p_first AND p_last
                LIMIT 1);
    END IF;
    UPDATE app.tasks
    SET status = 'failed', error = p_error, fence = NULL, lease_until = NULL, completed_at = clock_timestamp()
    WHERE job_id = p_job_id AND run = p_run AND stage = p_stage
      AND task_index BETWEEN p_first AND p_last AND task_index = ANY (v_queued || v_running);
    PERFORM app.count_tasks(p_job_id, p_run, p_stage,
        p_queued => -coalesce(cardinality(v_queued), 0), p_processing => -coalesce(cardinality(v_running), 0),
        p_failed => cardinality(v_queued || v_running));
    PERFORM app.record_event(p_job_id, p_run, p_stage, 'tasks_failed',
        jsonb_build_object('error', p_error), v_queued || v_running);
    PERFORM app.check_policy(p_job_id, p_run, p_stage);
    RETURN cardinality(v_queued || v_running);
END $$;
