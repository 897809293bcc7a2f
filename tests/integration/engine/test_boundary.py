"""The queue boundary: whatever arrives is recorded once, blocks nothing, and fails what it is about."""

from __future__ import annotations

import itertools
import json
import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.boundary import Arrival, unwrap
from interfaces.plans import StageDefinition
from interfaces.queues import JobMessage, TaskMessage
from interfaces.states import FailurePolicy
from local.stack.postgres import PostgresServer
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

from .arrivals import arrive, records
from .malformed import ON_BOTH, ON_TASKS, UNKNOWN, Kind, good_task_message, well_formed

labels = map(str, itertools.count())


@pytest.fixture(scope="module")
def shared(postgres_server: PostgresServer, migrated_template: str) -> Iterator[World]:
    """One app for all the kinds: each has a job of its own, and all go through the same queues."""
    name = f"test_{uuid4().hex[:12]}"
    world = World(postgres_server.create_database(name, migrated_template))
    world.register(
        ScriptedJob("work", [StageDefinition("a", "work"), StageDefinition("b", "work")]),
        task_type("work", lambda p, c: {}),
    )
    world.register(
        ScriptedJob("lenient", [StageDefinition("a", "work", FailurePolicy.CONTINUE)]),
    )
    yield world
    world.close()
    postgres_server.drop_database(name)


def new_job(world: World, job_type: str = "work", n: int = 3, *, planned: bool = False) -> str:
    """A job of its own; `planned` when its first stage's tasks are there."""
    job_id = world.submit(job_type, label=next(labels), n=n).job_id
    if planned:
        arrive(world, world.settings.jobs_queue, JobMessage(job_id=job_id, run=1, stage=1).model_dump_json())
        assert len(world.tasks(job_id)) == n
    return job_id


def check_recorded(world: World, queue: str, kind: Kind, *, planned: bool) -> None:
    job_id = new_job(world, planned=planned)
    body = kind.body(job_id)
    message_id = arrive(world, queue, body, dequeue_count=2)
    [row] = records(world, message_id)
    assert kind.reason in row["reason"]
    assert len(row["reason"]) < 1000
    assert (row["queue"], row["bytes"], row["dequeue_count"]) == (queue, len(body), 2)
    assert len(row["raw"]) <= 1000
    start = body.decode(errors="replace").replace("\0", "\ufffd")[:1000]
    assert row["raw"] == start
    assert row["job_id"] == (job_id if kind.names_job else None)
    assert row["correlation_id"]
    job = world.job(job_id)
    if kind.names_job:
        assert job["status"] == "failed"
        assert row["reason"] in job["error"]
        assert "poison_recorded" in world.events(job_id)
        assert row["action"] == "failed"
    else:
        assert job["status"] == ("processing" if planned else "queued")
        assert row["action"] == "recorded"


@pytest.mark.parametrize("kind", ON_BOTH, ids=lambda kind: kind.name)
def test_a_malformed_message_of_the_jobs_queue_is_recorded_and_fails_the_job_it_names(
    shared: World, kind: Kind
) -> None:
    check_recorded(shared, shared.settings.jobs_queue, kind, planned=False)


@pytest.mark.parametrize("kind", ON_TASKS, ids=lambda kind: kind.name)
def test_a_malformed_message_of_the_tasks_queue_is_recorded_and_fails_what_it_names(
    shared: World, kind: Kind
) -> None:
    check_recorded(shared, shared.settings.tasks_queue, kind, planned=True)


@pytest.mark.parametrize("kind", ON_TASKS[::4], ids=lambda kind: kind.name)
def test_a_malformed_message_may_name_a_job_that_is_not_planned_yet(shared: World, kind: Kind) -> None:
    check_recorded(shared, shared.settings.tasks_queue, kind, planned=False)


@pytest.mark.parametrize("kind", ON_TASKS[::3], ids=lambda kind: kind.name)
def test_a_malformed_message_of_a_poison_queue_is_recorded_too(shared: World, kind: Kind) -> None:
    check_recorded(shared, f"{shared.settings.tasks_queue}-poison", kind, planned=True)


def test_there_are_at_least_thirty_kinds() -> None:
    assert len(ON_BOTH) >= 30
    assert len({kind.name for kind in ON_TASKS}) == len(ON_TASKS)


def test_the_queue_goes_on_after_all_of_them(shared: World) -> None:
    # Everything above left its well-formed messages behind: they are all delivered now.
    job_id = new_job(shared)
    shared.pump()
    assert shared.job(job_id)["status"] == "completed"
    left = shared.rows("SELECT DISTINCT status FROM app.jobs")
    assert {row["status"] for row in left} <= {"completed", "failed"}
    assert shared.violations() == {}


def test_malformed_messages_between_good_ones_delay_nothing(shared: World) -> None:
    jobs = []
    for kind in ON_TASKS:
        jobs.append(new_job(shared, n=1))
        body = kind.body(UNKNOWN).decode(errors="ignore")
        shared.send(shared.settings.jobs_queue, body)
        shared.send(shared.settings.tasks_queue, body)
    shared.pump()
    assert {shared.job(job_id)["status"] for job_id in jobs} == {"completed"}


