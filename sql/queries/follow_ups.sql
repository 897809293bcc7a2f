-- Schedules and chains (sql/functions/19_follow_ups.sql).

-- name: now
SELECT now() AS now

-- name: create_schedule
WITH made AS (
    INSERT INTO app.schedules (name, cron, time_zone, job_type, parameters, enabled, next_at, callback_url,
                               callback_events, follower)
    VALUES (%(name)s, %(cron)s, %(time_zone)s, %(job_type)s, %(parameters)s::jsonb, %(enabled)s, %(next_at)s,
            %(callback_url)s, %(callback_events)s::text[], %(follower)s::jsonb)
    ON CONFLICT DO NOTHING
    RETURNING name, cron, time_zone, job_type, parameters, enabled, next_at, created_at, callback_url,
              callback_events, follower AS "then", error
)
SELECT * FROM made
WHERE app.audit(%(caller)s::jsonb, 'schedule_created', jsonb_build_object(
    'name', name, 'cron', cron, 'time_zone', time_zone, 'job_type', job_type, 'enabled', enabled))

-- name: schedules
-- By name: the one of this name, or those after another.
SELECT s.name, s.cron, s.time_zone, s.job_type, s.parameters, s.enabled, s.next_at, s.created_at, s.callback_url,
       s.callback_events, s.follower AS "then", s.error, (
           SELECT to_jsonb(t) - 'name' FROM app.schedule_ticks t WHERE t.name = s.name ORDER BY t.tick_at DESC LIMIT 1
       ) AS last_tick
FROM app.schedules s
WHERE (%(name)s::text IS NULL OR s.name = %(name)s::text) AND (%(after)s::text IS NULL OR s.name > %(after)s::text)
ORDER BY s.name LIMIT %(limit)s

-- name: schedule_ticks
SELECT tick_at, fired_at, missed_since, job_id, run, created, error FROM app.schedule_ticks
WHERE name = %(name)s ORDER BY tick_at DESC LIMIT %(limit)s

-- name: switch_schedule
-- Enabled again, it goes on from now; one that is enabled already keeps what it has missed. What was wrong with it is
-- found again if it still is.
WITH switched AS (
    UPDATE app.schedules SET enabled = %(enabled)s, next_at = CASE WHEN enabled THEN next_at ELSE %(next_at)s END,
                             error = NULL, rests_until = NULL
    WHERE name = %(name)s
    RETURNING name, cron, time_zone, job_type, parameters, enabled, next_at, created_at, callback_url,
              callback_events, follower AS "then", error
)
SELECT * FROM switched
WHERE app.audit(%(caller)s::jsonb, CASE WHEN enabled THEN 'schedule_enabled' ELSE 'schedule_disabled' END,
                jsonb_build_object('name', name))

-- name: delete_schedule
WITH gone AS (DELETE FROM app.schedules WHERE name = %(name)s RETURNING name),
ticks AS (DELETE FROM app.schedule_ticks t USING gone WHERE t.name = gone.name)
SELECT EXISTS (SELECT 1 FROM gone
               WHERE app.audit(%(caller)s::jsonb, 'schedule_deleted', jsonb_build_object('name', name))) AS found

-- name: due_schedules
-- Those that cannot tick rest, and keep no other from its turn.
SELECT name, cron, time_zone, job_type, parameters, next_at, created_at, now() AS now, callback_url, callback_events,
       follower
FROM app.schedules
WHERE enabled AND next_at <= now() AND (rests_until IS NULL OR rests_until <= now())
ORDER BY next_at LIMIT %(limit)s

-- name: rest_schedule
-- If it is still as it was read.
UPDATE app.schedules SET error = %(error)s, rests_until = now() + %(rest)s::interval
WHERE name = %(name)s AND created_at = %(created_at)s AND next_at = %(next_at)s

-- name: take_tick
SELECT app.take_tick(%(name)s, %(created_at)s, %(next_at)s, %(following)s) AS done

-- name: record_tick
INSERT INTO app.schedule_ticks (name, tick_at, missed_since, job_id, run, created, error)
VALUES (%(name)s, %(tick_at)s, %(missed_since)s, %(job_id)s, %(run)s, %(created)s, %(error)s)

-- name: add_follower
SELECT FROM app.add_follower(%(job_id)s, %(run)s, %(digest)s, %(request)s::jsonb, %(depth)s)
WHERE app.audit(%(caller)s::jsonb, 'follower_asked', jsonb_build_object('job_type', %(request)s::jsonb -> 'job_type'),
                %(job_id)s, %(run)s)

-- name: due_followers
SELECT follower_id, due_at, job_id, run, request, depth, job_type, parameters, status, result, error, correlation_id,
       is_live
FROM app.due_followers(%(limit)s)

-- name: settle_follower
SELECT app.settle_follower(%(follower_id)s, %(due_at)s, %(state)s, %(next_job_id)s, %(error)s) AS done

-- name: note_next_run
UPDATE app.followers SET next_run = %(run)s WHERE follower_id = %(follower_id)s
