-- The engine's calls into the protocol (sql/functions), one for each step.

-- name: submit_job
-- Who asks, and which trace it belongs to, is kept in the same transaction; the condition is always true.
SELECT * FROM app.submit_job(app.asked_by(%(caller)s::jsonb, %(job_id)s), %(job_type)s, %(parameters)s::jsonb, %(total_stages)s,
                             %(correlation_id)s, %(rerun)s) AS s
WHERE app.keep_trace(%(job_id)s, s.created, %(traceparent)s) IS NOT NULL

-- name: cancel_job
SELECT * FROM app.cancel_job(app.asked_by(%(caller)s::jsonb, %(job_id)s))

-- name: count_tasks_of_run
SELECT coalesce(sum(s.task_count), 0) AS tasks FROM app.jobs j JOIN app.stages s USING (job_id, run)
WHERE j.job_id = %(job_id)s

-- name: retry_job
SELECT * FROM app.retry_job(app.asked_by(%(caller)s::jsonb, %(job_id)s), %(correlation_id)s) AS s
WHERE app.keep_trace(%(job_id)s, s.changed, %(traceparent)s) IS NOT NULL

-- name: job_request
-- What was asked: enough to ask for it again.
SELECT job_type, parameters, run, status FROM app.jobs WHERE job_id = %(job_id)s

-- name: fail_job
SELECT app.fail_job(%(job_id)s, %(run)s, %(stage)s, %(error)s) AS changed

-- name: current_stage
SELECT run, stage FROM app.jobs WHERE job_id = %(job_id)s

-- name: claim_plan
SELECT job_id, job_type, parameters, run, stage, total_stages, plan_fence, correlation_id, traceparent,
       app.limited('job:' || job_type) IS NOT NULL AS limited
FROM app.claim_plan(%(job_id)s, %(run)s, %(stage)s, %(worker)s, %(lease)s, %(max_attempts)s)

-- name: release_plan
SELECT app.release_plan(%(job_id)s, %(fence)s, %(error)s)

-- name: complete_job
SELECT app.complete_job(%(job_id)s, %(run)s, %(stage)s, %(fence)s, %(result)s::jsonb) AS done

-- name: copy_tasks
COPY app.tasks (job_id, run, stage, task_index, parameters) FROM STDIN

-- name: count_items
-- How many tasks its items make at most: those of attempts that failed are not sorted out.
SELECT count(*) AS n FROM app.stage_items WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s

-- name: count_results
SELECT task_count AS n FROM app.stages WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s

-- name: insert_tasks_from_items
SELECT app.insert_tasks_from_items(%(job_id)s, %(run)s, %(stage)s, %(limit)s) AS n

-- name: insert_tasks_from_item_groups
SELECT n, keyless_task, keyless_seq
FROM app.insert_tasks_from_item_groups(%(job_id)s, %(run)s, %(stage)s, %(group_by)s, %(limit)s)

-- name: insert_tasks_from_results
SELECT app.insert_tasks_from_results(%(job_id)s, %(run)s, %(stage)s, %(select)s::jsonb, %(limit)s) AS n

-- name: seal_stage
SELECT app.seal_stage(%(job_id)s, %(run)s, %(stage)s, %(fence)s, %(worker)s, %(stage_key)s, %(task_type)s,
                      %(task_count)s, %(batch_size)s, %(parameters)s::jsonb, %(on_failure)s::app.failure_policy,
                      %(max_failed_fraction)s, %(max_attempts)s, %(canary)s) AS sealed

-- name: begin_fan_out
SELECT app.begin_fan_out(%(job_id)s, %(run)s, %(stage)s, %(fence)s, %(patience)s) AS begun

-- name: judge_canary
SELECT app.judge_canary(%(job_id)s, %(run)s, %(stage)s, %(worker)s) AS judged

-- name: finish_stage
SELECT app.finish_stage(%(job_id)s, %(run)s, %(stage)s, %(worker)s) AS moved

-- name: stage_span
-- What the span of a stage says that has ended; no row where it has not.
SELECT j.job_type, j.traceparent, s.stage_key, s.task_type, s.status, s.task_count, s.error, s.created_at, s.completed_at
FROM app.stages s JOIN app.jobs j USING (job_id, run)
WHERE s.job_id = %(job_id)s AND s.run = %(run)s AND s.stage = %(stage)s
  AND s.completed_at IS NOT NULL AND j.traceparent IS NOT NULL

-- name: check_policy
SELECT FROM app.check_policy(%(job_id)s, %(run)s, %(stage)s)

-- name: sweep_stage
SELECT app.sweep_stage(%(job_id)s, %(run)s, %(stage)s, %(limit)s) AS swept

