"""Outcomes are written while the batch goes on: progress is live, and a death or a hang takes little."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import engine.execution
from interfaces.plans import StageDefinition
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

TASKS = 50
SLOW = 40
"""Index of the task that takes long."""


class Slow:
    """Handlers of which one does not return before it is told to."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.reached = threading.Event()
        self.ran: Counter[int] = Counter()

    def __call__(self, p: dict[str, Any], c: Any) -> dict[str, Any]:
        self.ran[p["i"]] += 1
        if p["i"] == SLOW and self.ran[SLOW] == 1:
            self.reached.set()
            assert self.go_on.wait(60)
        return {}


@pytest.fixture
def slow_world(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[World, Slow, str, threading.Thread]]:
    """A batch of 50 tasks that is at its slow one, in a thread of its own."""
    monkeypatch.setattr(engine.execution, "FLUSH_SECONDS", 0.1)

    def make(**options: Any) -> tuple[World, Slow, str, threading.Thread]:
        world, slow = make_world(lease_seconds=20, heartbeat_seconds=5), Slow()
        brief = {"expected_duration": timedelta(milliseconds=1), "max_batch": TASKS}
        world.register(
            ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", slow, **brief, **options)
        )
        job_id = world.submit("job", n=TASKS).job_id
        message = world.queues.receive(world.settings.jobs_queue)
        assert message is not None
        runner = threading.Thread(
            target=world.deliver, args=(message, world.settings.jobs_queue), daemon=True
        )
        runner.start()
        assert slow.reached.wait(20)
        return world, slow, job_id, runner

    return make


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def _completed(world: World, job_id: str) -> int:
    return sum(task["status"] == "completed" for task in world.tasks(job_id))


@pytest.mark.parametrize("waits_for_io", [False, True], ids=["one by one", "concurrently"])
def test_what_ended_is_written_while_a_slow_task_of_the_batch_runs(
    slow_world: Callable[..., tuple[World, Slow, str, threading.Thread]], waits_for_io: bool
) -> None:
    world, slow, job_id, runner = slow_world(waits_for_io=waits_for_io)
    _until(lambda: _completed(world, job_id) == (TASKS - 1 if waits_for_io else SLOW))
    assert world.progress(job_id)[0]["completed"] == _completed(world, job_id)
    slow.go_on.set()
    runner.join(20)
    assert world.job(job_id)["status"] == "completed"
    assert set(slow.ran.values()) == {1}
    assert world.violations() == {}


def test_a_death_in_a_slow_task_repeats_little(
    slow_world: Callable[..., tuple[World, Slow, str, threading.Thread]],
) -> None:
    world, slow, job_id, runner = slow_world()
    _until(lambda: _completed(world, job_id) == SLOW)
    # As if the process had died: its leases end, and what it writes after that does not count.
    world.rows(
        "UPDATE app.tasks SET fence = -fence, lease_until = now() - interval '1 s'"
        " WHERE status = 'processing' RETURNING 1"
    )
    assert world.run(job_id)["status"] == "completed"
    slow.go_on.set()
    runner.join(20)
    assert {index for index, times in slow.ran.items() if times > 1} <= set(range(SLOW, TASKS))
    assert world.violations() == {}


def test_a_handler_that_never_returns_holds_nothing_back_but_itself(
    slow_world: Callable[..., tuple[World, Slow, str, threading.Thread]],
) -> None:
    world, slow, job_id, runner = slow_world(timeout=timedelta(seconds=1.5))
    _until(lambda: _completed(world, job_id) == SLOW)
    assert world.run(job_id)["status"] == "completed"
    assert runner.is_alive(), "the first handler hangs to the end"
    assert {task["attempt"] for task in world.tasks(job_id) if task["task_index"] != SLOW} == {1}
    assert slow.ran == Counter(range(TASKS)) + Counter([SLOW])
    slow.go_on.set()
    runner.join(20)
    assert world.violations() == {}


def test_tasks_that_wait_for_io_run_concurrently(world: World) -> None:
    together = threading.Barrier(engine.execution.CONCURRENT_HANDLERS, timeout=20)

    def meet(p: dict[str, Any], c: Any) -> dict[str, Any]:
        together.wait()
        return {}

    count = 2 * engine.execution.CONCURRENT_HANDLERS
    brief = {"expected_duration": timedelta(milliseconds=1), "max_batch": count}
    world.register(
        ScriptedJob("job", [StageDefinition("a", "work")]),
        task_type("work", meet, waits_for_io=True, **brief),
    )
    job = world.submit("job", n=count)
    world.pump()
    assert world.job(job.job_id)["status"] == "completed"
    assert {task["attempt"] for task in world.tasks(job.job_id)} == {1}
