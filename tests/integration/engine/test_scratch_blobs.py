"""Scratch blobs go when their run has ended and nobody can write to it, and not before."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from engine.retention import Retention
from interfaces.blobs import BlobRepository
from interfaces.plans import StageDefinition, Tasks
from interfaces.states import FailurePolicy
from repositories.blobs import AzureBlobRepository
from repositories.retention import RetentionRepository
from repositories.storage_account import StorageAccount
from tests.doubles.memory_blobs import MemoryBlobs
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.integration.engine.retention_scenes import age

MakeWorld = Callable[..., World]
LATER = 700.0 / 86_400
"""Days after the end from which on no handler can write: the function's timeout and a lease."""


class Crash(BaseException):
    """The process ends here."""


class CrashingBlobs(MemoryBlobs):
    """Ends the process before one of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 10**9

    def delete(self, container: str, names: Sequence[str]) -> int:
        self._call()
        # Half of what was asked for, at worst.
        super().delete(container, names[: len(names) // 2])
        self._call()
        return super().delete(container, names)

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[Any]:
        self._call()
        yield from super().list_pages(container, prefix, page_size=2)

    def _call(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise Crash


def tiling(world: World) -> None:
    """A workflow whose tasks each leave three scratch blobs; the label may say how they end."""

    def convert(p: dict[str, Any], context: Any) -> dict[str, Any]:
        for suffix in (".tif", "-1.tif", ".png"):
            blob = context.scratch_name(suffix)
            world.guarded.write(world.settings.scratch_container, blob, b"x")
        if p["label"] == "failed":
            raise ValueError("broken")
        if p["label"] == "cancelled":
            world.engine.cancel(context.job_id)
        return {}

    world.register(
        ScriptedJob(
            "tiling",
            [StageDefinition("convert", "convert", FailurePolicy.FAIL_JOB)],
            lambda stage, p, previous: Tasks([{"i": i, "label": p.label} for i in range(p.n)]),
        ),
        task_type("convert", convert),
    )


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    made = make_world(scratch_container="scratch")
    tiling(made)
    return made


def scratch(world: World, blobs: BlobRepository | None = None) -> set[str]:
    pages = (blobs or world.blobs).list_pages(world.settings.scratch_container)
    return {item.name for page in pages for item in page}


def test_each_attempt_has_names_of_its_own_below_its_run(world: World) -> None:
    job = world.submit("tiling", label="failed")
    assert world.run(job.job_id)["status"] == "failed"
    names = scratch(world)
    assert len(names) == 9  # three attempts
    assert all(name.startswith(f"{job.job_id}/1/1/0-") for name in names)


def test_a_suffix_leads_nowhere_else(world: World) -> None:
    refused: list[str] = []

    def escape(p: dict[str, Any], context: Any) -> dict[str, Any]:
        for suffix in ("/../x", "/x", "é", "a b"):
            try:
                context.scratch_name(suffix)
            except ValueError as error:
                refused.append(str(error))
        return {}

    world.register(ScriptedJob("escape", [StageDefinition("a", "escape")]), task_type("escape", escape))
    world.run(world.submit("escape").job_id)
    assert len(refused) == 4


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled"])
def test_the_scratch_blobs_of_an_ended_run_go_some_time_after_its_end(world: World, end: str) -> None:
    job = world.submit("tiling", n=3, label=end)
    assert world.run(job.job_id)["status"] == end
    left = scratch(world)
    assert left
    age(world, job.job_id, 600.0 / 86_400)
    world.engine.retention.run()
    assert scratch(world) == left
    age(world, job.job_id, 100.0 / 86_400)
    assert world.engine.retention.run().blobs == len(left)
    assert scratch(world) == set()
    assert world.job(job.job_id)["status"] == end


def test_a_run_that_lives_keeps_its_scratch_blobs_and_an_earlier_one_does_not(world: World) -> None:
    job = world.submit("tiling")
    world.run(job.job_id)
    age(world, job.job_id, LATER)
    world.engine.rerun(job.job_id, correlation_id="test")
    mine = f"{job.job_id}/2/1/0-1.tif"
    world.blobs.write("scratch", mine, b"x")
    age(world, job.job_id, 1000)
    world.engine.retention.run()
    assert scratch(world) == {mine}


def test_what_a_run_left_whose_rows_are_gone_goes_and_what_others_put_there_stays(world: World) -> None:
    others = {"notes.txt", "a/1/b", f"{'a' * 64}/notes", f"{'b' * 64}/x/1/0-1.tif", f"{'B' * 64}/1/1/0-1.tif"}
    for name in (*others, f"{'a' * 64}/1/1/0-1.tif", f"{'a' * 64}/3/2/0-1-x.png"):
        world.blobs.write("scratch", name, b"x")
    world.engine.retention.run()
    assert scratch(world) == others


def test_a_job_that_is_retried_while_its_scratch_blobs_are_removed_keeps_what_it_writes(
    world: World,
) -> None:
    job = world.submit("tiling", label="failed")
    world.run(job.job_id)
    age(world, job.job_id, LATER)
    new = f"{job.job_id}/1/1/0-2.tif"

    class Retried(MemoryBlobs):
        def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[Any]:
            if prefix == f"{job.job_id}/1/":
                world.engine.retry(job.job_id, correlation_id="test")
                self.write(container, new, b"x")
            yield from super().list_pages(container, prefix, page_size)

    blobs = Retried()
    blobs.blobs |= world.blobs.blobs
    before = scratch(world)
    Retention(world.settings, RetentionRepository(world.databases[0]), blobs).run()
    assert {name for container, name in blobs.blobs if container == "scratch"} == before | {new}


def test_a_crash_anywhere_leaves_what_the_next_pass_removes(world: World) -> None:
    blobs = CrashingBlobs()
    crashes = 0
    while True:
        for run in (1, 2, 3):
            for i in range(5):
                blobs.write("scratch", f"{'a' * 64}/{run}/1/{i}-1.tif", b"x")
        blobs.calls = crashes
        try:
            Retention(world.settings, RetentionRepository(world.databases[0]), blobs).run()
        except Crash:
            crashes += 1
            blobs.calls = 10**9
            Retention(world.settings, RetentionRepository(world.databases[0]), blobs).run()
            assert blobs.blobs == {}
        else:
            break
    assert crashes > 10


def test_scratch_blobs_of_a_real_account_are_removed_too(
    make_world: MakeWorld, storage_connection_string: str, container: Callable[[], ContainerClient]
) -> None:
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    name = str(container().container_name)
    world = make_world(storage=blobs, scratch_container=name)
    tiling(world)
    ended, lives = world.submit("tiling", n=4), world.submit("tiling", label="y")
    world.run(ended.job_id)
    age(world, ended.job_id, LATER)
    assert len(scratch(world, blobs)) == 15
    assert world.engine.retention.run().blobs == 12
    assert all(blob.startswith(lives.job_id) for blob in scratch(world, blobs))
    missing = make_world(storage=blobs, scratch_container=f"missing-{uuid.uuid4().hex[:8]}")
    assert missing.engine.retention.run().blobs == 0


def test_a_request_counts_and_removes_them_too(world: World) -> None:
    job = world.submit("tiling", n=3)
    world.run(job.job_id)
    age(world, job.job_id, LATER)
    counted = world.engine.retention.cleanup(30, dry_run=True, limit=10)
    assert (counted.blobs, counted.jobs, len(scratch(world))) == (9, 0, 9)
    removed = world.engine.retention.cleanup(30, dry_run=False, limit=10)
    assert (removed.blobs, removed.jobs, len(scratch(world))) == (9, 0, 0)


def test_what_else_handlers_left_is_dealt_with_in_the_same_pass(world: World) -> None:
    asked: list[timedelta] = []

    class Left:
        def clean(self, age: timedelta, check: Callable[[], None]) -> int:
            check()
            asked.append(age)
            return 1

    Retention(
        world.settings, RetentionRepository(world.databases[0]), world.blobs, leavings=[Left(), Left()]
    ).run()
    # Longer than any handler may take, and the lease after it.
    assert asked == [timedelta(seconds=610)] * 2
