"""Storage fails for a while: work waits for it without using up attempts, and goes on by itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from interfaces.errors import ContainerNotFound
from interfaces.plans import StageDefinition
from interfaces.states import FailurePolicy
from tests.doubles.faulty_blobs import FaultyBlobs
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

MakeWorld = Callable[..., World]
BRIEF = timedelta(milliseconds=1)


@pytest.fixture
def faulty() -> FaultyBlobs:
    """Sixty blobs, named by number."""
    made = FaultyBlobs()
    for i in range(60):
        made.write("bronze", str(i), b"content")
    return made


def read_blobs(world: World, policy: FailurePolicy = FailurePolicy.FAIL_JOB) -> None:
    """Register a job type whose tasks read one blob each, with three attempts that follow at once."""

    def read(p: dict[str, Any], c: Any) -> dict[str, Any]:
        return {"bytes": len(world.guarded.read("bronze", str(p["i"])))}

    definition = task_type("read", read, max_batch=10, expected_duration=BRIEF, waits_for_io=True)
    world.register(ScriptedJob("reading", [StageDefinition("a", "read", policy)]), definition)


def pass_time(world: World, seconds: float) -> None:
    """Deliver and reconcile for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        world.pump()
        world.engine.reconcile()
        time.sleep(0.05)


def outcomes(task: dict[str, Any]) -> list[str]:
    return [attempt["outcome"] for attempt in task["attempts"] or []]


def test_an_outage_uses_up_no_attempts_and_everything_completes_after_it(
    make_world: MakeWorld, faulty: FaultyBlobs
) -> None:
    world = make_world(storage=faulty, batch_parallelism=1, breaker_pause_seconds=0.5)
    read_blobs(world)
    faulty.down, faulty.calls = True, 0
    job = world.submit("reading", n=60)
    pass_time(world, 2.5)
    # Tasks that do not need it go on meanwhile.
    other = world.submit("hello_world", n=30)
    assert world.run(other.job_id)["status"] == "completed"

    assert world.breakers.status()[0].state == "open"
    tasks = world.tasks(job.job_id)
    assert {(task["status"], task["attempt"]) for task in tasks} == {("queued", 0)}
    assert {tuple(outcomes(task)) for task in tasks} <= {("deferred",), ()}
    assert faulty.calls < 30, "sixty tasks were put off again and again, without calling storage"
    assert world.violations() == {}

    faulty.down = False
    assert world.run(job.job_id, seconds=10)["status"] == "completed"
    assert {task["attempt"] for task in world.tasks(job.job_id)} == {1}
    assert world.breakers.status()[0].state == "closed"
    assert "tasks_deferred" in world.events(job.job_id)
    assert world.violations() == {}


