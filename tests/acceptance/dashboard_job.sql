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
