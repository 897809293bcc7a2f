"""Workers die, messages vanish, leases end: jobs go on, and nothing is done twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

import engine.relay
from interfaces.errors import PermanentTaskError, ServiceUnavailable
from interfaces.plans import StageDefinition, Tasks
from interfaces.workflows import RetryPolicy
from repositories.database import Database
from repositories.tasks import TaskRepository
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World


def _noop_job(world: World, handler: Callable[..., dict[str, Any]] = lambda p, c: {}, **options: Any) -> None:
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), task_type("work", handler, **options))


def _plan_only(world: World) -> None:
    """Deliver the job message, and lose the task messages."""
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)


def test_every_message_may_vanish_at_any_time(world: World) -> None:
    job = world.submit("hello_world", n=40)
    for _ in range(12):
        world.queues.lose_everything()
        time.sleep(0.6)
        world.engine.reconcile()
        world.pump(limit=10_000)
    assert world.run(job.job_id)["status"] == "completed"
    assert all(task["attempt"] == 1 for task in world.tasks(job.job_id))
    assert world.violations() == {}


def test_the_outbox_may_be_emptied_by_other_hands(world: World) -> None:
    job = world.submit("hello_world", n=40)
    world.queues.lose_everything()
    world.rows("DELETE FROM app.outbox RETURNING 1")
    world.engine.reconcile()
    world.engine.relay()
    _plan_only(world)
    world.queues.lose_everything()
    world.rows("DELETE FROM app.outbox RETURNING 1")
    assert world.run(job.job_id)["status"] == "completed"
    assert "dispatched_anew" in world.events(job.job_id)
    assert world.violations() == {}


def test_a_queue_that_does_not_answer_delays_and_loses_nothing(world: World) -> None:
    world.queues.broken = True
    job = world.submit("hello_world", n=3)
    assert world.engine.relay() == 0
    assert world.job(job.job_id)["status"] == "queued"
    world.queues.broken = False
    assert world.run(job.job_id)["status"] == "completed"


def test_a_dead_workers_tasks_are_run_by_another(world: World) -> None:
    _noop_job(world, lambda p, c: {"attempt": c.attempt})
    job = world.submit("job", n=3)
    _plan_only(world)
    dead = TaskRepository(Database(world.settings))
    claimed = dead.claim(job.job_id, 1, 1, 0, 1, worker="dead", lease=timedelta(seconds=0.5))
    assert len(claimed) == 2
    assert world.run(job.job_id)["status"] == "completed"
    tasks = world.tasks(job.job_id)
    # Which of the two killed it, if one did, nobody knows: the attempt counts for neither.
    assert [task["attempt"] for task in tasks] == [1, 1, 1]
    [lost] = tasks[0]["attempts"]
    assert (lost["outcome"], lost["worker"], lost["attempt"]) == ("lease_lost", "dead", 1)
    assert world.violations() == {}


def test_what_a_worker_writes_after_its_lease_was_taken_has_no_effect(world: World) -> None:
    started, go_on = threading.Event(), threading.Event()

    def slow(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if c.attempt == 1:
            started.set()
            go_on.wait(20)
        return {"attempt": c.attempt}

    _noop_job(world, slow)
    job = world.submit("job")
    _plan_only(world)
    message = world.queues.receive(world.settings.tasks_queue)
    assert message is not None
    zombie = threading.Thread(target=world.deliver, args=(message, world.settings.tasks_queue))
    zombie.start()
    assert started.wait(10)
    # The process freezes: its lease is taken from it.
    world.rows("UPDATE app.tasks SET lease_until = now() - interval '1 minute', fence = 0 RETURNING 1")
    assert world.run(job.job_id)["status"] == "completed"
    go_on.set()
    zombie.join(10)
    [task] = world.tasks(job.job_id)
    assert (task["attempt"], task["result"]) == (2, {"attempt": 2})
    assert world.violations() == {}


def test_the_heartbeat_keeps_a_slow_handlers_lease(make_world: Callable[..., World]) -> None:
    world = make_world(lease_seconds=2)

    def slow(p: dict[str, Any], c: Any) -> dict[str, Any]:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            world.engine.reconcile()
            time.sleep(0.2)
        return {}

    _noop_job(world, slow)
    job = world.submit("job")
    assert world.run(job.job_id)["status"] == "completed"
    assert world.tasks(job.job_id)[0]["attempt"] == 1


def test_a_task_whose_worker_always_dies_fails_with_that_reason(world: World) -> None:
    _noop_job(world)
    job = world.submit("job")
    _plan_only(world)
    dead = TaskRepository(Database(world.settings))
    for attempt in range(3):
        claimed = dead.claim(job.job_id, 1, 1, 0, 0, worker=f"w{attempt}", lease=timedelta(0))
        assert len(claimed) == 1
        time.sleep(0.01)
        world.queues.lose_everything()
        world.engine.reconcile()
    row = world.run(job.job_id)
    assert row["status"] == "failed"
    assert "lease lost on attempt 3: worker w2 stopped renewing it" in row["error"]
    assert [a["worker"] for a in world.tasks(job.job_id)[0]["attempts"]] == ["w0", "w1", "w2"]


def test_a_message_takes_no_task_over_whose_lease_ended_before_the_reconciler_looks(world: World) -> None:
    _noop_job(world)
    job = world.submit("job")
    _plan_only(world)
    TaskRepository(Database(world.settings)).claim(job.job_id, 1, 1, 0, 0, worker="dead", lease=timedelta(0))
    time.sleep(0.01)
    world.pump()
    assert world.tasks(job.job_id)[0]["worker"] == "dead"
    assert world.run(job.job_id)["status"] == "completed"
    assert world.tasks(job.job_id)[0]["attempt"] == 2


def test_a_planner_that_dies_is_replaced(world: World) -> None:
    job = world.submit("hello_world", n=3)
    world.rows("SELECT * FROM app.claim_plan(%s, 1, 1, 'dead', interval '0.3 seconds', 5)", job.job_id)
    world.queues.lose_everything()
    assert world.run(job.job_id)["status"] == "completed"
    assert "plan_lease_lost" in world.events(job.job_id)
    assert world.violations() == {}


def test_a_job_whose_planners_always_die_fails_with_that_reason(world: World) -> None:
    job = world.submit("hello_world", n=3)
    for _ in range(world.settings.max_plan_attempts):
        world.rows("SELECT * FROM app.claim_plan(%s, 1, 1, 'dead', interval '0', 5)", job.job_id)
        time.sleep(0.01)
        world.queues.lose_everything()
        world.engine.reconcile()
    row = world.run(job.job_id)
    assert row["status"] == "failed"
    assert "stage 1 could not be planned: 5 attempts" in row["error"]


def test_a_crash_between_completing_and_advancing_is_mended(world: World) -> None:
    _noop_job(world)
    job = world.submit("job", n=2)
    _plan_only(world)
    repository = TaskRepository(Database(world.settings))
    claimed = repository.claim(job.job_id, 1, 1, 0, 1, worker="w", lease=timedelta(minutes=1))
    world.rows(
        "SELECT * FROM app.finish_tasks(%s, 1, 1, 'w', ARRAY[0, 1], ARRAY[%s, %s],"
        " ARRAY['completed', 'completed'], ARRAY['{}', '{}']::jsonb[],"
        " ARRAY[NULL, NULL]::jsonb[], ARRAY[NULL, NULL], ARRAY[0, 0], ARRAY[NULL, NULL]::jsonb[], NULL)",
        job.job_id,
        *[task.fence for task in claimed],
    )
    world.queues.lose_everything()
    moved = world.engine.reconcile()
    assert moved["stages_advanced"] == 1
    assert world.run(job.job_id)["status"] == "completed"


def test_transient_errors_are_retried_with_their_history(world: World) -> None:
    def flaky(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if c.attempt < 3:
            raise ConnectionError(f"attempt {c.attempt}: password=hunter2;AccountKey=abc==")
        return {"attempt": c.attempt}

    _noop_job(world, flaky)
    job = world.submit("job")
    assert world.run(job.job_id)["status"] == "completed"
    [task] = world.tasks(job.job_id)
    assert [(a["attempt"], a["outcome"]) for a in task["attempts"]] == [(1, "retry"), (2, "retry")]
    assert "ConnectionError: attempt 1" in task["attempts"][0]["error"]
    assert "hunter2" not in str(task)
    assert "abc==" not in str(task)
    assert task["attempts"][0]["started_at"] <= task["attempts"][0]["ended_at"]


@pytest.mark.parametrize("error", [PermanentTaskError("no such blob"), FileNotFoundError("x.tif")])
def test_permanent_errors_are_not_retried(world: World, error: Exception) -> None:
    def broken(p: dict[str, Any], c: Any) -> dict[str, Any]:
        raise error

    _noop_job(world, broken, retry=RetryPolicy(max_attempts=5, permanent=(FileNotFoundError,)))
    job = world.submit("job")
    assert world.run(job.job_id)["status"] == "failed"
    assert world.tasks(job.job_id)[0]["attempt"] == 1


def test_wrong_task_parameters_fail_at_once_and_name_the_field(world: World) -> None:
    world.register(
        ScriptedJob("wrong", [StageDefinition("a", "hello_greeting")], lambda *_: Tasks([{"number": "many"}]))
    )
    job = world.submit("wrong")
    row = world.run(job.job_id)
    assert row["status"] == "failed"
    assert "message" in row["error"]
    assert world.tasks(job.job_id)[0]["attempt"] == 1


def test_a_handler_that_runs_too_long_counts_as_an_attempt(world: World) -> None:
    def hangs(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if c.attempt == 1:
            time.sleep(1.5)
        return {"attempt": c.attempt}

    _noop_job(world, hangs, timeout=timedelta(seconds=0.3))
    job = world.submit("job")
    assert world.run(job.job_id)["status"] == "completed"
    [task] = world.tasks(job.job_id)
    assert task["result"] == {"attempt": 2}
    assert "ran longer than 0.3 s" in task["attempts"][0]["error"]


def test_the_tasks_behind_one_that_hangs_are_given_back(make_world: Callable[..., World]) -> None:
    world = make_world(batch_parallelism=1)
    first = threading.Event()

    def hangs(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if not first.is_set():
            first.set()
            time.sleep(1.5)
        return {}

    brief = timedelta(milliseconds=1)
    _noop_job(world, hangs, timeout=timedelta(seconds=0.3), max_batch=10, expected_duration=brief)
    job = world.submit("job", n=30)
    assert world.run(job.job_id)["status"] == "completed"
    given_back = [
        t for t in world.tasks(job.job_id) if t["attempts"] and "given back" in t["attempts"][0]["error"]
    ]
    assert given_back
    # Their handlers did not even begin, so the attempts do not count.
    assert {(t["attempt"], t["attempts"][0]["outcome"]) for t in given_back} == {(1, "deferred")}
    assert world.violations() == {}


def test_a_database_that_goes_away_while_a_handler_runs_costs_at_most_an_attempt(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _noop_job(world)
    job = world.submit("job")
    _plan_only(world)
    failures = iter([ServiceUnavailable("gone"), ServiceUnavailable("gone")])
    real = TaskRepository.finish

    def sometimes(self: TaskRepository, *args: Any) -> Any:
        if error := next(failures, None):
            raise error
        return real(self, *args)

    monkeypatch.setattr(TaskRepository, "finish", sometimes)
    world.pump()
    assert world.job(job.job_id)["status"] == "completed"
    assert world.tasks(job.job_id)[0]["attempt"] == 1


def test_two_reconcilers_at_once_do_the_work_of_one(world: World) -> None:
    _noop_job(world)
    job = world.submit("job", n=30)
    _plan_only(world)
    dead = TaskRepository(Database(world.settings))
    dead.claim(job.job_id, 1, 1, 0, 29, worker="dead", lease=timedelta(0))
    time.sleep(0.01)
    engines = [world.new_engine() for _ in range(4)]
    threads = [threading.Thread(target=engine.reconcile) for engine in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert [len(task["attempts"]) for task in world.tasks(job.job_id)] == [1] * 30
    assert world.run(job.job_id)["status"] == "completed"


def test_the_reconciler_neither_sends_nor_plans(world: World) -> None:
    """A slow queue or a large stage must not keep its rules waiting."""
    _noop_job(world)
    job = world.submit("job", n=100)
    _plan_only(world)
    world.queues.lose_everything()
    sent = world.queues.sent
    time.sleep(0.6)
    moved = world.engine.reconcile()
    assert moved["messages_vanished"] > 0
    assert world.queues.sent == sent
    assert world.run(job.job_id)["status"] == "completed"


def test_draining_ends_in_time_however_slow_the_queue_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _noop_job(world)
    job = world.submit("job", n=1000)
    monkeypatch.setattr(engine.relay, "DRAIN_SECONDS", 0.0)
    _plan_only(world)
    assert world.queues.length(world.settings.tasks_queue) < 1000
    monkeypatch.undo()
    assert world.run(job.job_id)["status"] == "completed"
    assert all(task["attempt"] == 1 for task in world.tasks(job.job_id))


def test_what_a_dead_sender_had_taken_is_sent_by_another_within_the_minute(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _noop_job(world)
    with monkeypatch.context() as dying:
        dying.setattr(world.queues, "send", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            world.submit("job", n=10)
    [held] = world.rows("SELECT taken_until < now() + interval '30 s' AS soon FROM app.outbox")
    assert held["soon"]
    assert world.engine.relay() == 0
    world.rows("UPDATE app.outbox SET taken_until = now() - interval '1 ms' RETURNING 1")
    assert world.engine.relay() == 1
    world.pump()
    assert world.violations() == {}


def test_what_a_slow_queue_did_not_take_in_time_is_let_go_of(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _noop_job(world)
    assert timedelta(seconds=engine.relay.SEND_SECONDS) < engine.relay.HOLD
    with monkeypatch.context() as slow:
        slow.setattr(engine.relay, "SEND_SECONDS", 0.0)
        job = world.submit("job", n=10)
    assert world.queues.sent == 0
    assert world.engine.relay() == 1
    assert world.run(job.job_id)["status"] == "completed"
