-- What runs took, and what is to be expected of the next. Read-only.

-- name: run
-- A run of a job: the current one, or an earlier one that is not being removed.
SELECT j.job_type, j.run AS current_run, coalesce(%(run)s::integer, j.run) AS run,
       CASE WHEN coalesce(%(run)s::integer, j.run) = j.run THEN j.plan_seconds + app.planned_for(j, clock_timestamp())
            ELSE p.plan_seconds END AS planning_seconds,
       CASE WHEN coalesce(%(run)s::integer, j.run) = j.run THEN j.status ELSE p.status END AS status
FROM app.jobs j
LEFT JOIN app.past_runs p ON p.job_id = j.job_id AND p.run = %(run)s::integer AND p.removed_at IS NULL
WHERE j.job_id = %(job_id)s

-- name: stages
-- What the stages of a run took; those, too, that a retry made forgotten.
SELECT c.stage, s.stage_key, s.task_type, coalesce(s.task_count, 0) AS tasks,
       sum(c.attempts)::bigint AS attempts, sum(c.seconds) AS seconds, sum(c.gb_seconds) AS gb_seconds,
       sum(c.operations)::bigint AS operations, sum(c.bytes_read)::bigint AS bytes_read,
       sum(c.bytes_written)::bigint AS bytes_written, max(c.peak_bytes) AS peak_bytes
FROM app.stage_counters c LEFT JOIN app.stages s USING (job_id, run, stage)
WHERE c.job_id = %(job_id)s AND c.run = %(run)s
GROUP BY c.stage, s.stage_key, s.task_type, s.task_count
HAVING s.stage_key IS NOT NULL OR sum(c.attempts) > 0
ORDER BY c.stage

-- name: standing
-- Whether a job is there, and the number of the run that would be its next.
SELECT j.status, coalesce(j.run, (SELECT max(highest_run) FROM app.removed_jobs
                                  WHERE first_digits = left(%(job_id)s, 4)), 0) AS run
FROM (SELECT 1) AS one LEFT JOIN app.jobs j ON j.job_id = %(job_id)s

-- name: past_stages
-- The stages of the newest runs of the same job that completed, and of others of its type: of the newest 1,000
-- jobs that ended, so that a type that nobody has asked for in years costs no more. Planning is that of the whole run;
-- 0 of runs from before it was measured.
WITH same AS (
    SELECT job_id, run, plan_seconds, true AS same_job FROM (
        SELECT job_id, run, plan_seconds FROM app.jobs
        WHERE job_id = %(job_id)s AND status IN ('completed', 'completed_with_errors')
        UNION ALL
        SELECT job_id, run, plan_seconds FROM app.past_runs
        WHERE job_id = %(job_id)s AND status IN ('completed', 'completed_with_errors') AND removed_at IS NULL
    ) AS runs ORDER BY run DESC LIMIT %(runs)s
), others AS (
    SELECT job_id, run, plan_seconds, false AS same_job FROM (
        SELECT job_id, run, plan_seconds, job_type, status, completed_at FROM app.jobs
        WHERE completed_at IS NOT NULL ORDER BY completed_at DESC LIMIT 1000
    ) AS ended
    WHERE job_type = %(job_type)s AND status IN ('completed', 'completed_with_errors') AND job_id <> %(job_id)s
    ORDER BY completed_at DESC LIMIT %(runs)s
)
SELECT r.job_id, r.run, r.same_job, r.plan_seconds AS planning_seconds, s.stage, s.task_count AS tasks, c.*
FROM (SELECT * FROM same UNION ALL SELECT * FROM others) AS r
JOIN app.stages s USING (job_id, run)
CROSS JOIN LATERAL (
    SELECT sum(attempts)::bigint AS attempts, sum(seconds) AS seconds, sum(gb_seconds) AS gb_seconds,
           sum(operations)::bigint AS operations, sum(bytes_read)::bigint AS bytes_read,
           sum(bytes_written)::bigint AS bytes_written, max(peak_bytes) AS peak_bytes
    FROM app.stage_counters n WHERE n.job_id = s.job_id AND n.run = s.run AND n.stage = s.stage
) AS c
ORDER BY r.same_job DESC, r.job_id, r.run, s.stage
