-- What the API shows of jobs, stages, tasks and their history. Read-only.
--
-- Optional filters are written `%(x)s IS NULL OR …`: statements are not prepared, so the planner sees the
-- values, drops the half that is not used, and picks the index that fits. Lists of states arrive as array
-- literals ('{failed,cancelled}'), which makes them constants of the enum's own type for partial indexes.

-- name: job_status
-- What a long poll looks at, once or more a second: one row by its key.
SELECT status FROM app.jobs WHERE job_id = %(job_id)s

-- name: job
-- One job with all that a person asks about it.
SELECT job_id, job_type, parameters, status, run, least(stage, total_stages) AS stage, total_stages,
       result, error, correlation_id, plan_attempts, plan_lease_until,
       created_at, queued_at, started_at, updated_at, completed_at
FROM app.jobs WHERE job_id = %(job_id)s

-- name: job_progress
-- What a person who waits for a job asks, again and again: all but its parameters, which can be long.
SELECT job_id, job_type, status, run, least(stage, total_stages) AS stage, total_stages, result, error,
       correlation_id, submitted_by, created_at, queued_at, started_at, updated_at, completed_at, (
           SELECT jsonb_agg(jsonb_build_object(
               'job_type', f.request -> 'job_type', 'state', f.state, 'job_id', f.next_job_id, 'run', f.next_run,
               'error', f.error) ORDER BY f.follower_id)
           FROM app.followers f WHERE f.job_id = j.job_id AND f.run = j.run) AS followers
FROM app.jobs j WHERE job_id = %(job_id)s

-- name: stages
-- The planned stages of a run with their progress, from the counters.
SELECT stage, stage_key, task_type, status, task_count, batch_size, on_failure, max_failed_fraction, max_attempts,
       error, result, created_at, completed_at, queued, processing, completed, failed, cancelled
FROM app.stage_progress
WHERE job_id = %(job_id)s AND run = %(run)s
ORDER BY stage

