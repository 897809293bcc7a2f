"""Who locks several rows does so in an order that nobody else crosses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from interfaces.jobs import TaskReport
from interfaces.plans import StageDefinition
from interfaces.states import TaskStatus
from repositories.stages import StageRepository
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

COUNTERS = "SELECT 1 FROM app.stage_counters WHERE job_id = ANY (%s) FOR UPDATE"
COUNTERS_AT_ONCE = "SELECT 1 FROM app.stage_counters WHERE job_id = ANY (%s) FOR UPDATE NOWAIT"
"""Or an error."""


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A job type `job` of one stage of tasks `work`."""
    made = make_world(lease_seconds=60)
    made.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", lambda p, c: {}))
    return made


def _planned(world: World, label: str, n: int) -> str:
    """A job whose tasks are queued."""
    job_id = world.submit("job", label=label, n=n).job_id
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    return job_id


@contextmanager
def _session(world: World) -> Iterator[psycopg.Connection[Any]]:
    """One that is the victim of every deadlock that it is in, because it looks first."""
    with psycopg.connect(world.settings.database_url.get_secret_value()) as connection:
        connection.execute("SET LOCAL deadlock_timeout = '50ms'")
        yield connection


def _await_one_who_waits(world: World) -> None:
    end = time.monotonic() + 20
    waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND pid <> pg_backend_pid()"
    while not world.rows(waiting):
        assert time.monotonic() < end, "nobody waits for a lock"
        time.sleep(0.01)


def test_a_sweep_that_begins_to_fail_a_stage_crosses_no_worker_whose_task_fails(world: World) -> None:
    """The worker holds a counter and wants the stage; the sweep wants the stage, and then a counter."""
    job_id = _planned(world, "one", 5)
    tasks = TaskRepository(world.databases[0])
    [claimed] = tasks.claim(job_id, 1, 1, 0, 0, worker="w", lease=timedelta(minutes=1))
    report = TaskReport(0, claimed.fence, TaskStatus.FAILED, error="broken")
    tasks.finish(job_id, 1, 1, "w", [report])
    # As if it had failed at the same time as others, of which none saw the others.
    world.rows("UPDATE app.stages SET status = 'processing', failing_at = NULL", fetch=False)
    with ThreadPoolExecutor(1) as threads, _session(world) as worker:
        worker.execute(COUNTERS, ([job_id],))
        sweeping = threads.submit(StageRepository(world.databases[0]).sweep, job_id, 1, 1)
        _await_one_who_waits(world)
        worker.execute("SELECT app.check_policy(%s, 1, 1)", (job_id,))
        worker.commit()
        assert sweeping.result(20) == 4
    assert world.run(job_id)["status"] == "failed"
    assert world.violations() == {}


def test_lost_leases_take_the_counters_of_their_stages_in_the_order_of_the_reconciler(world: World) -> None:
    """So nobody who waits for the first of them has another one that the reconciler comes to later."""
    jobs = sorted(_planned(world, f"number {number}", 1) for number in range(30))
    tasks = TaskRepository(world.databases[0])
    for number, job_id in enumerate(jobs):
        assert tasks.claim(job_id, 1, 1, 0, 0, worker=f"dead {number}", lease=timedelta(minutes=1))
    world.rows("UPDATE app.tasks SET lease_until = now() - interval '1 s'", fetch=False)
    with ThreadPoolExecutor(1) as threads, _session(world) as other:
        other.execute(COUNTERS, (jobs[:1],))
        reconciling = threads.submit(world.engine.reconcile)
        try:
            _await_one_who_waits(world)
            assert other.execute(COUNTERS_AT_ONCE, (jobs[1:],)).rowcount >= len(jobs) - 1
        finally:
            other.rollback()
        assert reconciling.result(20)["leases_ended"] == len(jobs)
    for job_id in jobs:
        assert world.run(job_id)["status"] == "completed"
    assert world.violations() == {}
