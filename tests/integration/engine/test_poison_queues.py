"""What the host gave up on is tried again, a few times; and what happens while the database is away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from interfaces.errors import ServiceUnavailable
from interfaces.queues import JobMessage
from local.stack.postgres import PostgresServer
from tests.fix_engine import World

from .arrivals import arrive, records
from .malformed import UNKNOWN, good_task_message, well_formed


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """One app in which every batch waits for its message."""
    return make_world(run_at_once_seconds=0)


def new_job(world: World, n: int = 2) -> str:
    return world.submit("hello_world", n=n).job_id


def test_work_whose_message_was_given_up_is_dispatched_again_and_completes(world: World) -> None:
    job_id = new_job(world)
    for _ in range(3):
        message = world.queues.receive(world.settings.jobs_queue)
        assert message is not None
        assert world.queues.length(world.settings.jobs_queue) == 0
        message_id = arrive(world, f"{world.settings.jobs_queue}-poison", message.body, dequeue_count=1)
        [row] = records(world, message_id)
        assert (row["action"], row["job_id"], row["run"], row["stage"]) == ("dispatched_again", job_id, 1, 1)
        assert row["reason"] == "delivered too often without being processed"
        assert row["correlation_id"] == "test"
    assert world.run(job_id)["status"] == "completed"
    assert world.violations() == {}


def test_a_job_whose_messages_are_given_up_again_and_again_fails(world: World) -> None:
    job_id = new_job(world)
    body = JobMessage(job_id=job_id, run=1, stage=1).model_dump_json()
    for _ in range(4):
        assert world.job(job_id)["status"] == "queued"
        message_id = arrive(world, f"{world.settings.jobs_queue}-poison", body)
    assert records(world, message_id)[0]["action"] == "failed"
    job = world.job(job_id)
    assert job["status"] == "failed"
    assert "delivered too often without being processed" in job["error"]
    assert world.violations() == {}


def test_a_task_whose_messages_are_given_up_again_and_again_fails(world: World) -> None:
    job_id = new_job(world)
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    world.queues.lose_everything()
    for count in range(1, 5):
        arrive(world, f"{world.settings.tasks_queue}-poison", good_task_message(job_id))
        assert world.queues.length(world.settings.tasks_queue) == min(count, 3)
    assert world.tasks(job_id)[0]["status"] == "failed"
    assert world.job(job_id)["status"] == "failed"
    assert world.violations() == {}


def test_the_tasks_that_were_dispatched_again_complete(world: World) -> None:
    job_id = new_job(world)
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    world.queues.lose_everything()
    for index in range(2):
        arrive(world, f"{world.settings.tasks_queue}-poison", good_task_message(job_id, first=index))
    world.pump()
    assert world.job(job_id)["status"] == "completed"


def test_a_repeated_poison_message_counts_once(world: World) -> None:
    job_id = new_job(world)
    body = JobMessage(job_id=job_id, run=1, stage=1).model_dump_json()
    for name in ("a", "b", "c", "c", "c", "a"):
        arrive(world, f"{world.settings.jobs_queue}-poison", body, message_id=name)
    assert world.job(job_id)["status"] == "queued"
    assert len(world.rows("SELECT 1 FROM app.poison_messages")) == 3
    assert world.run(job_id)["status"] == "completed"


def test_a_poison_message_about_what_is_past_changes_nothing(world: World) -> None:
    job_id = new_job(world)
    world.run(job_id)
    before = world.job(job_id)
    for _ in range(5):
        arrive(world, f"{world.settings.tasks_queue}-poison", good_task_message(job_id))
    assert world.job(job_id) == before
    assert world.queues.length(world.settings.tasks_queue) == 0


def test_a_poison_message_about_an_unknown_job_is_only_recorded(world: World) -> None:
    for _ in range(5):
        arrive(world, f"{world.settings.tasks_queue}-poison", good_task_message(UNKNOWN))
    assert len(world.rows("SELECT 1 FROM app.poison_messages")) == 5
    assert world.queues.length(world.settings.tasks_queue) == 0


def test_while_the_database_is_away_messages_are_handed_back_to_the_host(
    make_world: Callable[..., World], postgres_server: PostgresServer
) -> None:
    world = make_world(database_timeout_seconds=1)
    job_id = new_job(world)
    malformed = json.dumps(well_formed(job_id, run="one"))
    good = JobMessage(job_id=job_id, run=1, stage=1).model_dump_json()
    tasks, jobs = world.settings.tasks_queue, world.settings.jobs_queue
    name = world.url.rpartition("/")[2]
    with psycopg.connect(postgres_server.url(), autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            " AND application_name = 'geospatial-orchestrator'",
            [name],
        )
        for queue, body in ((tasks, malformed), (jobs, good), (f"{jobs}-poison", good)):
            with pytest.raises(ServiceUnavailable):
                arrive(world, queue, body, message_id="m")
        admin.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')
    assert world.rows("SELECT 1 FROM app.poison_messages") == []
    arrive(world, tasks, malformed, message_id="m", dequeue_count=2)
    assert [row["dequeue_count"] for row in records(world, "m")] == [2]
    assert world.job(job_id)["status"] == "failed"


def test_a_crash_between_failing_and_recording_is_mended_by_the_next_delivery(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = new_job(world)
    body = json.dumps(well_formed(job_id, stage="one"))
    recovery: Any = world.engine._boundary._recovery
    record = recovery.record

    def crashes(*args: Any) -> bool:
        monkeypatch.setattr(recovery, "record", record)
        raise ServiceUnavailable("gone")

    monkeypatch.setattr(recovery, "record", crashes)
    with pytest.raises(ServiceUnavailable):
        arrive(world, world.settings.jobs_queue, body, message_id="m")
    assert records(world, "m") == []
    arrive(world, world.settings.jobs_queue, body, message_id="m", dequeue_count=2)
    assert len(records(world, "m")) == 1
    assert world.job(job_id)["status"] == "failed"