-- name: stage_results
SELECT result FROM app.stages
WHERE job_id = %(job_id)s AND run = %(run)s AND result IS NOT NULL ORDER BY stage

-- name: outcomes_page
-- The next outcomes of a stage by task index; a keyset page, so that no cursor is held open.
SELECT task_index, status, result, result_location ->> 'url' AS result_url, error
FROM app.tasks
WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s AND task_index > %(after)s
ORDER BY task_index LIMIT %(limit)s

-- name: claim_tasks
SELECT c.task_index, c.attempt, c.fence, c.parameters::text AS parameters, c.task_type, c.max_attempts,
       s.canary, s.limited, s.job_type, s.traceparent
FROM app.claim_tasks(%(job_id)s, %(run)s, %(stage)s, %(first)s, %(last)s, %(worker)s, %(lease)s) AS c
CROSS JOIN (SELECT held_from IS NOT NULL AS canary, app.limited('task:' || task_type) IS NOT NULL AS limited,
                   job_type, traceparent
            FROM app.stages JOIN app.jobs USING (job_id, run, stage)
            WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s OFFSET 0) AS s
ORDER BY c.task_index

-- name: after_no_claim
SELECT to_sweep, unparked FROM app.after_no_claim(%(job_id)s, %(run)s, %(stage)s, %(first)s, %(last)s)

-- name: unpark
SELECT app.unpark(%(limited_type)s) AS unparked

-- name: reconcile_limits
SELECT app.reconcile_limits() AS unparked

-- name: limits
SELECT limited_type, at_most, app.running_of(limited_type) AS running,
       (SELECT count(*) FROM app.outbox WHERE parked = limited_type) AS messages_waiting, updated_at
FROM app.concurrency_limits ORDER BY limited_type

-- name: set_limit
SELECT FROM app.set_limit(%(limited_type)s, %(at_most)s)
WHERE app.audit(%(caller)s::jsonb, 'limit_set',
                jsonb_build_object('type', %(limited_type)s::text, 'at_most', %(at_most)s::integer))

-- name: extend_leases
SELECT job_id, run, stage, task_index, job_status
FROM app.extend_leases(%(job_ids)s::text[], %(runs)s::integer[], %(stages)s::integer[], %(indexes)s::integer[],
                       %(fences)s::bigint[], %(lease)s)

-- name: extend_plans
SELECT job_id, fence FROM app.extend_plans(%(job_ids)s::text[], %(fences)s::bigint[], %(lease)s)

-- name: postpone_dispatch
SELECT app.postpone_dispatch(%(job_id)s, %(run)s, %(stage)s, %(first)s, %(last)s, %(delay)s) AS postponed

-- name: finish_tasks
-- What was accepted is counted in the same transaction, except for what was given back before it began.
WITH finished AS MATERIALIZED (
    SELECT task_index, status
    FROM app.finish_tasks(%(job_id)s, %(run)s, %(stage)s, %(worker)s, %(indexes)s::integer[], %(fences)s::bigint[],
                          %(outcomes)s::text[], %(results)s::jsonb[], %(locations)s::jsonb[], %(errors)s::text[],
                          %(delays)s::double precision[], %(usages)s::jsonb[], %(usage)s::jsonb)
), logged AS MATERIALIZED (
    -- Most attempts log nothing: then nothing is called.
    SELECT CASE WHEN %(logs)s::jsonb IS NOT NULL
                THEN app.keep_task_logs(%(job_id)s, %(run)s, %(stage)s, %(logs)s::jsonb, array_agg(task_index)) END AS kept
    FROM finished
), counted AS MATERIALIZED (
    SELECT app.add_totals('attempts', array_agg(s.task_type),
                          array_agg(CASE f.status WHEN 'queued' THEN r.outcome ELSE f.status::text END),
                          array_agg(1::bigint), array_agg(r.seconds)) AS totals
    FROM finished f
    JOIN unnest(%(indexes)s::integer[], %(outcomes)s::text[], %(seconds)s::double precision[])
         AS r (task_index, outcome, seconds) USING (task_index)
    CROSS JOIN (SELECT task_type FROM app.stages
                WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s OFFSET 0) AS s
    -- Before it, since totals are added last.
    CROSS JOIN logged
    WHERE r.seconds IS NOT NULL OR r.outcome <> 'deferred'
)
SELECT f.task_index, f.status FROM finished f CROSS JOIN counted

-- name: copy_items
COPY app.stage_items (job_id, run, stage, task_index, fence, seq, item) FROM STDIN

