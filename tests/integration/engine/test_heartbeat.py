"""The heartbeat of a process that lives: no connection that is kept from it, or falls silent, may stop it.

Times are a tenth of the defaults.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from engine import Engine
from interfaces.errors import ServiceUnavailable
from interfaces.plans import StageDefinition, Tasks, TasksFromResults
from interfaces.workflows import TaskContext
from local.stack.ports import LOOPBACK
from tests.chaos.fault_proxy import FaultProxy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_app import until
from tests.fix_engine import TERMINAL, World

TENTH = {
    "lease_seconds": 3,
    "heartbeat_seconds": 1,
    "database_timeout_seconds": 3,
    "redelivery_seconds": 3,
    "redelivery_max_seconds": 90,
}
LONG_SECONDS = 6.0
"""Two leases."""
LONG = StageDefinition("a", "long")


@contextmanager
def listening(world: World, engine: Engine, *, tasks: int, jobs: int) -> Iterator[None]:
    """Threads that deliver messages to this engine, and the timers of another instance."""
    over = threading.Event()
    timers = world.new_engine()

    def listen(queue: str) -> None:
        while not over.wait(0.02):
            message = world.queues.receive(queue)
            if message is not None:
                with suppress(ServiceUnavailable):
                    world.deliver(message, queue, engine)

    def tick() -> None:
        while not over.wait(1.5):
            timers.reconcile()
            timers.relay()

    threads = [threading.Thread(target=listen, args=(world.settings.tasks_queue,)) for _ in range(tasks)]
    threads += [threading.Thread(target=listen, args=(world.settings.jobs_queue,)) for _ in range(jobs)]
    threads.append(threading.Thread(target=tick))
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads), "some wait for an answer that never comes"


def long_handler(parameters: dict[str, Any], context: TaskContext) -> dict[str, Any]:
    """Runs for two leases, and looks now and again whether it still may."""
    end = time.monotonic() + LONG_SECONDS
    while time.monotonic() < end:
        time.sleep(0.1)
        context.check()
    return {}


def register_long(world: World) -> None:
    duration = timedelta(seconds=LONG_SECONDS)
    world.register(ScriptedJob("long", [LONG]), task_type("long", long_handler, expected_duration=duration))


def ended(world: World) -> bool:
    return all(job["status"] in TERMINAL for job in world.rows("SELECT status FROM app.jobs"))


def plan_small(stage: int, parameters: Any, previous: object) -> Tasks | TasksFromResults:
    """Two stages, of which the database alone knows how large the second is."""
    return Tasks([{"i": i} for i in range(parameters.n)]) if stage == 1 else TasksFromResults({})


@pytest.fixture
def proxied(make_world: Callable[..., World], database_url: str) -> Iterator[tuple[World, FaultProxy]]:
    """An app that reaches its database through a proxy which stays open, whatever befalls what it carries."""
    port = urlsplit(database_url).port
    assert port is not None
    with FaultProxy(port, hangs_seconds=None).serving() as proxy:
        through = database_url.replace(f"{LOOPBACK}:{port}/", f"{LOOPBACK}:{proxy.port}/")
        world = make_world(database_url=SecretStr(through), **TENTH, database_answer_seconds=4)
        yield world, proxy
        for database in world.databases:
            database.close()


def test_a_connection_that_falls_silent_under_the_heartbeat_costs_no_lease(
    proxied: tuple[World, FaultProxy],
) -> None:
    world, proxy = proxied
    register_long(world)
    cut = proxy.cut_next(b"app.extend_leases(", "silence")
    with listening(world, world.engine, tasks=3, jobs=1):
        for label in ("the first heartbeat", "much later"):
            job = world.submit("long", n=3, label=label)
            until(lambda: ended(world), 60, lambda: str(world.rows("SELECT * FROM app.tasks")))
            assert cut.happened.is_set()
            assert [task["attempt"] for task in world.tasks(job.job_id)] == [1, 1, 1]
            assert world.job(job.job_id)["status"] == "completed"
            assert "leases_lost" not in world.events(job.job_id)


@pytest.mark.parametrize(
    "statement",
    [
        b"app.claim_tasks(",
        b"app.finish_tasks(",
        b"app.claim_plan(",
        b"COPY",
        b"app.insert_tasks_from_results(",
        b"app.seal_stage(",
        b"COMMIT",
    ],
)
def test_a_statement_that_nobody_answers_is_given_up(
    proxied: tuple[World, FaultProxy], statement: bytes
) -> None:
    """Soon, too, in a fan-out that is none of a few tasks, but far from the most."""
    world, proxy = proxied
    stages = [StageDefinition("a", "work"), StageDefinition("b", "work")]

    def plan(stage: int, parameters: Any, previous: object) -> Tasks | TasksFromResults:
        rows = ({"i": i} for i in range(parameters.n))
        return Tasks(rows) if stage == 1 else TasksFromResults({"i": "i"})

    work = task_type("work", lambda p, c: {"i": p["i"]}, max_batch=250)
    world.register(ScriptedJob("job", stages, plan), work)
    cut = proxy.cut_next(statement, "silence")
    with listening(world, world.engine, tasks=2, jobs=2):
        job = world.submit("job", n=150)
        until(lambda: ended(world), 45, lambda: str(world.events(job.job_id)))
    assert cut.happened.is_set()
    assert world.job(job.job_id)["status"] == "completed"
    assert world.violations() == {}


@pytest.mark.parametrize("direct", [False, True], ids=["pool of three", "pool of two"])
def test_fan_outs_that_take_long_keep_neither_leases_nor_small_jobs_waiting(
    make_world: Callable[..., World], database_url: str, direct: bool
) -> None:
    world = make_world(**TENTH, database_direct_url=SecretStr(database_url if direct else ""))
    register_long(world)

    def plan(stage: int, parameters: Any, previous: object) -> Tasks:
        def rows() -> Iterator[dict[str, Any]]:
            for i in range(parameters.n):
                # More than are read ahead, so that the connection is held between them.
                time.sleep(LONG_SECONDS / 200)
                yield {"i": i}

        return Tasks(rows())

    world.register(
        ScriptedJob("big", [StageDefinition("a", "work")], plan), task_type("work", lambda p, c: {})
    )
    from_results = [StageDefinition("a", "work"), StageDefinition("b", "work")]
    world.register(ScriptedJob("small", from_results, plan_small))
    with listening(world, world.engine, tasks=4, jobs=8):
        long = world.submit("long", n=2)
        until(lambda: len(running(world)) == 2, 10)
        big = [world.submit("big", n=200, label=f"big {i}") for i in range(4)]
        until(lambda: len(planning(world)) == 4, 10)
        began = time.monotonic()
        small = world.submit("small", n=3)
        until(lambda: world.job(small.job_id)["status"] == "completed", 10)
        took = time.monotonic() - began
        assert len(planning(world)) >= 3, "all large stages were there: nothing was shown"
        until(lambda: ended(world), 100, lambda: str(world.rows("SELECT event, detail FROM app.job_events")))
    assert took < LONG_SECONDS / 2
    for job in (long, *big):
        assert world.job(job.job_id)["status"] == "completed"
        assert {task["attempt"] for task in world.tasks(job.job_id)} == {1}
    assert [world.events(job.job_id).count("stage_planned") for job in big] == [1] * 4
    lost = ("leases_lost", "plan_lease_lost", "plan_repeated", "plan_interrupted")
    assert world.rows("SELECT * FROM app.job_events WHERE event = ANY (%s)", list(lost)) == []


def running(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT 1 FROM app.tasks WHERE status = 'processing'")


def planning(world: World) -> list[dict[str, Any]]:
    return world.rows("SELECT 1 FROM app.jobs WHERE plan_lease_until > now()")
