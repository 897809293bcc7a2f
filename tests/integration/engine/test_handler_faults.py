"""What handlers meet at storage and database: what may pass is tried again, what cannot fails at once."""

from __future__ import annotations

import time
from collections import UserDict
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from interfaces.contracts import JobParameters, StageResult
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromItems
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from tests.doubles.faulty_endpoint import FaultyEndpoint
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World

MakeWorld = Callable[..., World]


@pytest.fixture
def name(container: Callable[[], ContainerClient]) -> str:
    """An empty container."""
    return str(container().container_name)


@pytest.fixture
def endpoint(storage_connection_string: str) -> Iterator[FaultyEndpoint]:
    """Stands in front of Azurite."""
    with FaultyEndpoint(storage_connection_string) as made:
        yield made


def azure(connection_string: str) -> AzureBlobRepository:
    return AzureBlobRepository(StorageAccount(connection_string, retries=0))


def read_blob(world: World) -> None:
    """Register a job whose only task reads blob `a` of the container that is the job's label."""

    def read(p: dict[str, Any], c: Any) -> dict[str, Any]:
        return {"bytes": len(world.guarded.read(p["container"], "a"))}

    def plan(stage: int, parameters: Any, previous: StageResult | None) -> StagePlan:
        return Tasks([{"container": parameters.label}])

    world.register(ScriptedJob("reading", [StageDefinition("a", "read")], plan), task_type("read", read))


def only_task(world: World, job_id: str) -> dict[str, Any]:
    [task] = world.tasks(job_id)
    return task


def test_a_missing_container_and_a_missing_blob_fail_at_the_first_attempt(
    make_world: MakeWorld, storage_connection_string: str, name: str
) -> None:
    world = make_world(storage=azure(storage_connection_string))
    read_blob(world)
    for label, reason in (("nowhere", "container 'nowhere' does not exist"), (name, "blob 'a' does not")):
        job = world.submit("reading", label=label)
        assert world.run(job.job_id)["status"] == "failed"
        task = only_task(world, job.job_id)
        assert (task["attempt"], reason in task["error"]) == (1, True)
    job = world.submit("list_container", container="nowhere")
    assert world.run(job.job_id)["status"] == "failed"
    assert only_task(world, job.job_id)["attempt"] == 1
    assert world.breakers.status()[0].failures == 0


def test_a_wrong_key_and_a_wrong_signature_fail_at_the_first_attempt(
    make_world: MakeWorld, storage_connection_string: str, name: str
) -> None:
    parts = dict(part.split("=", 1) for part in storage_connection_string.strip(";").split(";"))
    wrong_key = storage_connection_string.replace(parts["AccountKey"], "AAAA" + parts["AccountKey"][4:])
    signature = "sv=2024-11-04&ss=b&srt=sco&sp=rl&se=2099-01-01T00:00:00Z&sig=AAAA"
    wrong_signature = f"BlobEndpoint={parts['BlobEndpoint']};SharedAccessSignature={signature}"
    for connection_string in (wrong_key, wrong_signature):
        world = make_world(storage=azure(connection_string))
        read_blob(world)
        job = world.engine.submit("reading", {"label": name}, rerun=True, correlation_id="c")
        row = world.run(job.job_id)
        [task] = [t for t in world.tasks(job.job_id) if t["run"] == job.run]
        assert (row["status"], task["attempt"]) == ("failed", 1)
        assert f"storage refuses access to container '{name}'" in row["error"]
        assert "AAAA" not in row["error"]


def test_a_corrupt_raster_is_described_as_that_at_the_first_attempt(
    make_world: MakeWorld, storage_connection_string: str, name: str
) -> None:
    blobs = azure(storage_connection_string)
    blobs.write(name, "broken.tif", b"II*\x00\x08\x00\x00\x00" + b"\xff" * 500)
    blobs.write(name, "cut.tif", b"II*\x00")
    world = make_world(storage=blobs)
    job = world.submit("list_container", container=name, metadata_level="full")
    assert world.run(job.job_id)["status"] == "completed"
    tasks = world.tasks(job.job_id, 2)
    assert [task["result"]["raster"]["status"] for task in tasks] == ["broken", "broken"]
    assert [(task["attempt"], task["attempts"]) for task in tasks] == [(1, None), (1, None)]
    assert world.breakers.status()[0].state == "closed"


