"""A task that kills its process fails in the end, and takes no other task with it (docs/adr/0004)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from interfaces.jobs import ClaimedTask, TaskReport
from interfaces.plans import StageDefinition
from interfaces.queues import JobMessage
from interfaces.states import FailurePolicy, TaskStatus
from interfaces.workflows import RetryPolicy
from repositories.database import Database
from repositories.recovery import RecoveryRepository
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

from .arrivals import arrive

END_LEASES = (
    "UPDATE app.tasks SET lease_until = now() - interval '1 ms' WHERE status = 'processing' RETURNING 1"
)
MAX_ATTEMPTS = 3


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app in which every batch waits for its message."""
    return make_world(run_at_once_seconds=0)


class Process:
    """A process that only claims, of which the test decides when it dies."""

    def __init__(self, world: World, name: str) -> None:
        self._tasks = TaskRepository(Database(world.settings))
        self._lease = world.settings.lease
        self._claimed: dict[int, ClaimedTask] = {}
        self.name = name

    def claim(self, job_id: str, first: int, last: int | None = None) -> list[int]:
        claimed = self._tasks.claim(
            job_id, 1, 1, first, first if last is None else last, worker=self.name, lease=self._lease
        )
        self._claimed |= {task.task_index: task for task in claimed}
        return [task.task_index for task in claimed]

    def complete(self, job_id: str, index: int) -> None:
        fence = self._claimed[index].fence
        done = TaskReport(task_index=index, fence=fence, outcome=TaskStatus.COMPLETED, result="{}")
        assert self._tasks.finish(job_id, 1, 1, self.name, [done])


def planned(world: World, n: int, **options: Any) -> str:
    """A job whose only stage is planned, and whose messages are lost."""
    world.register(
        ScriptedJob("job", [StageDefinition("a", "work", FailurePolicy.CONTINUE)]),
        task_type("work", lambda p, c: {}, **options),
    )
    job_id = world.submit("job", n=n).job_id
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    world.queues.lose_everything()
    world.rows("DELETE FROM app.outbox RETURNING 1")
    return job_id


def die(world: World) -> None:
    """Every process dies, and the reconciler notices."""
    world.rows(END_LEASES)
    world.engine.reconcile()


def ranges(world: World) -> list[tuple[int, int]]:
    """The batches that wait to be sent."""
    pending = world.rows("SELECT first, last FROM app.outbox WHERE sent_at IS NULL ORDER BY first")
    return [(row["first"], row["last"]) for row in pending]


def column(world: World, job_id: str, name: str) -> list[Any]:
    return [task[name] for task in world.tasks(job_id)]


def test_a_death_that_several_tasks_shared_is_held_against_none(world: World) -> None:
    job_id = planned(world, 3)
    Process(world, "w").claim(job_id, 0, 2)
    die(world)
    assert column(world, job_id, "status") == ["queued"] * 3
    assert column(world, job_id, "attempt") == [0, 0, 0]
    assert column(world, job_id, "suspicion") == [1, 1, 1]
    [lost] = world.tasks(job_id)[0]["attempts"]
    assert lost["outcome"] == "lease_lost"
    assert "and those of 2 more tasks or plans: not counted" in lost["error"]
    assert world.run(job_id)["status"] == "completed"
    assert world.violations() == {}


@pytest.mark.parametrize("attempts", [1, MAX_ATTEMPTS])
def test_a_death_is_judged_once_the_last_lease_has_ended(
    make_world: Callable[..., World], attempts: int
) -> None:
    """A task that was claimed after the last heartbeat has its lease longer than those beside it."""
    world = make_world(run_at_once_seconds=0, heartbeat_seconds=3)
    job_id = planned(world, 2, retry=RetryPolicy(max_attempts=attempts))
    process = Process(world, "w")
    process.claim(job_id, 0)
    process.claim(job_id, 1)
    world.rows(f"{END_LEASES[: END_LEASES.index('RETURNING')]} AND task_index = 0 RETURNING 1")
    world.engine.reconcile()
    assert column(world, job_id, "status") == ["processing"] * 2
    die(world)
    assert column(world, job_id, "status") == ["queued"] * 2
    assert column(world, job_id, "attempt") == [0, 0]
    assert column(world, job_id, "suspicion") == [1, 1]
    assert world.run(job_id)["status"] == "completed"


