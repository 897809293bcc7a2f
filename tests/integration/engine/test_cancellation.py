"""Cancelling 10,000 tasks of which 50 run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from interfaces.errors import TaskCancelled
from interfaces.plans import StageDefinition
from interfaces.states import FailurePolicy
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

TASKS = 10_000
RUNNING = 50


def test_ten_thousand_queued_and_fifty_running_tasks_stop(make_world: Callable[..., World]) -> None:
    # The heartbeat is what tells a handler: a lease longer than the test shows that nothing else does.
    world = make_world(lease_seconds=60, heartbeat_seconds=0.5)
    running = threading.Barrier(RUNNING + 1, timeout=60)
    told: list[float] = []

    def patient(p: dict[str, Any], c: Any) -> dict[str, Any]:
        running.wait()
        try:
            while True:
                c.check()
                time.sleep(0.05)
        finally:
            told.append(time.monotonic())

    world.register(ScriptedJob("job", [StageDefinition("a", "patient")]), task_type("patient", patient))
    job = world.submit("job", n=TASKS)
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    threads = []
    for _ in range(RUNNING):
        message = world.queues.receive(world.settings.tasks_queue)
        assert message is not None
        threads.append(threading.Thread(target=world.deliver, args=(message, world.settings.tasks_queue)))
        threads[-1].start()
    running.wait()

    assert world.engine.cancel(job.job_id).status == "cancelling"
    answered = time.monotonic()
    claimed = _claims(world, job.job_id)
    # Whatever arrives after the answer starts nothing.
    world.pump(limit=2 * TASKS)
    for thread in threads:
        thread.join(30)
    assert _claims(world, job.job_id) == claimed == RUNNING
    assert len(told) == RUNNING
    assert max(told) - answered < 10
    assert world.job(job.job_id)["status"] == "cancelled"
    assert {task["status"] for task in world.tasks(job.job_id)} == {"cancelled"}
    [progress] = world.progress(job.job_id)
    assert progress["cancelled"] == TASKS
    assert world.violations() == {}


@pytest.mark.parametrize("policy", FailurePolicy)
def test_a_handler_that_gives_up_by_itself_has_failed(world: World, policy: FailurePolicy) -> None:
    def gives_up(p: dict[str, Any], c: Any) -> dict[str, Any]:
        raise TaskCancelled("not today")

    world.register(ScriptedJob("job", [StageDefinition("a", "work", policy)]), task_type("work", gives_up))
    job = world.submit("job", n=3)
    ended = {FailurePolicy.FAIL_JOB: "failed", FailurePolicy.CONTINUE: "completed_with_errors"}[policy]
    assert world.run(job.job_id)["status"] == ended
    ran = [task for task in world.tasks(job.job_id) if task["attempt"]]
    assert {(task["status"], task["attempt"]) for task in ran} == {("failed", 1)}
    assert "not today" in ran[0]["error"]
    if policy is FailurePolicy.CONTINUE:
        assert len(ran) == 3
    assert world.violations() == {}


def _claims(world: World, job_id: str) -> int:
    return int(
        world.rows("SELECT count(*) AS n FROM app.tasks WHERE job_id = %s AND attempt > 0", job_id)[0]["n"]
    )