@pytest.mark.parametrize("fault", ["429", "500", "503", "closed", "hangs"])
def test_a_fault_that_passes_is_tried_again(
    make_world: MakeWorld,
    endpoint: FaultyEndpoint,
    name: str,
    fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("repositories.storage_account.READ_TIMEOUT_SECONDS", 0.5)
    world = make_world(storage=azure(endpoint.connection_string))
    read_blob(world)
    world.guarded.write(name, "a", b"content")
    endpoint.faults = [fault, fault]
    job = world.submit("reading", label=name)
    assert world.run(job.job_id)["status"] == "completed"
    task = only_task(world, job.job_id)
    assert (task["result"], task["attempt"]) == ({"bytes": 7}, 3)
    assert [a["outcome"] for a in task["attempts"]] == ["retry", "retry"]
    assert all("storage" in a["error"] for a in task["attempts"])
    assert endpoint.faults == []


def test_a_fault_that_stays_fails_after_the_last_attempt_and_names_itself(
    make_world: MakeWorld, endpoint: FaultyEndpoint, name: str
) -> None:
    world = make_world(storage=azure(endpoint.connection_string))
    read_blob(world)
    endpoint.faults = ["500"] * 3
    job = world.submit("reading", label=name)
    row = world.run(job.job_id)
    assert (row["status"], "storage answered 500" in row["error"]) == ("failed", True)
    assert only_task(world, job.job_id)["attempt"] == 3


def test_a_container_is_listed_and_described_through_an_outage(
    make_world: MakeWorld, endpoint: FaultyEndpoint, name: str
) -> None:
    blobs = azure(endpoint.connection_string)
    for i in range(40):
        blobs.write(name, f"{i}.txt", b"text")
    world = make_world(storage=blobs, breaker_pause_seconds=0.5, batch_parallelism=2)

    def outage(job_id: str) -> None:
        endpoint.down, endpoint.requests = True, 0
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            world.pump()
            world.engine.reconcile()
            time.sleep(0.05)
        assert world.job(job_id)["status"] == "processing"
        assert world.breakers.status()[0].state == "open"
        assert endpoint.requests < 40
        endpoint.down = False

    job = world.submit("list_container", container=name, metadata_level="full")
    outage(job.job_id)
    # The first stage runs, and while the second does storage is away again.
    while world.job(job.job_id)["stage"] == 1:
        world.engine.relay()
        for queue in (world.settings.jobs_queue, world.settings.tasks_queue):
            if message := world.queues.receive(queue):
                world.deliver(message, queue)
    outage(job.job_id)
    assert world.run(job.job_id)["status"] == "completed"
    tasks = world.tasks(job.job_id)
    assert len(tasks) == 41
    assert {task["attempt"] for task in tasks} == {1}
    put_off = {task["stage"] for task in tasks if task["attempts"]}
    assert put_off == {1, 2}
    assert world.violations() == {}


def test_a_database_that_drops_its_connections_in_a_handler_costs_an_attempt(make_world: MakeWorld) -> None:
    world = make_world(discover_page_items=2)

    class Deadly(UserDict[str, Any]):
        """Is read while it is being written to the database."""

        def __iter__(self) -> Iterator[str]:
            world.rows(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                " AND backend_type = 'client backend'"
            )
            return super().__iter__()

    def find(p: dict[str, Any], c: Any) -> dict[str, Any]:
        kind = Deadly if c.attempt == 1 else dict
        return {"found": c.discover(kind(i=i) if i == 4 else {"i": i} for i in range(6))}

    def plan(stage: int, parameters: JobParameters, previous: StageResult | None) -> StagePlan:
        return Tasks([{}]) if stage == 1 else TasksFromItems()

    world.register(
        ScriptedJob("finding", [StageDefinition("a", "find"), StageDefinition("b", "use")], plan),
        task_type("find", find),
        task_type("use", lambda p, c: {"i": p["i"]}),
    )
    job = world.submit("finding")
    assert world.run(job.job_id)["status"] == "completed"
    [task] = world.tasks(job.job_id, 1)
    assert (task["attempt"], task["attempts"][0]["outcome"]) == (2, "retry")
    assert "database: connection failed" in task["attempts"][0]["error"]
    assert [t["result"]["i"] for t in world.tasks(job.job_id, 2)] == list(range(6)), "each counts once"
    assert world.violations() == {}