def test_a_page_of_ended_leases_holds_all_that_a_process_held(world: World) -> None:
    job_id = planned(world, 5)
    Process(world, "a").claim(job_id, 0, 2)
    Process(world, "b").claim(job_id, 3, 4)
    world.rows(END_LEASES)
    recovery = RecoveryRepository(Database(world.settings))
    moved = [
        len(recovery.ended_leases(timedelta(minutes=1), world.settings.lease, limit=2)) for _ in range(3)
    ]
    assert moved == [3, 2, 0]
    assert column(world, job_id, "attempt") == [0] * 5


def test_what_a_process_neglects_is_taken_from_it_while_it_lives(make_world: Callable[..., World]) -> None:
    world = make_world(run_at_once_seconds=0, heartbeat_seconds=3)
    job_id = planned(world, 2)
    Process(world, "w").claim(job_id, 0, 1)

    def lease_ended(seconds: int) -> None:
        world.rows(
            "UPDATE app.tasks SET lease_until = now() - make_interval(secs => %s)"
            " WHERE task_index = 0 RETURNING 1",
            seconds,
        )
        world.engine.reconcile()

    lease_ended(2)
    assert column(world, job_id, "status") == ["processing", "processing"]
    lease_ended(6)
    assert column(world, job_id, "status") == ["queued", "processing"]


def test_a_message_takes_nothing_from_the_dead(world: World) -> None:
    """Nor does it lessen what the reconciler sees of a death."""
    job_id = planned(world, 2)
    Process(world, "w").claim(job_id, 0, 1)
    world.rows(END_LEASES)
    assert Process(world, "other").claim(job_id, 0) == []
    world.engine.reconcile()
    assert column(world, job_id, "attempt") == [0, 0]
    assert column(world, job_id, "suspicion") == [1, 1]


def test_a_death_that_a_task_died_alone_counts(world: World) -> None:
    job_id = planned(world, 1)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert column(world, job_id, "status") == ["queued"]
        assert Process(world, f"w{attempt}").claim(job_id, 0) == [0]
        die(world)
        assert column(world, job_id, "attempt") == [attempt]
    assert column(world, job_id, "status") == ["failed"]


def test_processes_that_die_at_the_same_time_are_not_one(world: World) -> None:
    job_id = planned(world, 2)
    Process(world, "one").claim(job_id, 0)
    Process(world, "other").claim(job_id, 1)
    die(world)
    assert column(world, job_id, "attempt") == [1, 1]


def test_what_was_lost_together_is_tried_again_in_its_batches_and_then_alone(world: World) -> None:
    job_id = planned(world, 10)
    world.rows("UPDATE app.stages SET batch_size = 4 RETURNING 1")
    process = Process(world, "w")
    for first, last in ((0, 3), (4, 7), (8, 9)):
        process.claim(job_id, first, last)
    world.rows("UPDATE app.tasks SET status = 'queued', lease_until = NULL WHERE task_index = 2 RETURNING 1")
    die(world)
    assert ranges(world) == [(0, 1), (3, 3), (4, 7), (8, 9)]
    world.rows("DELETE FROM app.outbox RETURNING 1")
    process.claim(job_id, 4, 7)
    die(world)
    assert [(first, last) for first, last in ranges(world) if 4 <= first < 8] == [(i, i) for i in range(4, 8)]
    assert Counter(column(world, job_id, "suspicion")) == {0: 1, 1: 5, 2: 4}
    world.run(job_id)
    assert world.job(job_id)["status"] == "completed"
    assert world.violations() == {}


