"""What is kept of a run before it is removed, and what abandoned attempts leave behind."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from engine import result_blobs
from interfaces.blobs import BlobItem
from interfaces.plans import StageDefinition
from interfaces.retention import Attempt, OldRun
from repositories.blobs import AzureBlobRepository
from repositories.retention import RetentionRepository
from repositories.storage_account import StorageAccount
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.integration.engine.retention_scenes import LARGE, age, done, left, old, retention, survey

ARCHIVE = "archive"
Line = dict[str, Any]


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world of surveys that keeps what it removes."""
    made = make_world(max_inline_result_bytes=1000, retention_archive_container=ARCHIVE)
    survey(made)
    return made


class Interrupting(RetentionRepository):
    """Does something else in the middle of an archive."""

    def __init__(self, world: World, meanwhile: Callable[[], object]) -> None:
        super().__init__(world.databases[0])
        self._meanwhile = meanwhile

    def archived_stages(self, old: OldRun) -> list[str]:
        found = super().archived_stages(old)
        self._meanwhile()
        return found


def archives(world: World) -> dict[str, list[Line]]:
    """The lines of each archive, by name."""
    return {
        name: [json.loads(line) for line in gzip.decompress(data).splitlines()]
        for (container, name), data in world.blobs.blobs.items()
        if container == ARCHIVE
    }


def test_a_run_is_kept_with_all_that_the_database_and_blob_storage_knew_of_it(world: World) -> None:
    job_id = old(world, n=2)
    events = world.events(job_id)
    at = world.job(job_id)["completed_at"]
    world.engine.retention.run()
    [(name, lines)] = archives(world).items()
    assert name.startswith(f"{at:%Y/%m/%d}/{job_id}-1-{at:%Y%m%dT}")
    assert Counter(line["kind"] for line in lines) == {
        "job": 1,
        "stage": 2,
        "task": 8,
        "result": 6,
        "event": len(events),
    }
    job = lines[0]
    assert (job["job_id"], job["status"], job["parameters"]) == (job_id, "completed", {"label": "x", "n": 2})
    assert [line["event"] for line in lines if line["kind"] == "event"] == events
    results = [line for line in lines if line["kind"] == "result"]
    assert [(line["stage"], line["task_index"]) for line in results] == [(2, i) for i in range(6)]
    assert {line["result"]["text"] for line in results} == {"x" * LARGE}
    assert [line["result"] for line in lines if line["kind"] == "task"][:2] == [{"found": 3}] * 2
    assert left(world, job_id) == {}


def test_a_run_is_archived_and_removed_in_a_real_storage_account(
    make_world: Callable[..., World],
    storage_connection_string: str,
    container: Callable[[], ContainerClient],
) -> None:
    results, kept = container(), container()
    kept.delete_container()
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    world = make_world(
        storage=blobs,
        max_inline_result_bytes=1000,
        results_container=results.container_name,
        # That of other tests may have blobs of the same job.
        scratch_container=container().container_name,
        retention_archive_container=kept.container_name,
    )
    survey(world)
    job_id = old(world, n=2)
    assert len(list(results.list_blob_names())) == 6
    assert world.engine.retention.run().blobs == 6
    assert list(results.list_blob_names()) == []
    [name] = kept.list_blob_names()
    lines = gzip.decompress(blobs.read(kept.container_name, name)).splitlines()
    assert Counter(json.loads(line)["kind"] for line in lines)["result"] == 6
    assert left(world, job_id) == {}


def test_each_run_has_a_file_of_its_own_also_when_the_job_comes_again(world: World) -> None:
    job_id = done(world)
    world.engine.rerun(job_id, correlation_id="test")
    world.run(job_id)
    age(world, job_id, 100)
    world.engine.retention.run()
    assert old(world, 95) == job_id
    world.engine.retention.run()
    kept = archives(world)
    assert sorted(lines[0]["run"] for lines in kept.values()) == [1, 2, 3]
    assert all(lines[0]["parameters"] == {"label": "x", "n": 1} for lines in kept.values())
    assert all(lines[0]["result"] == {"stages": 2} for lines in kept.values())