def test_a_repeated_malformed_message_is_recorded_once(shared: World) -> None:
    job_id = new_job(shared, planned=True)
    body = json.dumps(well_formed(job_id, run="one"))
    for count in range(1, 6):
        arrive(shared, shared.settings.tasks_queue, body, message_id="again", dequeue_count=count)
    [row] = records(shared, "again")
    assert row["dequeue_count"] == 1
    events = shared.events(job_id)
    assert events.count("poison_recorded") == 1
    assert events.count("tasks_failed") == 1


def test_a_message_that_names_a_task_fails_that_task_and_its_stages_policy_decides(shared: World) -> None:
    job_id = new_job(shared, "lenient", planned=True)
    arrive(shared, shared.settings.tasks_queue, json.dumps(well_formed(job_id, first=1, last=1, run="?")))
    tasks = shared.tasks(job_id)
    assert [task["status"] for task in tasks] == ["queued", "failed", "queued"]
    assert "a message about it cannot be processed: run: Input should be" in tasks[1]["error"]
    assert shared.run(job_id)["status"] == "completed_with_errors"


def test_a_task_id_in_whatever_text_names_its_task(shared: World) -> None:
    job_id = new_job(shared, "lenient", planned=True)
    arrive(shared, shared.settings.tasks_queue, f"please look at {job_id}-1-1-2, thanks")
    assert [task["status"] for task in shared.tasks(job_id)] == ["queued", "queued", "failed"]
    strict = new_job(shared, planned=True)
    arrive(shared, shared.settings.tasks_queue, f'{{"task_id": "{strict}-1-1-0"}}')
    job = shared.job(strict)
    assert job["status"] == "failed"
    assert "stage 1 (a): 1 of 3 tasks failed; task 0: a message about it" in job["error"]
    assert [task["status"] for task in shared.tasks(strict)] == ["failed", "cancelled", "cancelled"]


def test_a_message_that_names_a_task_which_is_not_there_fails_the_job(shared: World) -> None:
    job_id = new_job(shared, planned=True)
    message_id = arrive(shared, shared.settings.tasks_queue, f"{job_id}-1-1-4711")
    assert records(shared, message_id)[0]["first"] == 4711
    assert shared.job(job_id)["status"] == "failed"


def test_a_message_that_names_a_task_which_has_ended_fails_nothing(shared: World) -> None:
    job_id = new_job(shared, planned=True)
    arrive(shared, shared.settings.tasks_queue, good_task_message(job_id))
    arrive(shared, shared.settings.tasks_queue, json.dumps(well_formed(job_id, run="one")))
    assert [task["status"] for task in shared.tasks(job_id)] == ["completed", "queued", "queued"]
    assert shared.run(job_id)["status"] == "completed"


def test_a_job_that_has_ended_is_left_alone(shared: World) -> None:
    job_id = new_job(shared)
    before = shared.run(job_id)
    for queue in (shared.settings.jobs_queue, shared.settings.tasks_queue):
        message_id = arrive(shared, queue, f'{{"job_id": "{job_id}"}}')
        assert len(records(shared, message_id)) == 1
    assert shared.job(job_id) == before
    assert {task["status"] for task in shared.tasks(job_id)} == {"completed"}


@pytest.mark.parametrize("past", [{"stage": 1, "run": 2}, {"run": 1, "stage": 2}])
def test_a_message_about_a_past_run_or_stage_is_only_recorded(shared: World, past: dict[str, int]) -> None:
    job_id = new_job(shared)
    shared.run(job_id)
    label = shared.job(job_id)["parameters"]["label"]
    shared.engine.submit("work", {"label": label, "n": 3}, rerun=True, correlation_id="c")
    # Now at run 2; its first stage is brought to its end.
    while shared.job(job_id)["stage"] < 2:
        deliver_one(shared)
    message_id = arrive(
        shared, shared.settings.tasks_queue, json.dumps(well_formed(job_id, **past, first="x"))
    )
    assert len(records(shared, message_id)) == 1
    assert shared.job(job_id)["status"] == "processing"
    assert shared.run(job_id)["status"] == "completed"


def deliver_one(world: World) -> None:
    for queue in (world.settings.jobs_queue, world.settings.tasks_queue):
        if message := world.queues.receive(queue):
            world.deliver(message, queue)
            return
    raise AssertionError("no message is left")


def test_a_message_about_an_unknown_job_is_only_recorded(shared: World) -> None:
    message_id = arrive(shared, shared.settings.tasks_queue, json.dumps(well_formed(UNKNOWN, run="one")))
    [row] = records(shared, message_id)
    assert row["job_id"] == UNKNOWN
    assert shared.rows("SELECT 1 FROM app.job_events WHERE job_id = %s", UNKNOWN) == []


