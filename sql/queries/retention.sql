-- Retention: what is old, its removal page by page, and its archive.

-- name: old_runs
SELECT job_id, run, completed_at, is_current
FROM app.old_runs(%(before)s, %(after_at)s, %(after_job_id)s, %(after_run)s, %(limit)s)

-- name: remove_run
SELECT gone FROM app.remove_run(%(job_id)s, %(run)s, %(completed_at)s) AS gone
WHERE CASE WHEN gone IS NOT NULL THEN app.audit(%(caller)s::jsonb, 'run_removed', '{}', %(job_id)s, %(run)s)
           ELSE true END

-- name: unswept_runs
SELECT job_id, run, completed_at, false AS is_current FROM app.unswept_runs(%(limit)s)

-- name: sweep_tasks
SELECT removed, reached FROM app.sweep_run_tasks(%(job_id)s, %(run)s, %(after)s::bigint[], %(limit)s)

-- name: sweep_items
SELECT removed, reached FROM app.sweep_run_items(%(job_id)s, %(run)s, %(after)s::bigint[], %(limit)s)

-- name: sweep_logs
SELECT removed, reached FROM app.sweep_run_logs(%(job_id)s, %(run)s, %(after)s::bigint[], %(limit)s)

-- name: sweep_events
SELECT removed, reached FROM app.sweep_run_events(%(job_id)s, %(run)s, %(after)s::bigint[], %(limit)s)

-- name: forget_run
SELECT app.forget_run(%(job_id)s, %(run)s) AS done

-- name: count_run
SELECT tasks, items, events FROM app.count_run(%(job_id)s, %(run)s)

-- name: pass_clean_stages
SELECT app.pass_clean_stages(now() - %(age)s::interval, %(limit)s) AS passed

-- name: uncleaned_stages
SELECT job_id, run, stage, completed_at, listing FROM app.uncleaned_stages(now() - %(age)s::interval, %(limit)s)

-- name: abandoned_attempts
SELECT task_index, fence
FROM app.abandoned_attempts(%(job_id)s, %(run)s, %(stage)s, %(indexes)s::integer[], %(fences)s::bigint[])

-- name: abandoned_items
SELECT task_index, fence FROM app.abandoned_items(%(job_id)s, %(run)s, %(stage)s)

-- name: sweep_attempt_items
SELECT removed, reached FROM app.sweep_attempt_items(%(job_id)s, %(run)s, %(stage)s, %(task_index)s, %(fence)s,
                                                     %(after)s::bigint[], %(limit)s)

-- name: stage_cleaned
SELECT app.stage_cleaned(%(job_id)s, %(run)s, %(stage)s, %(completed_at)s)

-- name: ended_runs
SELECT job_id, run FROM app.ended_runs(%(job_ids)s::text[], %(runs)s::integer[], now() - %(age)s::interval)

-- name: sweep_leftovers
SELECT app.sweep_leftovers(%(before)s, %(limit)s) AS removed

-- name: sweep_callbacks
SELECT app.sweep_callbacks(%(before)s, %(limit)s) AS removed

-- name: sweep_ticks
SELECT app.sweep_ticks(%(before)s, %(limit)s) AS removed

-- name: sweep_audit
SELECT app.sweep_audit(%(before)s, %(limit)s) AS removed

-- name: before
-- The time so many days ago, by the database's clock, which wrote all the others.
SELECT now() - make_interval(days => %(days)s) AS before

-- name: archived_run
-- The run as its job's row has it, or had it; no row where it was removed, retried or run again.
SELECT (jsonb_build_object('kind', 'job') || to_jsonb(j)
        - '{plan_fence,plan_lease_until,plan_attempts,plan_worker,plan_shared,plan_spared,plan_interruptions,plan_began_at,plan_heard_at}'::text[])::text AS line
FROM app.jobs j
WHERE j.job_id = %(job_id)s AND j.run = %(run)s AND j.completed_at = %(completed_at)s
UNION ALL
SELECT (jsonb_build_object('kind', 'job', 'job_type', j.job_type, 'parameters', j.parameters)
        || to_jsonb(p) - 'removed_at')::text
FROM app.past_runs p JOIN app.jobs j USING (job_id)
WHERE p.job_id = %(job_id)s AND p.run = %(run)s AND p.completed_at = %(completed_at)s AND p.removed_at IS NULL

-- name: archived_stages
SELECT (jsonb_build_object('kind', 'stage') || to_jsonb(s))::text AS line
FROM app.stages s WHERE s.job_id = %(job_id)s AND s.run = %(run)s ORDER BY s.stage

-- name: archived_tasks
-- A page of tasks by stage and index. It ends early when it reaches `max_bytes`; it has a row at least.
SELECT stage, task_index, fence, elsewhere, line FROM (
    SELECT page.*, sum(octet_length(line)) OVER (ORDER BY stage, task_index) - octet_length(line) AS bytes_before
    FROM (
        SELECT t.stage, t.task_index, t.fence, t.result_location IS NOT NULL AS elsewhere,
               (jsonb_build_object('kind', 'task') || to_jsonb(t))::text AS line
        FROM app.tasks t
        WHERE t.job_id = %(job_id)s AND t.run = %(run)s
          AND (t.stage, t.task_index) > (%(after_stage)s::smallint, %(after_index)s::integer)
        ORDER BY t.stage, t.task_index
        LIMIT %(limit)s
    ) AS page
) AS measured
WHERE bytes_before < %(max_bytes)s
ORDER BY stage, task_index

-- name: archived_logs
SELECT l.stage, l.task_index, l.fence, (jsonb_build_object('kind', 'log') || to_jsonb(l))::text AS line
FROM app.task_logs l
WHERE l.job_id = %(job_id)s AND l.run = %(run)s
  AND (l.stage, l.task_index, l.fence) > (%(after_stage)s::smallint, %(after_index)s::integer, %(after_fence)s::bigint)
ORDER BY l.stage, l.task_index, l.fence LIMIT %(limit)s

-- name: archived_events
SELECT e.event_id, (jsonb_build_object('kind', 'event') || to_jsonb(e))::text AS line
FROM app.job_events e
WHERE e.job_id = %(job_id)s AND e.run = %(run)s AND e.event_id > %(after_event_id)s
ORDER BY e.event_id LIMIT %(limit)s
