"""A large old run goes while another job works, which never waits for a lock."""

from __future__ import annotations

import threading
import tracemalloc

import psycopg

from tests.fix_engine import World
from tests.integration.engine.retention_scenes import left

OLD = "a" * 64
RUNNING = "b" * 64
TASKS = 200_000
LONGEST_WAIT = "100ms"
"""What the running work is let wait for a lock; longer, and its statement fails."""

INSERT = """
INSERT INTO app.jobs (job_id, job_type, parameters, status, stage, total_stages, result, completed_at)
VALUES (%(old)s, 'x', '{}', 'completed', 2, 1, '{}', now() - interval '100 days'),
       (%(running)s, 'x', '{}', 'processing', 1, 1, NULL, NULL);
INSERT INTO app.stages (job_id, run, stage, stage_key, task_type, task_count, batch_size, on_failure,
                        max_attempts, status, completed_at)
VALUES (%(old)s, 1, 1, 'a', 'x', %(tasks)s, 1, 'continue', 3, 'completed', now() - interval '100 days'),
       (%(running)s, 1, 1, 'a', 'x', 100000, 1, 'continue', 3, 'processing', NULL);
INSERT INTO app.stage_counters (job_id, run, stage, slot)
SELECT j, 1, 1, slot FROM unnest(ARRAY[%(old)s, %(running)s]) AS j, generate_series(0, 7) AS slot;
INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, result)
SELECT %(old)s, 1, 1, i, '{}', 'completed', '{"x": 1}' FROM generate_series(0, %(tasks)s - 1) AS i;
INSERT INTO app.tasks (job_id, run, stage, task_index, parameters)
SELECT %(running)s, 1, 1, i, '{}' FROM generate_series(0, 99999) AS i;
INSERT INTO app.job_events (job_id, run, event) SELECT %(old)s, 1, 'x' FROM generate_series(1, 20000);
"""
CLAIM = "SELECT task_index, fence FROM app.claim_tasks(%s, 1, 1, %s, %s, 'w', interval '30 s')"
FINISH = """
SELECT count(*) FROM app.finish_tasks(
    %s, 1, 1, 'w', %s::integer[], %s::bigint[], array_fill('completed'::text, ARRAY[10]),
    array_fill('{}'::jsonb, ARRAY[10]), array_fill(NULL::jsonb, ARRAY[10]), array_fill(NULL::text, ARRAY[10]),
    array_fill(0::float8, ARRAY[10]), array_fill(NULL::jsonb, ARRAY[10]), NULL)
"""


class Work:
    """Claims and completes tasks, ten at a time, until it is told to stop; never waits long for a lock."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.batches = 0
        self.error: psycopg.Error | None = None
        self.began = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as connection:
                connection.execute(f"SET lock_timeout = '{LONGEST_WAIT}'")
                while not self._stop.is_set() and self.batches < 10_000:
                    first = self.batches * 10
                    claimed = connection.execute(CLAIM, (RUNNING, first, first + 9)).fetchall()
                    indexes, fences = zip(*claimed, strict=True)
                    [(n,)] = connection.execute(FINISH, (RUNNING, list(indexes), list(fences))).fetchall()
                    assert n == 10
                    self.batches += 1
                    self.began.set()
        except psycopg.Error as error:
            self.error = error
            self.began.set()


def test_two_hundred_thousand_old_tasks_go_and_running_work_never_waits_for_a_lock(world: World) -> None:
    with psycopg.connect(world.url, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        connection.execute(INSERT, {"old": OLD, "running": RUNNING, "tasks": TASKS})
    work = Work(world.url)
    assert work.began.wait(10)
    before = work.batches
    tracemalloc.start()
    try:
        answer = world.engine.retention.run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        work.stop()
    assert (answer.jobs, answer.tasks, answer.events, answer.more) == (1, TASKS, 20_000, False)
    assert left(world, OLD) == {}
    assert work.error is None
    # It went on while rows were deleted.
    assert work.batches - before >= 20
    completed = world.rows("SELECT count(*) AS n FROM app.tasks WHERE status = 'completed'")[0]["n"]
    assert completed == work.batches * 10
    assert peak < 5 * 1024**2
    assert world.violations() == {}