def test_a_run_that_changes_while_it_is_archived_stays_and_leaves_no_file(world: World) -> None:
    job = world.submit("hello_world", n=4, fail_fraction=0.5)
    world.run(job.job_id)
    age(world, job.job_id, 100)
    retry = Interrupting(world, lambda: world.engine.retry(job.job_id, correlation_id="test"))
    answer = retention(world, retry).run()
    assert (answer.runs, archives(world)) == (0, {})
    assert world.run(job.job_id)["run"] == 1


def test_the_run_goes_but_not_the_job_that_is_run_again_while_it_is_archived(world: World) -> None:
    job_id = old(world)
    rerun = Interrupting(world, lambda: world.engine.rerun(job_id, correlation_id="test"))
    answer = retention(world, rerun).run()
    assert (answer.jobs, answer.runs) == (0, 1)
    [lines] = archives(world).values()
    assert (lines[0]["run"], lines[0]["job_type"], lines[0]["status"]) == (1, "survey", "completed")
    assert world.run(job_id)["run"] == 2
    assert {task["run"] for task in world.tasks(job_id)} == {2}


def test_a_slow_archiver_does_not_replace_a_whole_file_by_what_another_left(world: World) -> None:
    job_id = old(world, n=2)
    slow = Interrupting(world, lambda: world.engine.retention.run())
    assert retention(world, slow).run().runs == 0
    [lines] = archives(world).values()
    assert Counter(line["kind"] for line in lines)["task"] == 8
    assert left(world, job_id) == {}


