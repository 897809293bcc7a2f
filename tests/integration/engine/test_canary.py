"""The canary: a few tasks of a stage run first, and the others only if all of these complete."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from interfaces.errors import PermanentTaskError
from interfaces.plans import StageDefinition, Tasks
from interfaces.states import FailurePolicy
from repositories.stages import StageRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

CANARY = 3
TASKS = 40


@pytest.fixture
def broken() -> dict[str, bool]:
    """Whether the handlers fail."""
    return {"on": False}


@pytest.fixture
def ran() -> list[int]:
    """The tasks in the order in which they ran."""
    return []


@pytest.fixture
def canary_world(make_world: Callable[..., World], broken: dict[str, bool], ran: list[int]) -> World:
    """A job whose first three tasks are the canary; failures are allowed otherwise."""
    world = make_world()

    def work(p: dict[str, Any], c: Any) -> dict[str, Any]:
        ran.append(p["i"])
        if broken["on"]:
            raise PermanentTaskError("broken release")
        return {}

    def plan(stage: int, p: Any, previous: Any) -> Tasks:
        return Tasks([{"i": i} for i in range(p.n)], canary=CANARY)

    stage = StageDefinition("a", "work", on_failure=FailurePolicy.CONTINUE)
    world.register(ScriptedJob("job", [stage], plan), task_type("work", work))
    return world


def _deliver_canary(world: World) -> None:
    """The job message, and the messages of the canary."""
    for queue, count in ((world.settings.jobs_queue, 1), (world.settings.tasks_queue, CANARY)):
        for _ in range(count):
            message = world.queues.receive(queue)
            assert message is not None
            world.deliver(message, queue)


def test_the_rest_waits_for_the_canary_and_follows_at_once(canary_world: World, ran: list[int]) -> None:
    job = canary_world.submit("job", n=TASKS)
    message = canary_world.queues.receive(canary_world.settings.jobs_queue)
    assert message is not None
    canary_world.deliver(message, canary_world.settings.jobs_queue)
    assert canary_world.queues.length(canary_world.settings.tasks_queue) == CANARY
    canary_world.pump()
    assert sorted(ran[:CANARY]) == list(range(CANARY))
    assert sorted(ran) == list(range(TASKS))
    assert canary_world.job(job.job_id)["status"] == "completed"
    assert "canary_completed" in canary_world.events(job.job_id)
    assert canary_world.violations() == {}


def test_a_canary_that_fails_ends_the_job_before_the_rest_begins(
    canary_world: World, broken: dict[str, bool], ran: list[int]
) -> None:
    broken["on"] = True
    job = canary_world.submit("job", n=TASKS)
    canary_world.pump()
    row = canary_world.job(job.job_id)
    assert row["status"] == "failed"
    assert row["error"].startswith("canary of stage 1 (a): 3 of 3 tasks failed; task 0: ")
    assert sorted(ran) == list(range(CANARY))
    [progress] = canary_world.progress(job.job_id)
    assert (progress["failed"], progress["cancelled"]) == (CANARY, TASKS - CANARY)
    assert canary_world.violations() == {}


def test_a_retry_after_a_release_runs_the_canary_again_first(
    canary_world: World, broken: dict[str, bool], ran: list[int]
) -> None:
    broken["on"] = True
    job = canary_world.submit("job", n=TASKS)
    canary_world.pump()
    broken["on"] = False
    ran.clear()
    canary_world.engine.retry(job.job_id, correlation_id="c")
    canary_world.pump()
    assert sorted(ran[:CANARY]) == list(range(CANARY))
    assert sorted(ran) == list(range(TASKS))
    assert canary_world.job(job.job_id)["status"] == "completed"
    assert canary_world.violations() == {}


def test_nothing_beyond_the_canary_can_be_claimed_early(canary_world: World, ran: list[int]) -> None:
    job = canary_world.submit("job", n=TASKS)
    message = canary_world.queues.receive(canary_world.settings.jobs_queue)
    assert message is not None
    canary_world.deliver(message, canary_world.settings.jobs_queue)
    body = f'{{"job_id": "{job.job_id}", "run": 1, "stage": 1, "first": 1, "last": {TASKS - 1}}}'
    canary_world.send(canary_world.settings.tasks_queue, body)
    canary_world.pump()
    assert sorted(ran[:CANARY]) == list(range(CANARY))
    assert sorted(ran) == list(range(TASKS))


def test_a_canary_that_nobody_judged_is_judged_by_the_reconciler(
    canary_world: World, monkeypatch: pytest.MonkeyPatch, ran: list[int]
) -> None:
    job = canary_world.submit("job", n=TASKS)
    with monkeypatch.context() as dying:
        dying.setattr(StageRepository, "judge_canary", lambda *_: False)
        _deliver_canary(canary_world)
    assert sorted(ran) == list(range(CANARY))
    moved = canary_world.engine.reconcile()
    assert moved["canaries_judged"] == 1
    canary_world.pump()
    assert canary_world.job(job.job_id)["status"] == "completed"
    assert canary_world.violations() == {}


def test_a_job_cancelled_in_its_canary_runs_nothing_more(canary_world: World, ran: list[int]) -> None:
    job = canary_world.submit("job", n=TASKS)
    message = canary_world.queues.receive(canary_world.settings.jobs_queue)
    assert message is not None
    canary_world.deliver(message, canary_world.settings.jobs_queue)
    canary_world.engine.cancel(job.job_id)
    canary_world.pump()
    assert ran == []
    assert canary_world.job(job.job_id)["status"] == "cancelled"
    assert canary_world.violations() == {}


def test_held_tasks_whose_canary_was_forgotten_break_an_invariant(
    canary_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = canary_world.submit("job", n=TASKS)
    with monkeypatch.context() as dying:
        dying.setattr(StageRepository, "judge_canary", lambda *_: False)
        _deliver_canary(canary_world)
    assert canary_world.violations() == {}
    canary_world.rows(
        "UPDATE app.tasks SET due_at = now() - interval '1 h',"
        " completed_at = CASE WHEN completed_at IS NOT NULL THEN now() - interval '1 h' END"
        " WHERE job_id = %s RETURNING 1",
        job.job_id,
    )
    [broken_rows] = canary_world.violations().values()
    assert len(broken_rows) == TASKS - CANARY


@pytest.mark.parametrize("canary", [TASKS, TASKS + 1])
def test_a_canary_of_all_tasks_is_none(world: World, canary: int) -> None:
    job = world.submit("hello_world", n=TASKS, canary=canary)
    assert world.run(job.job_id)["status"] == "completed"
    assert "canary_completed" not in world.events(job.job_id)


def test_a_larger_stage_with_a_canary_and_retries(world: World) -> None:
    job = world.submit("hello_world", n=3000, canary=300)
    end = time.monotonic() + 30
    while world.job(job.job_id)["status"] != "completed" and time.monotonic() < end:
        world.pump(repeat=2)
    assert world.job(job.job_id)["status"] == "completed"
    events = world.events(job.job_id)
    assert events.count("canary_completed") == 1
    assert all(task["attempt"] == 1 for task in world.tasks(job.job_id))