def test_a_well_formed_message_about_an_unknown_job_is_a_hint_that_nothing_follows(shared: World) -> None:
    recorded = shared.rows("SELECT count(*) AS n FROM app.poison_messages")
    arrive(shared, shared.settings.jobs_queue, JobMessage(job_id=UNKNOWN, run=1, stage=1).model_dump_json())
    arrive(shared, shared.settings.tasks_queue, good_task_message(UNKNOWN))
    assert shared.rows("SELECT count(*) AS n FROM app.poison_messages") == recorded


def test_fields_of_a_later_release_are_ignored(shared: World) -> None:
    job_id = new_job(shared, planned=True)
    arrive(shared, shared.settings.tasks_queue, json.dumps(well_formed(job_id, priority=9, tags=["a"])))
    assert shared.tasks(job_id)[0]["status"] == "completed"


def test_a_running_task_that_is_failed_cannot_complete_any_more(shared: World) -> None:
    job_id = new_job(shared, "lenient", n=1, planned=True)
    [claimed] = shared.rows("SELECT * FROM app.claim_tasks(%s, 1, 1, 0, 0, 'w', interval '1 minute')", job_id)
    arrive(shared, shared.settings.tasks_queue, f"{job_id}-1-1-0 is broken")
    late = shared.rows(
        "SELECT * FROM app.finish_tasks(%s, 1, 1, 'w', ARRAY[0], ARRAY[%s], ARRAY['completed'],"
        " ARRAY['{}']::jsonb[], ARRAY[NULL]::jsonb[], ARRAY[NULL], ARRAY[0],"
        " ARRAY[NULL]::jsonb[], NULL)",
        job_id,
        claimed["fence"],
    )
    assert late == []
    assert shared.tasks(job_id)[0]["status"] == "failed"
    assert shared.run(job_id)["status"] == "completed_with_errors"


SECRETS = [
    "AccountKey=s3cr3t==;EndpointSuffix=core.windows.net",
    "https://acme.blob.core.windows.net/c?sv=2022&sig=s3cr3t",
    "postgresql://app:s3cr3t@db.example.org/app",
    '{"password": "s3cr3t"}',
    "Authorization: Bearer s3cr3ts3cr3t",
    "x" * 970 + "postgresql://app:" + "s3cr3t" * 20 + "@db.example.org/app",
    "sig=s;" * 400 + " password=s3cr3t",
]


@pytest.mark.parametrize("text", SECRETS)
def test_no_secret_of_a_message_is_kept_or_logged(
    shared: World, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        message_id = arrive(shared, shared.settings.tasks_queue, text)
    [row] = records(shared, message_id)
    assert "s3cr3t" not in str(row)
    assert "s3cr3t" not in caplog.text
    assert len(row["raw"]) <= 1000


def test_the_log_names_the_message_by_its_correlation_id(
    shared: World, caplog: pytest.LogCaptureFixture
) -> None:
    message_id = arrive(shared, shared.settings.jobs_queue, '{"job_id": 5}', dequeue_count=3)
    [row] = records(shared, message_id)
    [logged] = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    for part in (message_id, row["correlation_id"], "13 bytes", "delivery 3", "job_id: ", '{"job_id": 5}'):
        assert part in logged


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=80),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "job_id": st.from_regex(r"\A[0-9a-fA-F]{62,66}\Z") | json_values,
        "run": st.integers(-2, 2**40) | json_values,
        "stage": st.integers(-2, 2**20) | json_values,
        "first": st.integers(-2, 2**40) | json_values,
        "last": st.integers(-2, 2**40) | json_values,
        "correlation_id": st.text(max_size=200) | json_values,
    },
)
bodies = st.binary(max_size=300) | (json_values | fields).map(lambda v: json.dumps(v).encode())


@settings(max_examples=150, deadline=None)
@given(body=bodies, queue=st.integers(0, 3), cut=st.integers(0, 400))
def test_no_body_whatever_is_raised_about(shared: World, body: bytes, queue: int, cut: int) -> None:
    names = [shared.settings.jobs_queue, shared.settings.tasks_queue]
    names += [f"{name}-poison" for name in names]
    message_id = arrive(shared, names[queue], body[: cut or None])
    found = records(shared, message_id)
    # Some bytes happen to be base64 of text.
    understood = unwrap(Arrival(names[queue], message_id, 1, body[: cut or None])).body
    if found or queue > 1:
        [row] = found
        assert row["reason"]
        assert row["bytes"] == len(understood)
    else:
        (TaskMessage if queue == 1 else JobMessage).model_validate_json(understood)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_no_damage_to_a_good_message_is_raised_about(shared: World, data: st.DataObject) -> None:
    job_id = new_job(shared, n=1)
    body = bytearray(good_task_message(job_id).encode())
    for _ in range(data.draw(st.integers(1, 5))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    arrive(shared, shared.settings.tasks_queue, bytes(body))
    assert shared.job(job_id)["status"] in ("queued", "failed")
