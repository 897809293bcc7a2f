"""After every kind of failure: retried, or run again, once a release has mended the cause."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from interfaces.errors import PermanentTaskError
from interfaces.plans import FailJob, StageDefinition, StagePlan, Tasks
from interfaces.states import FailurePolicy
from repositories.database import Database
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

TASKS = 6


@dataclass
class Release:
    """What the deployed workflow does wrong: nothing, once `kind` is empty. Two stages of six tasks."""

    kind: str = ""
    ran: list[tuple[int, int]] = field(default_factory=list)

    def plan(self, stage: int, p: Any, previous: Any) -> StagePlan:
        if stage == 2 and self.kind == "plan raises":
            raise ZeroDivisionError("planning")
        if stage == 2 and self.kind == "plan refuses":
            return FailJob("nothing to do")
        if stage == 2 and self.kind == "plan is wrong":
            return Tasks([{"i": "x" * 3}], max_failed_fraction=7)
        canary = 2 if self.kind == "canary" else 0
        return Tasks([{"stage": stage, "i": i} for i in range(TASKS)], canary=canary)

    def aggregate(self, stages: Any, results: Any) -> Any:
        if self.kind == "aggregate raises":
            raise ZeroDivisionError("aggregating")
        if self.kind == "aggregate is wrong":
            return ["no object"]
        return {"replies": sum(1 for _ in results(2)), "stages": len(stages)}

    def work(self, p: dict[str, Any], c: Any) -> dict[str, Any]:
        where = (p["stage"], p["i"])
        self.ran.append(where)
        if p["stage"] == 2 and p["i"] % 2 and self.kind in ("permanent", "canary", "too many"):
            raise PermanentTaskError("permanently")
        if where == (2, 3) and self.kind == "attempts used up":
            raise ValueError("every time")
        if where == (2, 3) and self.kind == "no JSON":
            return {"x": object()}
        if where == (2, 3) and self.kind == "too slow":
            time.sleep(1.2)
        return {"i": p["i"]}

    def definitions(self) -> list[Any]:
        timeout = timedelta(seconds=0.3 if self.kind == "too slow" else 60)
        return [task_type("work", self.work, timeout=timeout)]


HANDLED = ["permanent", "attempts used up", "no JSON", "too slow", "canary", "too many"]
PLANNED = ["plan raises", "plan refuses", "plan is wrong", "aggregate raises", "aggregate is wrong"]
OUTSIDE = ["worker dies", "poison message", "cancelled"]

Failed = Callable[[str], tuple[World, Release, str]]


@pytest.fixture
def failed(world: World) -> Failed:
    """A job that ended badly for this reason; the release after it mends the cause."""

    def make(kind: str) -> tuple[World, Release, str]:
        release = Release(kind)
        lenient = StageDefinition("b", "work", FailurePolicy.CONTINUE, max_failed_fraction=0.2)
        stages = [
            StageDefinition("a", "work"),
            lenient if kind == "too many" else StageDefinition("b", "work"),
        ]
        world.register(ScriptedJob("job", stages, release.plan, release.aggregate), *release.definitions())
        job_id = world.submit("job").job_id
        if kind in OUTSIDE:
            _fail_from_outside(world, kind, job_id)
        row = world.run(job_id)
        assert row["status"] == ("cancelled" if kind == "cancelled" else "failed"), row
        assert world.violations() == {}
        release.kind = ""
        release.ran.clear()
        world.register(None, *release.definitions(), replace=True)
        world.engine = world.new_engine()
        return world, release, job_id

    return make


@pytest.mark.parametrize("kind", HANDLED + PLANNED + OUTSIDE)
def test_a_retry_completes_the_job_and_keeps_what_was_done(failed: Failed, kind: str) -> None:
    world, release, job_id = failed(kind)
    kept = {(t["stage"], t["task_index"]) for t in world.tasks(job_id) if t["status"] == "completed"}
    changed = world.engine.retry(job_id, correlation_id="c")
    assert changed.run == 1
    row = world.run(job_id)
    assert (row["status"], row["result"]) == ("completed", {"replies": TASKS, "stages": 2})
    assert kept.isdisjoint(release.ran), "what had completed ran again"
    assert sorted({*kept, *release.ran}) == [(stage, i) for stage in (1, 2) for i in range(TASKS)]
    assert world.violations() == {}


@pytest.mark.parametrize("kind", HANDLED + PLANNED + OUTSIDE)
def test_submitting_again_runs_everything_anew(failed: Failed, kind: str) -> None:
    world, release, job_id = failed(kind)
    again = world.submit("job")
    assert (again.job_id, again.created, again.run) == (job_id, True, 2)
    row = world.run(job_id)
    assert (row["status"], row["result"]) == ("completed", {"replies": TASKS, "stages": 2})
    assert sorted(release.ran) == [(stage, i) for stage in (1, 2) for i in range(TASKS)]
    assert world.violations() == {}


def _fail_from_outside(world: World, kind: str, job_id: str) -> None:
    """Let the job get to its second stage, and be struck there."""
    for _ in range(1 + TASKS):
        queue = world.settings.jobs_queue
        message = world.queues.receive(queue)
        if message is None:
            queue = world.settings.tasks_queue
            message = world.queues.receive(queue)
        assert message is not None
        world.deliver(message, queue)
    assert world.job(job_id)["stage"] == 2
    if kind == "cancelled":
        world.engine.cancel(job_id)
    elif kind == "poison message":
        body = f'{{"job_id": "{job_id}", "run": 1, "stage": 2, "first": 3, "last": "three"}}'
        tasks = world.queues.queues[world.settings.tasks_queue]
        world.send(world.settings.tasks_queue, body)
        # Before the messages of the tasks that it is about.
        tasks.insert(0, tasks.pop())
    else:
        dead = TaskRepository(Database(world.settings))
        for attempt in range(3):
            claimed = dead.claim(job_id, 1, 2, 3, 3, worker=f"w{attempt}", lease=timedelta(0))
            assert len(claimed) == 1
            time.sleep(0.01)
            world.engine.reconcile()
        world.queues.lose_everything()