def test_a_crash_after_the_archive_repeats_it_under_the_same_name(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    def crash(*_: object) -> None:
        raise Crash

    job_id = old(world)
    with monkeypatch.context() as crashing:
        crashing.setattr(RetentionRepository, "remove", crash)
        with pytest.raises(Crash):
            world.engine.retention.run()
    first = archives(world)
    assert world.job(job_id)["status"] == "completed"
    world.engine.retention.run()
    assert archives(world) == first
    assert left(world, job_id) == {}


def test_a_result_that_is_missing_is_told_in_the_archive(world: World) -> None:
    job_id = old(world)
    gone = next(key for key in world.blobs.blobs if key[1].startswith(job_id))
    del world.blobs.blobs[gone]
    world.engine.retention.run()
    [lines] = archives(world).values()
    assert [line["blob"] for line in lines if line["kind"] == "missing_result"] == [gone[1]]
    assert sum(line["kind"] == "result" for line in lines) == 2


def test_an_archive_is_written_in_bounded_memory(world: World) -> None:
    job_id = done(world, n=100)
    world.rows(
        "UPDATE app.tasks SET result = jsonb_build_object('text', repeat(md5(task_index::text), 10000))"
        " WHERE job_id = %s AND stage = 1",
        job_id,
        fetch=False,
    )
    age(world, job_id, 100)
    tracemalloc.start()
    world.engine.retention.run()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    [lines] = archives(world).values()
    assert sum(len(json.dumps(line)) for line in lines) > 30 * 1024**2
    assert peak < 16 * 1024**2


def test_nothing_is_removed_that_could_not_be_archived(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = old(world)
    before = left(world, job_id)

    def interrupted(container: str, name: str, chunks: Iterator[bytes], **_: object) -> str:
        next(chunks, None)
        raise ConnectionError("the network is down")

    monkeypatch.setattr(world.blobs, "write_stream", interrupted)
    with pytest.raises(ConnectionError):
        world.engine.retention.run()
    assert left(world, job_id) == before


@pytest.mark.parametrize("asked", ["by the timer", "by a person"])
def test_items_of_failed_attempts_are_removed_once_their_stage_has_long_ended(
    world: World, asked: str
) -> None:
    def clean() -> int:
        retention = world.engine.retention
        if asked == "by the timer":
            return retention.run().items
        return retention.cleanup(None, dry_run=False, limit=1).items

    job_id = done(world, label="fails at first", n=2)
    assert left(world, job_id)["stage_items"] == 12
    # A handler that lost its lease may still be at work.
    assert clean() == 0
    age(world, job_id, 1)
    assert clean() == 6
    assert left(world, job_id)["stage_items"] == 6
    completed = world.rows(
        "SELECT 1 FROM app.stage_items JOIN app.tasks USING (job_id, run, stage, task_index, fence)"
        " WHERE job_id = %s AND status = 'completed'",
        job_id,
    )
    assert len(completed) == 6
    assert world.violations() == {}


def test_the_result_of_a_fenced_off_attempt_is_removed_and_that_of_its_successor_stays(world: World) -> None:
    def loses_its_lease(p: dict[str, Any], context: Any) -> dict[str, Any]:
        if context.attempt == 1 and not world.blobs.blobs:
            world.rows("UPDATE app.tasks SET lease_until = now() - interval '1 s'", fetch=False)
            world.engine.reconcile()
        return {"text": "x" * LARGE}

    world.register(ScriptedJob("large", [StageDefinition("a", "large")]), task_type("large", loses_its_lease))
    job = world.submit("large")
    assert world.run(job.job_id)["status"] == "completed"
    assert len(world.blobs.blobs) == 2
    other = (world.settings.results_container, result_blobs.prefix(job.job_id, 1, 1) + "README")
    world.blobs.blobs[other] = b"put here by somebody else"
    age(world, job.job_id, 1)
    assert world.engine.retention.run().blobs == 1
    [task] = world.tasks(job.job_id)
    kept = result_blobs.name(job.job_id, 1, 1, 0, task["fence"])
    assert {name for _, name in world.blobs.blobs} == {kept, other[1]}
    assert world.engine.retention.run().blobs == 0


def test_an_attempt_that_still_runs_or_has_completed_is_not_abandoned(world: World) -> None:
    repository = RetentionRepository(world.databases[0])
    seen: list[set[Attempt]] = []

    def looks(p: dict[str, Any], context: Any) -> dict[str, Any]:
        [task] = world.rows("SELECT * FROM app.tasks WHERE status = 'processing'")
        world.rows("UPDATE app.stages SET completed_at = now() - interval '1 day'", fetch=False)
        [stage] = repository.uncleaned_stages(world.settings.lease)
        world.rows("UPDATE app.stages SET completed_at = NULL", fetch=False)
        mine = Attempt(0, task["fence"])
        seen.append(repository.abandoned(stage, [mine, Attempt(0, 1), Attempt(9, 1)]))
        return {}

    world.register(ScriptedJob("looking", [StageDefinition("a", "looks")]), task_type("looks", looks))
    job = world.submit("looking")
    assert world.run(job.job_id)["status"] == "completed"
    assert seen == [{Attempt(0, 1), Attempt(9, 1)}]
    age(world, job.job_id, 1)
    [stage] = repository.uncleaned_stages(world.settings.lease)
    [task] = world.tasks(job.job_id)
    assert repository.abandoned(stage, [Attempt(0, task["fence"])]) == set()


def test_a_stage_that_left_nothing_is_passed_without_a_look_into_storage(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(container: str, *_: object) -> Iterator[list[BlobItem]]:
        # Scratch blobs are looked for whatever the stages say.
        assert container == world.settings.scratch_container, "storage was asked for results"
        return iter(())

    job = world.submit("hello_world", n=3)
    world.run(job.job_id)
    age(world, job.job_id, 1)
    monkeypatch.setattr(world.blobs, "list_pages", never)
    world.engine.retention.run()
    cleaned = world.rows("SELECT cleaned_at = completed_at AS cleaned FROM app.stages")
    assert cleaned == [{"cleaned": True}] * 2


def test_a_stage_that_is_retried_is_cleaned_anew_after_its_new_end(world: World) -> None:
    fails = [True]

    def find(p: dict[str, Any], context: Any) -> dict[str, Any]:
        context.discover({"i": i} for i in range(3))
        if fails[0]:
            raise OSError("lost the connection")
        return {}

    world.register(ScriptedJob("retried", [StageDefinition("a", "looks")]), task_type("looks", find))
    job = world.submit("retried")
    assert world.run(job.job_id)["status"] == "failed"
    age(world, job.job_id, 1)
    assert world.engine.retention.run().items == 9
    world.engine.retry(job.job_id, correlation_id="test")
    world.pump()
    assert world.run(job.job_id)["status"] == "failed"
    fails[0] = False
    world.engine.retry(job.job_id, correlation_id="test")
    assert world.run(job.job_id)["status"] == "completed"
    age(world, job.job_id, 0.5)
    assert world.engine.retention.run().items == 9
    assert left(world, job.job_id)["stage_items"] == 3
