"""What the host gave up on is tried again, unless it raised an error of its own each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from engine import Engine
from interfaces.errors import ServiceUnavailable
from interfaces.queues import JobMessage
from local.stack.postgres import PostgresServer
from repositories.database import Database
from repositories.tasks import TaskRepository
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


def deliver_until_given_up(world: World, queue: str) -> str:
    """A message that raises each time goes to the poison queue; answers its id there."""
    message = world.queues.receive(queue)
    assert message is not None
    for count in range(1, 6):
        with pytest.raises(psycopg.errors.RaiseException, match="no such thing"):
            arrive(world, queue, message.body, message_id=message.message_id, dequeue_count=count)
    return arrive(world, f"{queue}-poison", message.body)


def break_function(world: World, name: str, arguments: str, returns: str) -> None:
    """From now on this step of the protocol raises an error, as one with a mistake in it does."""
    world.rows(
        f"CREATE OR REPLACE FUNCTION app.{name}({arguments}) RETURNS {returns} LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no such thing'; END $$",
        fetch=False,
    )


CLAIM_PLAN = (
    "claim_plan",
    "p_job_id text, p_run integer, p_stage integer, p_worker text, p_lease interval, p_max_attempts integer",
    "SETOF app.jobs",
)
CLAIM_TASKS = (
    "share_claims",
    "p_job_id text",
    "void",
)


def test_a_job_whose_messages_raise_an_error_again_and_again_fails_with_it(world: World) -> None:
    job_id = new_job(world)
    break_function(world, *CLAIM_PLAN)
    for _ in range(4):
        assert world.job(job_id)["status"] == "queued"
        message_id = deliver_until_given_up(world, world.settings.jobs_queue)
    assert records(world, message_id)[0]["action"] == "failed"
    job = world.job(job_id)
    assert job["status"] == "failed"
    assert "no such thing" in job["error"]
    rows = world.rows("SELECT action FROM app.poison_messages ORDER BY poison_id")
    assert [row["action"] for row in rows] == [
        *["raised", "dispatched_again"] * 3,
        *["raised", "failed"],
    ]
    assert world.violations() == {}


def test_a_task_whose_messages_raise_an_error_again_and_again_fails_with_it(world: World) -> None:
    job_id = new_job(world, n=1)
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    break_function(world, *CLAIM_TASKS)
    for _ in range(4):
        assert world.tasks(job_id)[0]["status"] == "queued"
        deliver_until_given_up(world, world.settings.tasks_queue)
    [task] = world.tasks(job_id)
    assert task["status"] == "failed"
    assert "no such thing" in task["error"]
    assert world.job(job_id)["status"] == "failed"


def test_a_retry_forgives_what_messages_raised(world: World) -> None:
    job_id = new_job(world, n=1)
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    break_function(world, *CLAIM_TASKS)
    for _ in range(4):
        deliver_until_given_up(world, world.settings.tasks_queue)
    assert world.job(job_id)["status"] == "failed"
    world.engine.retry(job_id, correlation_id="test")
    for _ in range(3):
        deliver_until_given_up(world, world.settings.tasks_queue)
        assert world.tasks(job_id)[0]["status"] == "queued"


def test_work_that_was_taken_up_is_not_failed_by_what_its_messages_raised_before(world: World) -> None:
    job_id = new_job(world, n=1)
    arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
    world.rows(
        "INSERT INTO app.poison_messages (queue, message_id, reason, raw, bytes, dequeue_count, job_id, run,"
        " stage, first, last, correlation_id, action) SELECT 'tasks', i::text, 'no such thing', '', 0, 1, %s,"
        " 1, 1, 0, 0, '', 'raised' FROM generate_series(1, 9) AS i",
        job_id,
        fetch=False,
    )
    tasks = TaskRepository(world.databases[0])
    assert tasks.claim(job_id, 1, 1, 0, 0, worker="w", lease=timedelta(minutes=1))
    arrive(world, f"{world.settings.tasks_queue}-poison", good_task_message(job_id))
    assert world.tasks(job_id)[0]["status"] == "processing"


@pytest.mark.parametrize("kind", ["job", "tasks"])
def test_an_outage_fails_no_work_however_many_copies_of_its_messages_there_are(
    make_world: Callable[..., World], postgres_server: PostgresServer, kind: str
) -> None:
    world = make_world(run_at_once_seconds=0, database_timeout_seconds=0.2)
    job_id = new_job(world, n=3)
    queue = world.settings.jobs_queue
    if kind == "tasks":
        arrive(world, queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
        queue = world.settings.tasks_queue
    # Nobody takes the work up: it is sent again and again.
    for _ in range(5):
        world.rows("UPDATE app.outbox SET redeliver_at = now() WHERE sent_at IS NOT NULL", fetch=False)
        world.engine.reconcile()
        world.engine.relay()
    copies = [message for _ in range(99) if (message := world.queues.receive(queue))]
    assert len(copies) > 5
    away = world.settings.model_copy(update={"database_url": SecretStr("postgresql://127.0.0.1:1/none")})
    cut_off = Engine(away, Database(away), world.queues, world.guarded, world.job_types, world.task_types)
    for message in copies:
        with pytest.raises(ServiceUnavailable):
            world.deliver(message, queue, cut_off)
    dispatches = len(world.rows("SELECT 1 FROM app.outbox"))
    for message in copies:
        world.deliver(message, f"{queue}-poison")
    assert len(world.rows("SELECT 1 FROM app.outbox")) == dispatches
    assert world.run(job_id)["status"] == "completed"
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
