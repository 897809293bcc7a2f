"""What the protocol does with an attempt that is put off."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import pytest

from interfaces.jobs import ClaimedTask, TaskReport
from interfaces.plans import StageDefinition
from interfaces.states import TaskStatus
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

KEPT = 50


class Worker:
    """A worker that claims tasks of stage 1 and reports what the test says."""

    def __init__(self, world: World, job_id: str) -> None:
        self.job_id = job_id
        self._tasks = TaskRepository(world.databases[0])

    def claim(self, first: int, last: int) -> list[ClaimedTask]:
        lease = timedelta(minutes=1)
        return self._tasks.claim(self.job_id, 1, 1, first, last, worker="w", lease=lease)

    def report(self, tasks: Sequence[ClaimedTask], **report: Any) -> dict[int, TaskStatus]:
        reports = [TaskReport(task_index=t.task_index, fence=t.fence, **report) for t in tasks]
        return self._tasks.finish(self.job_id, 1, 1, "w", reports)

    def defer(self, tasks: Sequence[ClaimedTask], delay: float = 0.0) -> dict[int, TaskStatus]:
        return self.report(tasks, outcome=None, deferred=True, error="no storage", delay_seconds=delay)


@pytest.fixture
def started(make_world: Callable[..., World]) -> Callable[[int], tuple[World, Worker]]:
    """Plans a stage of so many tasks, ten a message."""

    def start(n: int) -> tuple[World, Worker]:
        world = make_world(batch_parallelism=1)
        brief = timedelta(milliseconds=1)
        definition = task_type("work", lambda p, c: {}, max_batch=10, expected_duration=brief)
        world.register(ScriptedJob("job", [StageDefinition("a", "work")]), definition)
        # Not run at once by whoever plans it.
        object.__setattr__(world.settings, "run_at_once_seconds", 0)
        job = world.submit("job", n=n)
        message = world.queues.receive(world.settings.jobs_queue)
        assert message is not None
        world.deliver(message, world.settings.jobs_queue)
        return world, Worker(world, job.job_id)

    return start


Start = Callable[[int], tuple[World, Worker]]


def dispatches(world: World) -> list[tuple[int, int]]:
    rows = world.rows("SELECT first, last FROM app.outbox WHERE queue = 'tasks' ORDER BY first, last")
    return [(row["first"], row["last"]) for row in rows]


def test_it_is_queued_again_with_its_due_time_and_its_message(started: Start) -> None:
    world, worker = started(1)
    assert worker.defer(worker.claim(0, 0), delay=30) == {0: TaskStatus.QUEUED}
    [task] = world.tasks(worker.job_id)
    assert (task["attempt"], task["fence"], task["lease_until"], task["error"]) == (0, None, None, None)
    [row] = world.rows(
        "SELECT o.not_before = t.due_at AS same, o.sent_at, t.due_at > now() + interval '28 s' AS later"
        " FROM app.outbox o JOIN app.tasks t ON t.task_index BETWEEN o.first AND o.last"
    )
    assert row == {"same": True, "sent_at": None, "later": True}
    assert worker.claim(0, 0) == [], "it is not due yet"
    assert world.events(worker.job_id)[-2:] == ["tasks_claimed", "tasks_deferred"]
    assert world.violations() == {}


def test_however_often_it_is_put_off_its_attempts_are_left(started: Start) -> None:
    world, worker = started(1)
    for _ in range(20):
        [claimed] = worker.claim(0, 0)
        assert claimed.attempt == 1
        worker.defer([claimed])
    for attempt in (1, 2, 3):
        [claimed] = worker.claim(0, 0)
        assert (claimed.attempt, claimed.max_attempts) == (attempt, 3)
        worker.report([claimed], outcome=None, error="flaky")
    [task] = world.tasks(worker.job_id)
    assert [(a["attempt"], a["outcome"]) for a in task["attempts"]] == [
        (1, "deferred"),
        (1, "retry"),
        (2, "retry"),
        (3, "retry"),
    ]
    assert task["attempts"][0]["times"] == 20


def test_the_fence_of_an_earlier_attempt_of_the_same_number_counts_for_nothing(started: Start) -> None:
    world, worker = started(1)
    earlier = worker.claim(0, 0)
    worker.defer(earlier)
    now = worker.claim(0, 0)
    assert earlier[0].attempt == now[0].attempt
    assert worker.defer(earlier) == {}
    assert worker.report(earlier, outcome=TaskStatus.COMPLETED, result='{"by": "earlier"}') == {}
    assert worker.report(now, outcome=TaskStatus.COMPLETED, result='{"by": "now"}')
    assert world.tasks(worker.job_id)[0]["result"] == {"by": "now"}
    assert worker.defer(now) == {}


def test_what_travelled_together_returns_in_one_message(started: Start) -> None:
    world, worker = started(30)
    claimed = worker.claim(10, 19)
    worker.report([claimed[4]], outcome=TaskStatus.COMPLETED, result="{}")
    worker.defer(claimed[:4] + claimed[5:], delay=5)
    assert dispatches(world) == [(0, 9), (10, 13), (10, 19), (15, 19), (20, 29)]
    assert world.progress(worker.job_id)[0]["queued"] == 29


def test_messages_do_not_add_up_however_often_a_batch_is_put_off(started: Start) -> None:
    world, worker = started(30)
    for _ in range(20):
        worker.defer(worker.claim(0, 9))
        world.engine.relay()
    assert dispatches(world) == [(0, 9), (10, 19), (20, 29)]
    [claimed, *rest] = worker.claim(0, 9)
    worker.report([claimed], outcome=TaskStatus.COMPLETED, result="{}")
    for _ in range(20):
        worker.defer(rest)
        world.engine.relay()
        rest = worker.claim(0, 9)
    # The one of the whole batch speaks of nothing else any more, and goes when it is looked at next.
    assert dispatches(world) == [(0, 9), (1, 9), (10, 19), (20, 29)]
    worker.defer(rest)
    assert world.run(worker.job_id)["status"] == "completed"
    assert world.violations() == {}


def test_a_message_that_speaks_of_other_tasks_too_stays(started: Start) -> None:
    world, worker = started(10)
    worker.defer(worker.claim(0, 9)[2:5])
    assert dispatches(world) == [(0, 9), (2, 4)]


def test_in_a_stage_that_is_failing_it_is_swept_and_not_a_failure(started: Start) -> None:
    world, worker = started(2)
    first, second = worker.claim(0, 1)
    worker.report([first], outcome=TaskStatus.FAILED, error="broken")
    assert worker.defer([second]) == {1: TaskStatus.CANCELLED}
    row = world.run(worker.job_id)
    assert (row["status"], "broken" in row["error"], "no storage" in row["error"]) == ("failed", True, False)
    assert world.tasks(worker.job_id)[1]["attempts"][0]["outcome"] == "deferred"
    assert world.violations() == {}


def test_in_a_job_that_is_being_cancelled_it_is_cancelled(started: Start) -> None:
    world, worker = started(1)
    claimed = worker.claim(0, 0)
    world.engine.cancel(worker.job_id)
    assert worker.defer(claimed) == {0: TaskStatus.CANCELLED}
    assert world.run(worker.job_id)["status"] == "cancelled"
    assert world.violations() == {}


def test_of_a_long_history_the_newest_entries_are_kept(started: Start) -> None:
    world, worker = started(1)
    world.rows("UPDATE app.stages SET max_attempts = 1000 RETURNING 1")
    for attempt in range(1, 71):
        worker.defer(worker.claim(0, 0))
        [claimed] = worker.claim(0, 0)
        assert claimed.attempt == attempt
        worker.report([claimed], outcome=None, error=f"flaky {attempt}")
    [task] = world.tasks(worker.job_id)
    history = task["attempts"]
    assert len(history) == KEPT
    assert [a["outcome"] for a in history] == ["deferred", "retry"] * (KEPT // 2)
    assert [a["attempt"] for a in history[1::2]] == list(range(46, 71))


def test_attempts_put_off_in_a_row_are_one_entry_from_the_first_to_the_last(started: Start) -> None:
    world, worker = started(1)
    began = time.monotonic()
    for _ in range(3):
        claimed = worker.claim(0, 0)
        world.rows("SELECT pg_sleep(0.02)")
        worker.defer(claimed)
    took = time.monotonic() - began
    [task] = world.tasks(worker.job_id)
    [entry] = task["attempts"]
    assert (entry["attempt"], entry["outcome"], entry["times"]) == (1, "deferred", 3)
    assert (entry["error"], entry["worker"]) == ("no storage", "w")
    assert entry["started_at"] < task["started_at"].isoformat() < entry["ended_at"]
    assert 0.06 <= entry["seconds"] <= took + 0.01
