"""A brief stage of one message runs where it was planned, and survives all the same (docs/adr/0003)."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest

from engine.execution import Executor
from interfaces.errors import ServiceUnavailable
from interfaces.plans import StageDefinition
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

MILLISECOND = timedelta(milliseconds=1)


def _deliver_the_job(world: World) -> None:
    message = world.queues.receive(world.settings.jobs_queue)
    assert message is not None
    world.deliver(message, world.settings.jobs_queue)


def test_a_small_job_takes_one_message(world: World) -> None:
    job = world.submit("hello_world", n=30)
    _deliver_the_job(world)
    assert world.job(job.job_id)["status"] == "completed"
    assert world.queues.sent == 1
    assert len(world.tasks(job.job_id)) == 60
    assert world.rows("SELECT count(*) AS n FROM app.outbox") == [{"n": 0}]
    assert world.violations() == {}


@pytest.mark.parametrize("stage", [1, 2])
def test_a_process_that_dies_before_the_claim_leaves_a_dispatch(
    world: World, monkeypatch: pytest.MonkeyPatch, stage: int
) -> None:
    real = Executor.process

    def die(self: Executor, message: object) -> object:
        if message.stage == stage:  # type: ignore[attr-defined]
            raise KeyboardInterrupt
        return real(self, message)  # type: ignore[arg-type]

    job = world.submit("hello_world", n=30)
    with monkeypatch.context() as dying:
        dying.setattr(Executor, "process", die)
        with pytest.raises(KeyboardInterrupt):
            _deliver_the_job(world)
    assert world.violations() == {}
    assert world.engine.relay() == 1
    world.pump()
    assert world.job(job.job_id)["status"] == "completed"
    assert {task["attempt"] for task in world.tasks(job.job_id)} == {1}


def test_a_process_that_dies_in_the_batch_leaves_leases_that_end(world: World) -> None:
    deaths = iter([KeyboardInterrupt])

    def mortal(p: object, c: object) -> dict[str, int]:
        for death in deaths:
            raise death
        return {}

    brief = task_type("work", mortal, expected_duration=MILLISECOND, max_batch=10)
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), brief)
    job = world.submit("job", n=10)
    with pytest.raises(KeyboardInterrupt):
        _deliver_the_job(world)
    # The heartbeat of this process still lives; that of a dead one would not.
    world.rows("UPDATE app.tasks SET lease_until = now() - interval '1 s', fence = 1 RETURNING 1")
    time.sleep(0.05)
    assert world.run(job.job_id)["status"] == "completed"
    assert world.violations() == {}


def test_a_database_that_is_away_for_the_claim_hands_the_batch_to_its_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.submit("hello_world", n=30)
    with monkeypatch.context() as away:
        away.setattr(Executor, "process", lambda *_: _unavailable())
        with pytest.raises(ServiceUnavailable):
            _deliver_the_job(world)
    assert world.run(job.job_id)["status"] == "completed"


def test_what_is_to_be_retried_of_a_brief_stage_gets_a_message(world: World) -> None:
    failures = iter([ValueError("once")])

    def sometimes(p: object, c: object) -> dict[str, int]:
        for failure in failures:
            raise failure
        return {}

    brief = task_type("work", sometimes, expected_duration=MILLISECOND, max_batch=10)
    world.register(ScriptedJob("job", [StageDefinition("a", "work")]), brief)
    job = world.submit("job", n=10)
    _deliver_the_job(world)
    assert world.job(job.job_id)["status"] == "processing"
    assert world.run(job.job_id)["status"] == "completed"
    assert sorted(task["attempt"] for task in world.tasks(job.job_id)) == [1] * 9 + [2]


def _unavailable() -> None:
    raise ServiceUnavailable("database: away")
