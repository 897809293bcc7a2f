"""Steps that overlap: one has not committed yet when the next begins."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import timedelta

import pytest

from interfaces.jobs import ClaimedTask, TaskReport
from interfaces.plans import StageDefinition
from interfaces.queues import JobMessage
from interfaces.states import FailurePolicy, TaskStatus
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

from .arrivals import arrive
from .breakage import planned
from .protocol_session import Session


def test_a_result_that_waits_for_a_heartbeats_commit_is_written(
    make_world: Callable[..., World],
) -> None:
    """The heartbeat moves the row; the report, which began before, must find it where it is then."""
    world = make_world(run_at_once_seconds=0)
    job_id = planned(world, n=2)
    heartbeat, worker = Session(world.settings, "worker"), Session(world.settings, "worker")
    world.databases += [heartbeat.database, worker.database]
    lease = timedelta(minutes=1)
    claimed = worker.tasks.claim(job_id, 1, 1, 0, 1, worker="worker", lease=lease)
    assert len(claimed) == 2
    reports = [
        TaskReport(task_index=t.task_index, fence=t.fence, outcome=TaskStatus.COMPLETED, result="{}")
        for t in claimed
    ]
    with ThreadPoolExecutor(1) as thread, heartbeat.database.holding() as connection:
        assert len(heartbeat.tasks.extend(claimed[:1], lease)) == 1
        running = thread.submit(worker.tasks.finish, job_id, 1, 1, "worker", reports)
        wait([running], 0.5)
        assert not running.done()
        connection.commit()
        assert running.result(20) == {0: TaskStatus.COMPLETED, 1: TaskStatus.COMPLETED}
    assert [task["status"] for task in world.tasks(job_id)] == ["completed", "completed"]


def test_a_cancellation_is_answered_only_when_no_claim_is_under_way(make_world: Callable[..., World]) -> None:
    """A claim that has seen the job running, and waits for a limit, is counted before the answer."""
    world = make_world(run_at_once_seconds=0)
    job_id = planned(world, n=2)
    world.engine.limits.set("task", "hello_greeting", 5)
    limits, worker, person = (Session(world.settings, name) for name in ("limits", "worker", "person"))
    world.databases += [limits.database, worker.database, person.database]
    with ThreadPoolExecutor(2) as threads, limits.database.holding() as connection:
        connection.execute("SELECT app.lock_limit('task:hello_greeting')")
        claim = threads.submit(
            worker.tasks.claim, job_id, 1, 1, 0, 1, worker="worker", lease=timedelta(minutes=1)
        )
        wait([claim], 0.5)
        cancel = threads.submit(person.jobs.cancel, job_id)
        wait([cancel], 0.5)
        answered = cancel.done()
        connection.commit()
        assert cancel.result(20).changed
        assert len(claim.result(20)) == 2
    assert not answered
    assert worker.tasks.claim(job_id, 1, 1, 0, 1, worker="worker", lease=timedelta(minutes=1)) == []


@pytest.mark.parametrize("looks", ["whoever commits last", "the reconciler"])
def test_failures_that_commit_at_once_break_the_policy_together(
    make_world: Callable[..., World], looks: str
) -> None:
    """Neither sees the other's failure when it writes its own, but whoever commits last does afterwards.

    If it lives: else the reconciler does.
    """
    world = make_world(run_at_once_seconds=0)
    stage = StageDefinition("a", "work", on_failure=FailurePolicy.CONTINUE, max_failed_fraction=0.25)
    world.register(ScriptedJob("job", [stage]), task_type("work", lambda p, c: {}))
    job_id = world.submit("job", n=4).job_id
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    first, second = Session(world.settings, "first"), Session(world.settings, "second")
    world.databases += [first.database, second.database]
    [one] = first.tasks.claim(job_id, 1, 1, 0, 0, worker="first", lease=timedelta(minutes=1))
    [two] = second.tasks.claim(job_id, 1, 1, 1, 1, worker="second", lease=timedelta(minutes=1))
    with first.database.holding() as connection:
        first.tasks.finish(job_id, 1, 1, "first", [_failed(one)])
        second.tasks.finish(job_id, 1, 1, "second", [_failed(two)])
        assert second.stages.sweep(job_id, 1, 1) == 0
        connection.commit()
    if looks == "the reconciler":
        assert world.engine.reconcile()["tasks_swept"] == 2
    else:
        assert first.stages.sweep(job_id, 1, 1) == 2
    assert "stage_failing" in world.events(job_id)
    assert [task["status"] for task in world.tasks(job_id)] == ["failed", "failed", "cancelled", "cancelled"]


def _failed(task: ClaimedTask) -> TaskReport:
    return TaskReport(task_index=task.task_index, fence=task.fence, outcome=TaskStatus.FAILED, error="broken")