def test_an_outage_in_the_middle_costs_next_to_no_attempts(
    make_world: MakeWorld, faulty: FaultyBlobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = make_world(storage=faulty, batch_parallelism=1)
    read_blobs(world)
    real = FaultyBlobs.read
    faulty.calls = 0

    def read(self: FaultyBlobs, *arguments: Any) -> bytes:
        self.down = 15 < self.calls < 60
        return real(self, *arguments)

    monkeypatch.setattr(FaultyBlobs, "read", read)
    job = world.submit("reading", n=60)
    pass_time(world, 1)
    monkeypatch.undo()
    faulty.down = False
    assert world.run(job.job_id, seconds=10)["status"] == "completed"
    counted = [o for task in world.tasks(job.job_id) for o in outcomes(task) if o != "deferred"]
    # Of those in flight a few may have begun before storage answered for the last time.
    assert counted == ["retry"] * len(counted)
    assert len(counted) <= world.settings.breaker_failures - 1
    assert world.violations() == {}


def test_a_job_of_one_task_outlives_an_outage_on_any_number_of_processes(
    make_world: MakeWorld, faulty: FaultyBlobs
) -> None:
    """No process sees enough failures in a row to open its breaker by counting."""
    processes = [make_world(storage=faulty, breaker_pause_seconds=0.1) for _ in range(5)]
    for process in processes:
        read_blobs(process)
    faulty.down = True
    job = processes[0].submit("reading", n=1)
    processes[0].pump()
    end = time.monotonic() + 15
    for sender, process in pairwise(processes):
        # What one process put off comes to the next.
        while (message := sender.queues.receive(sender.settings.tasks_queue)) is None:
            assert time.monotonic() < end
            time.sleep(0.02)
        process.deliver(message, process.settings.tasks_queue)
    assert [process.breakers.status()[0].state for process in processes] == ["open"] * 5
    [task] = processes[0].tasks(job.job_id)
    assert (task["status"], task["attempt"]) == ("queued", 0)
    assert outcomes(task) == ["deferred"]
    assert task["attempts"][0]["times"] >= 5
    faulty.down = False
    assert processes[0].run(job.job_id)["status"] == "completed"
    assert processes[0].violations() == {}


def test_a_blob_that_alone_cannot_be_read_fails_its_task_and_no_other(
    make_world: MakeWorld, faulty: FaultyBlobs
) -> None:
    world = make_world(storage=faulty)
    read_blobs(world, FailurePolicy.CONTINUE)
    faulty.broken = {"7"}
    job = world.submit("reading", n=20)
    assert world.run(job.job_id)["status"] == "completed_with_errors"
    tasks = world.tasks(job.job_id)
    [failed] = [task for task in tasks if task["status"] == "failed"]
    assert (failed["task_index"], failed["attempt"]) == (7, 3)
    assert failed["error"] == "storage answered 500 InternalError"
    assert outcomes(failed) == ["retry", "retry", "failed"]
    assert sum(task["status"] == "completed" for task in tasks) == 19


def test_a_blob_that_cannot_be_read_and_is_all_that_is_asked_for_fails_its_job(
    make_world: MakeWorld, faulty: FaultyBlobs
) -> None:
    world = make_world(storage=faulty, breaker_failures=2)
    read_blobs(world)
    faulty.broken = {"0"}
    job = world.submit("reading", n=1)
    assert world.run(job.job_id, seconds=15)["status"] == "failed"
    [task] = world.tasks(job.job_id)
    assert (task["status"], task["attempt"]) == ("failed", 3)


def test_a_large_result_that_cannot_be_stored_is_made_again_later(
    make_world: MakeWorld, faulty: FaultyBlobs
) -> None:
    world = make_world(storage=faulty, max_inline_result_bytes=10, breaker_pause_seconds=0.1)
    world.register(
        ScriptedJob("large", [StageDefinition("a", "large")]),
        task_type("large", lambda p, c: {"text": "x" * 100}),
    )
    faulty.down = True
    job = world.submit("large", n=3)
    pass_time(world, 0.3)
    faulty.down = False
    assert world.run(job.job_id)["status"] == "completed"
    tasks = world.tasks(job.job_id)
    assert {(task["attempt"], task["result_location"]["bytes"]) for task in tasks} == {(1, 111)}
    assert ["deferred"] in [outcomes(task) for task in tasks]
    assert sum(where == world.settings.results_container for where, _ in faulty.blobs) == 3
    assert world.violations() == {}


def test_the_container_of_large_results_is_made_where_it_is_missing(make_world: MakeWorld) -> None:
    class WithoutContainer(FaultyBlobs):
        made: str | None = None

        def write(self, container: str, name: str, data: bytes, **options: Any) -> str:
            if container != self.made:
                raise ContainerNotFound(f"container {container!r} does not exist")
            return super().write(container, name, data, **options)

        def ensure_container(self, container: str) -> None:
            self.made = container

    world = make_world(storage=WithoutContainer(), max_inline_result_bytes=10)
    world.register(
        ScriptedJob("large", [StageDefinition("a", "large")]),
        task_type("large", lambda p, c: {"text": "x" * 100}),
    )
    job = world.submit("large")
    assert world.run(job.job_id)["status"] == "completed"
    assert world.tasks(job.job_id)[0]["attempt"] == 1


def test_of_a_large_stage_only_one_batch_at_a_time_looks_whether_storage_is_back(
    make_world: MakeWorld, faulty: FaultyBlobs
) -> None:
    world = make_world(storage=faulty, breaker_pause_seconds=0.5)
    world.register(
        ScriptedJob("reading", [StageDefinition("a", "read")]),
        task_type("read", lambda p, c: {"n": len(world.guarded.read("bronze", str(p["i"])))}),
    )
    faulty.down = True
    job = world.submit("reading", n=60)
    pass_time(world, 3)
    events = world.events(job.job_id)
    # Six tries at most in that time, and as many claims; the other messages went back unopened.
    assert 1 <= events.count("tasks_claimed") == events.count("tasks_deferred") <= 12
    assert sum(task["attempts"] is None for task in world.tasks(job.job_id)) >= 48
    assert len(world.rows("SELECT 1 FROM app.outbox")) == 60
    faulty.down = False
    assert world.run(job.job_id, seconds=15)["status"] == "completed"
    assert {task["attempt"] for task in world.tasks(job.job_id)} == {1}
    assert world.violations() == {}


def test_a_job_that_waits_for_storage_can_be_cancelled(make_world: MakeWorld, faulty: FaultyBlobs) -> None:
    world = make_world(storage=faulty, breaker_pause_seconds=60)
    read_blobs(world)
    faulty.down = True
    job = world.submit("reading", n=20)
    world.pump()
    assert {task["status"] for task in world.tasks(job.job_id)} == {"queued"}
    world.engine.cancel(job.job_id)
    assert world.job(job.job_id)["status"] == "cancelled"
    assert {task["status"] for task in world.tasks(job.job_id)} == {"cancelled"}
    assert world.violations() == {}
