"""What the protocol does with an attempt that is put off."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from engine.delays import deferral
from interfaces.jobs import ClaimedTask, TaskReport
from interfaces.plans import StageDefinition
from interfaces.states import FailurePolicy, TaskStatus
from repositories.database import Database
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
        return self.finish(reports)

    def finish(self, reports: list[TaskReport]) -> dict[int, TaskStatus]:
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


def test_one_that_is_tried_again_and_one_that_is_put_off_are_written_together(started: Start) -> None:
    """As when a breaker opens in the middle of a batch; the one's seconds are whole, the other's are not."""
    world, worker = started(3)
    fences = {task.task_index: task.fence for task in worker.claim(0, 2)}
    reports = [
        TaskReport(0, fences[0], TaskStatus.COMPLETED, result="{}"),
        TaskReport(1, fences[1], None, error="reset", delay_seconds=1.25),
        TaskReport(2, fences[2], None, error="no storage", delay_seconds=deferral(5, 0, 0), deferred=True),
    ]
    assert worker.finish(reports) == {0: TaskStatus.COMPLETED, 1: TaskStatus.QUEUED, 2: TaskStatus.QUEUED}
    rows = world.rows(
        "SELECT extract(epoch FROM due_at - now())::float8 AS seconds FROM app.tasks WHERE status = 'queued'"
        " ORDER BY task_index"
    )
    assert [row["seconds"] for row in rows] == [pytest.approx(1.25, abs=1), pytest.approx(5, abs=1)]


def test_outcomes_are_written_in_any_order_while_the_heartbeat_renews_their_leases(started: Start) -> None:
    """Both lock the tasks of a batch: in one order, however they ended."""
    n = 2000
    world, worker = started(n)
    claimed = [task for first in range(0, n, 10) for task in worker.claim(first, first + 9)]
    world.databases.append(Database(world.settings))
    beats = TaskRepository(world.databases[-1])
    ended = threading.Event()

    def renew() -> int:
        count = 0
        while not ended.is_set():
            beats.extend(claimed, timedelta(minutes=1))
            count += 1
        return count

    random.Random(1).shuffle(claimed)
    with ThreadPoolExecutor(1) as threads:
        renewing = threads.submit(renew)
        try:
            for start in range(0, n, 100):
                page = claimed[start : start + 100]
                assert len(worker.report(page, outcome=TaskStatus.COMPLETED, result="{}")) == len(page)
        finally:
            ended.set()
        assert renewing.result() > 0


def test_an_outcome_that_cannot_be_written_fails_its_task_and_no_other(
    make_world: Callable[..., World],
) -> None:
    world = make_world()
    brief = timedelta(milliseconds=1)
    world.register(
        ScriptedJob("job", [StageDefinition("a", "work", on_failure=FailurePolicy.CONTINUE)]),
        task_type("work", lambda p, c: {}, max_batch=10, expected_duration=brief),
    )
    world.rows(
        "ALTER TABLE app.tasks ADD COLUMN tenth integer"
        " GENERATED ALWAYS AS (CASE WHEN status = 'completed' THEN 1 / (task_index - 3) END) STORED",
        fetch=False,
    )
    job_id = world.submit("job", n=6).job_id
    assert world.run(job_id)["status"] == "completed_with_errors"
    ended = {task["task_index"]: task["status"] for task in world.tasks(job_id)}
    assert ended == {**dict.fromkeys(range(6), "completed"), 3: "failed"}
    [failed] = [task for task in world.tasks(job_id) if task["status"] == "failed"]
    assert failed["error"] == "the outcome cannot be written: division by zero"