-- name: take_dispatches
SELECT dispatch_id, queue, job_id, run, stage, first, last, delay_seconds, correlation_id,
       (SELECT traceparent FROM app.jobs j WHERE j.job_id = d.job_id) AS traceparent
FROM app.take_dispatches(%(job_id)s, %(limit)s, %(hold)s) AS d

-- name: mark_sent
SELECT app.mark_sent(%(dispatch_ids)s::bigint[], %(redelivery)s, %(longest)s)

-- name: release_dispatches
SELECT app.release_dispatches(%(dispatch_ids)s::bigint[])

-- name: reconcile_leases
WITH lost AS MATERIALIZED (
    SELECT job_id, run, stage, task_index, status FROM app.reconcile_leases(%(limit)s, %(patience)s, %(lease)s)
), counted AS MATERIALIZED (
    SELECT app.add_totals('attempts', array_agg(s.task_type), array_agg('lease_lost'::text), array_agg(l.n), NULL) AS totals
    FROM (SELECT job_id, run, stage, count(*) AS n FROM lost GROUP BY job_id, run, stage) AS l
    -- OFFSET keeps this a look-up by the whole key, whatever the statistics say.
    CROSS JOIN LATERAL (SELECT task_type FROM app.stages
                        WHERE job_id = l.job_id AND run = l.run AND stage = l.stage OFFSET 0) AS s
)
SELECT l.job_id, l.run, l.stage, l.task_index, l.status FROM lost l CROSS JOIN counted

-- name: expect_waiting
SELECT app.expect_waiting(%(queue)s, %(front)s, %(margin)s, %(longest)s, %(limit)s) AS n

-- name: expect_passed
SELECT app.expect_passed(%(queue)s, %(front)s, %(margin)s, %(limit)s) AS n

-- name: reconcile_plans
SELECT job_id, run, stage FROM app.reconcile_plans()

-- name: stalled_stages
SELECT job_id, run, stage, rule FROM app.stalled_stages()

-- name: reconcile_dispatches
SELECT job_id, run, stage, redelivered FROM app.reconcile_dispatches(%(limit)s)

-- name: reconcile_undispatched
SELECT job_id, run, stage, dispatched FROM app.reconcile_undispatched()

-- name: reconcile_counters
SELECT job_id, run, stage FROM app.reconcile_counters()

-- name: add_reconciled
-- A total for each rule that moved something, and one for the run of the reconciler itself.
SELECT app.add_totals('reconciled', %(rules)s::text[], %(outcomes)s::text[], %(counts)s::bigint[], NULL) AS totals

-- name: record_poison
SELECT app.record_poison(%(queue)s, %(message_id)s, %(reason)s, %(raw)s, %(bytes)s, %(dequeue_count)s,
                         %(job_id)s, %(run)s, %(stage)s, %(first)s, %(last)s, %(correlation_id)s,
                         %(action)s) AS recorded

-- name: named_by_poison
SELECT p.job_id, p.run, p.stage, p.first, p.last, j.status, j.run AS current_run, j.stage AS current_stage
FROM app.poison_messages p LEFT JOIN app.jobs j USING (job_id)
WHERE p.poison_id = %(poison_id)s

-- name: count_raised
-- How many messages about this work raised an error of its own since somebody last took it up, and the newest error.
SELECT count(*) AS n, (array_agg(p.reason ORDER BY p.poison_id DESC))[1] AS reason
FROM app.poison_messages p
WHERE p.job_id = %(job_id)s AND p.run = %(run)s AND p.stage = %(stage)s AND p.first IS NOT DISTINCT FROM %(first)s
  AND p.action = 'raised'
  AND NOT EXISTS (SELECT 1 FROM app.tasks t
                  WHERE t.job_id = %(job_id)s AND t.run = %(run)s AND t.stage = %(stage)s
                    AND t.task_index BETWEEN %(first)s AND %(last)s AND t.started_at > p.recorded_at)
  AND NOT (p.first IS NULL
           AND EXISTS (SELECT 1 FROM app.stages s
                       WHERE s.job_id = %(job_id)s AND s.run = %(run)s AND s.stage = %(stage)s))

-- name: dispatch_again
SELECT app.dispatch_again(%(job_id)s, %(run)s, %(stage)s, %(first)s, %(last)s) AS dispatched

-- name: replay_message
SELECT app.replay_message(%(poison_id)s, app.asked_by(%(caller)s::jsonb, %(job_id)s), %(run)s, %(stage)s,
                          %(first)s, %(last)s) AS dispatched

-- name: fail_tasks
SELECT app.fail_tasks(%(job_id)s, %(run)s, %(stage)s, %(first)s, %(last)s, %(error)s) AS failed