def test_a_process_runs_one_suspect_at_a_time_and_puts_the_message_of_another_back(world: World) -> None:
    job_id = planned(world, 4)
    first, second = Process(world, "first"), Process(world, "second")
    for _ in range(2):
        first.claim(job_id, 0, 2)
        die(world)
    world.engine.relay()
    world.queues.lose_everything()
    # A message of the whole batch comes late: it gets those that are above suspicion, then one suspect.
    assert first.claim(job_id, 0, 3) == [3]
    assert first.claim(job_id, 0, 3) == [0]
    assert first.claim(job_id, 1) == []
    assert first.claim(job_id, 2) == []
    assert second.claim(job_id, 2) == [2]
    pending = world.rows("SELECT first, not_before > now() AS later FROM app.outbox WHERE sent_at IS NULL")
    assert {row["first"]: row["later"] for row in pending} == {1: True, 2: True}
    die(world)
    # Two were the suspects of their processes and pay; the two others were not running, or new.
    assert column(world, job_id, "attempt") == [1, 0, 1, 0]
    assert column(world, job_id, "suspicion") == [2, 2, 2, 1]
    assert column(world, job_id, "status") == ["queued"] * 4


def test_a_message_put_back_before_it_was_marked_sent_stays_put_back(world: World) -> None:
    job_id = planned(world, 2)
    process = Process(world, "w")
    for _ in range(2):
        world.rows("DELETE FROM app.outbox RETURNING 1")
        process.claim(job_id, 0, 1)
        die(world)
    process.claim(job_id, 0)
    taken = world.rows("SELECT dispatch_id FROM app.take_dispatches(NULL, 10, interval '1 minute')")
    assert process.claim(job_id, 1) == []
    world.rows(
        "SELECT app.mark_sent(%s, interval '1 minute', interval '1 minute')",
        [row["dispatch_id"] for row in taken],
    )
    assert ranges(world) == [(1, 1)]


def test_a_task_that_always_kills_its_process_fails_and_harms_no_other(world: World) -> None:
    """Whoever runs beside it, and however often: the worst order that there is."""
    job_id = planned(world, 12)
    deaths = 0
    while column(world, job_id, "status")[5] != "failed":
        process = Process(world, f"w{deaths}")
        # The process takes up all that it may, the deadly one last.
        beside = [i for i in range(12) if i != 5 and process.claim(job_id, i)]
        assert process.claim(job_id, 5) in ([5], [])
        if column(world, job_id, "status")[5] == "processing":
            deaths += 1
            die(world)
        else:
            # It was put back, because another suspect ran: that one completes.
            [innocent] = beside
            process.complete(job_id, innocent)
    assert deaths == 2 + MAX_ATTEMPTS
    others = [task for task in world.tasks(job_id) if task["task_index"] != 5]
    assert {task["status"] for task in others} <= {"completed", "queued"}
    assert {task["attempt"] for task in others} <= {0, 1}
    assert "killed, out of memory, or hung" in world.tasks(job_id)[5]["error"]
    assert world.run(job_id)["status"] == "completed_with_errors"
    assert Counter(column(world, job_id, "status")) == {"completed": 11, "failed": 1}
    assert world.violations() == {}


def test_what_did_not_count_leaves_as_many_attempts_for_errors(world: World) -> None:
    def broken(p: dict[str, Any], c: Any) -> dict[str, Any]:
        raise ConnectionError(f"attempt {c.attempt}")

    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", broken))
    job_id = world.submit("job", n=2).job_id
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    Process(world, "w").claim(job_id, 0, 1)
    die(world)
    assert world.run(job_id)["status"] == "failed"
    outcomes = [[a["outcome"] for a in task["attempts"]] for task in world.tasks(job_id)]
    assert ["lease_lost", "retry", "retry", "failed"] in outcomes


def test_a_retried_job_starts_above_suspicion(world: World) -> None:
    job_id = planned(world, 1)
    for attempt in range(MAX_ATTEMPTS):
        Process(world, f"w{attempt}").claim(job_id, 0)
        die(world)
    assert column(world, job_id, "suspicion") == [2]
    assert world.run(job_id)["status"] == "completed_with_errors"
    world.engine.retry(job_id, correlation_id="again")
    assert column(world, job_id, "suspicion") == [0]
    assert world.run(job_id)["status"] == "completed"
