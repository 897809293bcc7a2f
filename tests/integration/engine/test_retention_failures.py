"""What cannot be removed now is removed later, and keeps nothing else from being removed."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from engine.result_blobs import name
from interfaces.errors import Conflict, ServiceUnavailable
from repositories.retention import RetentionRepository
from tests.fix_engine import World
from tests.integration.engine.retention_scenes import age, done, left, old, survey


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """A world of surveys with results in blob storage."""
    made = make_world(max_inline_result_bytes=1000)
    survey(made)
    return made


def test_storage_that_cannot_be_reached_keeps_the_rows_until_it_can(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = old(world, n=2)

    def unreachable(*_: object) -> int:
        raise ServiceUnavailable("storage cannot be reached")

    with monkeypatch.context() as broken:
        broken.setattr(world.blobs, "delete", unreachable)
        with pytest.raises(ServiceUnavailable):
            world.engine.retention.run()
    assert left(world, job_id)["tasks"] == 8
    assert left(world, job_id)["blobs"] == 6
    world.engine.retention.run()
    assert left(world, job_id) == {}


def undeletable(world: World, monkeypatch: pytest.MonkeyPatch, job_id: str) -> None:
    """Nothing of this job can be deleted from storage, as if there were a hold on it."""
    delete = world.blobs.delete

    def refuse(container: str, names: list[str]) -> int:
        if any(name.startswith(job_id) for name in names):
            raise Conflict("storage answered 409 BlobImmutableDueToPolicy")
        return delete(container, names)

    monkeypatch.setattr(world.blobs, "delete", refuse)


def test_a_run_that_cannot_be_removed_keeps_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = old(world, 200, label="held")
    undeletable(world, monkeypatch, held)
    # The first time it is removed first, the second time it is what an earlier firing began.
    for label in ("x", "y"):
        other = old(world, label=label)
        with pytest.raises(Conflict):
            world.engine.retention.run()
        assert left(world, other) == {}
        assert left(world, held)["blobs"] > 0
    monkeypatch.undo()
    world.engine.retention.run()
    assert left(world, held) == {}


def test_a_stage_that_cannot_be_cleaned_keeps_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    held = done(world, label="fails held")
    age(world, held, 2)
    others = [done(world, label=f"fails {n}") for n in range(2)]
    removed = old(world)
    for job_id in (held, *others):
        age(world, job_id, 1)
        stray = name(job_id, 1, 1, 0, 12345)
        world.blobs.blobs[world.settings.results_container, stray] = b"of an attempt that did not complete"
    before = {job_id: left(world, job_id)["blobs"] for job_id in (held, *others)}
    undeletable(world, monkeypatch, held)
    with pytest.raises(Conflict):
        world.engine.retention.run()
    after = {job_id: left(world, job_id)["blobs"] for job_id in (held, *others)}
    assert after == before | {job_id: before[job_id] - 1 for job_id in others}
    assert left(world, removed) == {}


def test_cleaning_stages_leaves_time_to_remove_runs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    removed = old(world)
    clock = itertools.count()
    monkeypatch.setattr("engine.retention.monotonic", lambda: next(clock))
    # There is always another one that needs no cleaning.
    monkeypatch.setattr(RetentionRepository, "pass_clean_stages", lambda self, age, limit=100: 1)
    assert world.engine.retention.run().more
    assert left(world, removed) == {}
