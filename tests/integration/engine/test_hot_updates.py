"""Which updates leave the indexes alone.

A claim and an outcome move a task between partial indexes, by which ended leases and unfinished tasks are
found: they cannot be heap-only. Everything that is repeated while a task runs, and every count, must be.
"""

from __future__ import annotations

from datetime import timedelta

from interfaces.plans import StageDefinition
from repositories.database import Database
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

HEARTBEATS = 20
TASKS = 50


def _updates(world: World, table: str) -> tuple[int, int]:
    """Updates of a table so far, and how many of them were heap-only."""
    [row] = world.rows(
        "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE schemaname = 'app' AND relname = %s",
        table,
    )
    return row["n_tup_upd"], row["n_tup_hot_upd"]


def test_heartbeats_and_counters_touch_no_index(world: World) -> None:
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    job = world.submit("job", n=TASKS)
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    world.databases.append(Database(world.settings))
    tasks = TaskRepository(world.databases[-1])
    claimed = tasks.claim(job.job_id, 1, 1, 0, TASKS - 1, worker="w", lease=timedelta(minutes=1))
    assert len(claimed) == TASKS

    with world.databases[-1].connection() as connection:
        before = _flushed(connection, world)
    for _ in range(HEARTBEATS):
        assert len(tasks.extend(claimed, timedelta(minutes=1))) == TASKS
    with world.databases[-1].connection() as connection:
        after = _flushed(connection, world)

    updates, heap_only = (b - a for a, b in zip(before, after, strict=True))
    assert updates == HEARTBEATS * TASKS
    assert heap_only / updates > 0.9
    tasks.extend(claimed, timedelta(0))
    assert world.run(job.job_id)["status"] == "completed"
    with world.databases[0].connection() as connection:
        _flushed(connection, world)
    counted, counted_heap_only = _updates(world, "stage_counters")
    assert counted > 0
    assert counted_heap_only / counted > 0.9


def _flushed(connection: object, world: World) -> tuple[int, int]:
    """The tasks' updates, once this session has reported its own."""
    connection.execute("SELECT pg_stat_force_next_flush()")  # type: ignore[attr-defined]
    world.rows("SELECT pg_stat_clear_snapshot()")
    return _updates(world, "tasks")
