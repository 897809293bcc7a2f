"""Cancelling 10,000 tasks of which 50 run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from engine import submission
from interfaces.errors import TaskCancelled
from interfaces.plans import StageDefinition, Tasks
from interfaces.states import FailurePolicy
from repositories.jobs import JobRepository
from repositories.stages import SWEEP_PAGE, StageRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

TASKS = 10_000
RUNNING = 50
EVERY = 20
"""Of the messages left over, each of which says the same of another task, so many are delivered: one of."""


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
    left_over = world.queues.queues[world.settings.tasks_queue]
    left_over[:] = left_over[::EVERY]
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


@pytest.mark.parametrize("dies", [False, True])
def test_a_message_goes_on_where_whoever_cancels_has_no_more_time(
    make_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    world = make_world()
    monkeypatch.setattr(submission, "SWEEP_SECONDS", 0)
    world.register(
        ScriptedJob(
            "job", [StageDefinition("a", "work")], lambda s, p, r: Tasks([{}] * p.n, expected_seconds=0)
        ),
        task_type("work", lambda p, c: {}, max_batch=500),
    )
    job_id = world.submit("job", n=3 * SWEEP_PAGE).job_id
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    world.queues.lose_everything()
    if dies:
        JobRepository(world.databases[0]).cancel(job_id)
        assert StageRepository(world.databases[0]).sweep(job_id, 1, 1, within=0) == SWEEP_PAGE
    else:
        assert world.engine.cancel(job_id).status == "cancelling"
        assert world.queues.length(world.settings.tasks_queue) == 1
    [progress] = world.progress(job_id)
    assert (progress["queued"], progress["cancelled"]) == (2 * SWEEP_PAGE, SWEEP_PAGE)
    # However long it takes, a message is on its way.
    long_ago = "now() - interval '10 minutes'"
    world.rows(f"UPDATE app.jobs SET updated_at = {long_ago}", fetch=False)
    world.rows(f"UPDATE app.tasks SET due_at = {long_ago}", fetch=False)
    assert world.violations() == {}
    world.pump()
    assert world.job(job_id)["status"] == "cancelled"
    assert world.rows("SELECT count(*) AS n FROM app.outbox") == [{"n": 0}]
    assert world.violations() == {}


def test_tasks_that_wait_to_be_swept_and_of_which_no_message_speaks_are_seen(world: World) -> None:
    job_id = world.submit("hello_world", n=3000).job_id
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)
    JobRepository(world.databases[0]).cancel(job_id)
    world.rows("DELETE FROM app.outbox", fetch=False)
    world.rows("UPDATE app.jobs SET updated_at = now() - interval '2 minutes'", fetch=False)
    world.rows("UPDATE app.tasks SET due_at = now() - interval '2 minutes'", fetch=False)
    assert set(world.violations()) == {"invariant_4_undispatched_task"}


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