-- name: jobs
-- Jobs, newest first. `hours`: changed within that time, so that a new run of an old job is found. `search`: words,
-- each the beginning of the id or of a word in the parameters' values, by their index; what was typed with more between
-- its words than white space is in one of the values as it was typed. `contains`: text anywhere in a value, which has no
-- index: jobs are read from the newest on until the page is full. `name`, `value`: a parameter of that name, at the top, which is that text or JSON, or a list
-- with it: by the index, whose keys may be those of something else too.
SELECT j.*, p.queued, p.processing, p.completed, p.failed, p.cancelled, p.total, p.done
FROM (
SELECT job_id, job_type, status, run, least(stage, total_stages) AS stage, total_stages, error, correlation_id,
       created_at, queued_at, started_at, updated_at, completed_at
FROM app.jobs
WHERE (%(after_at)s::timestamptz IS NULL
       OR (created_at, job_id) < (%(after_at)s::timestamptz, %(after_job_id)s::text))
  AND (%(statuses)s::app.job_status[] IS NULL OR status = ANY (%(statuses)s::app.job_status[]))
  AND (%(job_type)s::text IS NULL OR job_type = %(job_type)s::text)
  AND (%(stage)s::integer IS NULL OR least(stage, total_stages) = %(stage)s::integer)
  AND (%(hours)s::float8 IS NULL OR updated_at > now() - make_interval(secs => %(hours)s::float8 * 3600))
  AND (%(search)s::text IS NULL
       OR (app.job_words(job_id, parameters) @@ app.words_query(%(search)s::text)
           AND (%(search)s::text !~ '[^[:alnum:]\s]' AND length(%(search)s::text) <= 100 OR NOT EXISTS (
               SELECT 1 FROM regexp_split_to_table(lower(%(search)s::text), '\s+') AS term
               WHERE (term ~ '[^[:alnum:]]' OR length(term) > 100) AND NOT EXISTS (
                   SELECT 1 FROM jsonb_path_query(parameters, 'strict $.**') AS v
                   WHERE jsonb_typeof(v) IN ('string', 'number') AND position(term IN lower(v #>> '{}')) > 0)))))
  AND (%(contains)s::text IS NULL OR EXISTS (
       SELECT 1 FROM jsonb_path_query(parameters, 'strict $.**') AS v
       WHERE jsonb_typeof(v) IN ('string', 'number')
         AND position(lower(%(contains)s::text) IN lower(v #>> '{}')) > 0))
  AND (%(name)s::text IS NULL
       OR (app.parameter_keys(parameters) @> ARRAY[app.parameter_key(%(name)s::text, %(value)s::text)]
           AND EXISTS (SELECT 1 FROM app.parameter_values(parameters) AS v
                       WHERE v.name = %(name)s::text AND v.value = %(value)s::text)))
ORDER BY created_at DESC, job_id DESC
LIMIT %(limit)s
) AS j
CROSS JOIN LATERAL (
    -- The tasks of the run by state, and the sum of what part of each planned stage is done.
    SELECT coalesce(sum(queued), 0)::bigint AS queued, coalesce(sum(processing), 0)::bigint AS processing,
           coalesce(sum(completed), 0)::bigint AS completed, coalesce(sum(failed), 0)::bigint AS failed,
           coalesce(sum(cancelled), 0)::bigint AS cancelled, coalesce(sum(task_count), 0)::bigint AS total,
           coalesce(sum(CASE WHEN s.status IN ('completed', 'completed_with_errors') OR task_count = 0 THEN 1
                             ELSE least((completed + failed + cancelled)::float8 / task_count, 1) END), 0)::float8 AS done
    FROM app.stage_progress s WHERE s.job_id = j.job_id AND s.run = j.run
) AS p
ORDER BY j.created_at DESC, j.job_id DESC

-- name: tasks
-- Tasks of the current runs of all jobs: newest job first, in each by stage and index. Only the stage in which
-- the last page ended starts in its middle; the lateral limit keeps a page from reading whole stages.
SELECT j.job_id, j.job_type, s.run, s.stage, s.task_type, t.*, j.created_at AS job_created_at
FROM app.jobs j
JOIN app.stages s ON s.job_id = j.job_id AND s.run = j.run
CROSS JOIN LATERAL (
    SELECT t.task_index, t.status, t.parameters, t.attempt, t.attempts, t.usage, t.worker, t.error,
           t.due_at, t.lease_until, t.started_at, t.completed_at
    FROM app.tasks t
    WHERE t.job_id = s.job_id AND t.run = s.run AND t.stage = s.stage
      AND t.task_index > CASE WHEN j.job_id = %(after_job_id)s::text AND s.stage = %(after_stage)s::smallint
                              THEN %(after_index)s::integer ELSE -1 END
      AND (%(statuses)s::app.task_status[] IS NULL OR t.status = ANY (%(statuses)s::app.task_status[]))
      AND (%(hours)s::float8 IS NULL
           OR coalesce(t.completed_at, t.started_at, t.due_at) > now() - make_interval(secs => %(hours)s::float8 * 3600))
    ORDER BY t.task_index
    LIMIT %(limit)s
) t
WHERE (%(after_at)s::timestamptz IS NULL
       OR ((j.created_at, j.job_id) <= (%(after_at)s::timestamptz, %(after_job_id)s::text)
           AND (j.job_id <> %(after_job_id)s::text OR s.stage >= %(after_stage)s::smallint)))
  AND (%(task_type)s::text IS NULL OR s.task_type = %(task_type)s::text)
  AND (%(stage)s::integer IS NULL OR s.stage = %(stage)s::integer)
  -- A job that ended before that time has no later task.
  AND (%(hours)s::float8 IS NULL OR j.completed_at IS NULL
       OR j.completed_at > now() - make_interval(secs => %(hours)s::float8 * 3600))
ORDER BY j.created_at DESC, j.job_id DESC, s.stage, t.task_index
LIMIT %(limit)s

-- name: job_tasks
-- Tasks of one run of one job, by stage and index: the primary key's own order.
SELECT t.job_id, t.run, t.stage, s.task_type, t.task_index, t.status, t.parameters, t.attempt,
       t.attempts, t.usage, t.worker, t.error, t.due_at, t.lease_until, t.started_at, t.completed_at
FROM app.tasks t
JOIN app.stages s ON s.job_id = t.job_id AND s.run = t.run AND s.stage = t.stage
WHERE t.job_id = %(job_id)s AND t.run = %(run)s
  AND (t.stage, t.task_index) > (%(after_stage)s::smallint, %(after_index)s::integer)
  AND (%(statuses)s::app.task_status[] IS NULL OR t.status = ANY (%(statuses)s::app.task_status[]))
  AND (%(task_type)s::text IS NULL OR s.task_type = %(task_type)s::text)
  AND (%(stage)s::integer IS NULL OR t.stage = %(stage)s::integer)
  AND (%(hours)s::float8 IS NULL
       OR coalesce(t.completed_at, t.started_at, t.due_at) > now() - make_interval(secs => %(hours)s::float8 * 3600))
ORDER BY t.stage, t.task_index
LIMIT %(limit)s

-- name: result_scope
-- The run's number, and its last stage that has tasks: what results are shown of unless somebody asks otherwise.
SELECT j.run AS current_run, j.total_stages,
       (SELECT max(s.stage) FROM app.stages s
        WHERE s.job_id = j.job_id AND s.run = coalesce(%(run)s::integer, j.run) AND s.task_count > 0) AS last_stage
FROM app.jobs j WHERE j.job_id = %(job_id)s

-- name: results
-- A page of one stage's outcomes by task index. It ends early when its results reach `max_bytes`, because a
-- result can be a megabyte; it has a row at least. Results stay JSON text: most of them are passed on as they are.
WITH page AS MATERIALIZED (
    SELECT task_index, status, attempt, result::text AS result, result_location, error, started_at, completed_at
    FROM app.tasks
    WHERE job_id = %(job_id)s AND run = %(run)s AND stage = %(stage)s AND task_index > %(after_index)s
      AND (%(statuses)s::app.task_status[] IS NULL OR status = ANY (%(statuses)s::app.task_status[]))
    ORDER BY task_index
    LIMIT %(limit)s + 1
), measured AS (
    SELECT page.*, row_number() OVER by_index AS place, count(*) OVER () AS found,
           sum(coalesce(octet_length(result), 0)) OVER by_index - coalesce(octet_length(result), 0) AS bytes_before
    FROM page
    WINDOW by_index AS (ORDER BY task_index)
)
SELECT task_index, status, attempt, result, result_location, error, started_at, completed_at,
       place < found AS more_follow
FROM measured
WHERE place <= %(limit)s AND bytes_before < %(max_bytes)s
ORDER BY task_index

-- name: result_keys
-- The keys that occur in a stage's results, for the columns of a table; one more than asked says "too many".
SELECT DISTINCT k AS key
FROM app.tasks t CROSS JOIN LATERAL jsonb_object_keys(t.result) AS k
WHERE t.job_id = %(job_id)s AND t.run = %(run)s AND t.stage = %(stage)s AND jsonb_typeof(t.result) = 'object'
  AND (%(statuses)s::app.task_status[] IS NULL OR t.status = ANY (%(statuses)s::app.task_status[]))
LIMIT %(limit)s + 1

-- name: events
-- A job's history in the order of its events. Tasks are ranges of indexes, both ends included.
SELECT event_id, run, stage, event, detail, worker, at,
       (SELECT jsonb_agg(jsonb_build_array(lower(r), upper(r) - 1) ORDER BY r) FROM unnest(tasks) AS r) AS tasks
FROM app.job_events
WHERE job_id = %(job_id)s AND event_id > %(after_event_id)s
  -- A run that is being removed is out of sight at once, whatever is left of it.
  AND run <> ALL (ARRAY(SELECT run FROM app.past_runs WHERE job_id = %(job_id)s AND removed_at IS NOT NULL))
ORDER BY event_id
LIMIT %(limit)s

-- name: poison_groups
-- Recorded messages by queue and reason; the longest tail of reasons is cut off.
SELECT queue, reason, count(*) AS count, max(recorded_at) AS newest_at
FROM app.poison_messages
GROUP BY queue, reason
ORDER BY count DESC, queue, reason
LIMIT %(limit)s

-- name: poison_queues
-- Recorded messages by queue, complete.
SELECT queue, count(*) AS count FROM app.poison_messages GROUP BY queue ORDER BY queue

-- name: poison_newest
-- The newest recorded messages.
SELECT poison_id, queue, message_id, reason, raw, bytes, dequeue_count, job_id, run, stage, first, last,
       correlation_id, action, recorded_at
FROM app.poison_messages
ORDER BY poison_id DESC
LIMIT %(limit)s
