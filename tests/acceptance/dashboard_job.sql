-- A job of ten thousand tasks, some of which lost a lease, that published a COG.
INSERT INTO app.jobs (job_id, job_type, parameters, status, stage, total_stages, result, started_at, completed_at)
VALUES (repeat('ab', 32), 'hello_world', '{}', 'completed', 2, 2, '{}', now(), now() + interval '5 min');
INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, status, task_count, batch_size, on_failure,
                        max_attempts, completed_at)
VALUES (repeat('ab', 32), 1, 1, 'greet', 'greet', 'completed', 10000, 100, 'continue', 3, now());
INSERT INTO app.tasks (job_id, run, stage, task_index, status, parameters, attempt, result, started_at,
                       completed_at, attempts)
SELECT repeat('ab', 32), 1, 1, i, 'completed', '{}', 1, '{}', now() + i * interval '20 ms',
       now() + i * interval '20 ms' + interval '4 s',
       CASE WHEN i % 50 = 0 THEN jsonb_build_array(jsonb_build_object(
           'attempt', 1, 'outcome', 'lease_lost', 'error', 'its worker died', 'worker', 'w',
           'started_at', now() + i * interval '15 ms', 'ended_at', now() + i * interval '18 ms')) END
FROM generate_series(0, 9999) AS i;
INSERT INTO geo.cogs (container, name, publication, job_id, run, stage, task_index, sources, parameters_hash,
                      versions, size, md5, etag, notes, item)
VALUES ('CONTAINER', 'alps.tif', 'p', repeat('ab', 32), 1, 1, 0, '[]', 'h', '{}', 1048576, repeat('0', 32), 'e1',
        '[]', '{"id": "alps", "bbox": [6, 44, 14, 48],
                "assets": {"thumbnail": {"href": "./alps.thumbnail.png", "type": "image/png"}}}');
-- What some of its attempts logged.
INSERT INTO app.task_logs (job_id, run, stage, task_index, fence, attempt, outcome, severity, dropped, lines)
SELECT repeat('ab', 32), 1, 1, i, 1, 1, 'completed', 30, 3, jsonb_build_array(
    jsonb_build_object('at', now(), 'level', 'INFO', 'logger', 'services.hello', 'message', 'greeting number ' || i),
    jsonb_build_object('at', now(), 'level', 'WARNING', 'logger', 'some.library', 'message',
                       'a line without end: ' || repeat('and so on ', 60) || '<b>no markup</b>'))
FROM generate_series(0, 199) AS i;
-- A layer of more features than a map shows.
CREATE SCHEMA IF NOT EXISTS features;
CREATE TABLE features.stations (fid integer PRIMARY KEY, name text, geom geometry(Point, 4326));
INSERT INTO features.stations
SELECT i, 'station ' || i, ST_SetSRID(ST_MakePoint(6 + i % 40 * 0.2, 44 + i / 40 * 0.13), 4326)
FROM generate_series(0, 1199) AS i;
INSERT INTO geo.layers (target_schema, target_table, title, srid, geometry_column, geometry_type, key, columns, row_count,
                        extent, job_id, run)
VALUES ('features', 'stations', 'stations', 4326, 'geom', 'Point', '["fid"]', '[]', 1200, '{6, 44, 13.8, 47.77}',
        repeat('ab', 32), 1);
-- Three days of samples, with a backlog each night.
INSERT INTO app.samples
SELECT at, 3, 2, 0, night * 400, night * 180, 0, night * 20, night * 5, night * 4000, 16,
       jsonb_build_object('completed', 50 * n, 'failed', n / 7), jsonb_build_object('completed', n / 5)
FROM (SELECT date_trunc('minute', now()) - (4320 - n) * interval '1 min' AS at, n,
             greatest(sin((n % 1440) / 1440.0 * 2 * pi()), 0)::integer AS night
      FROM generate_series(0, 4300) AS n) AS s;
