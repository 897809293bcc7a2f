"""Wherever a publication ends, it is carried on, completed or forgotten: nothing dangles."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from engine.retention import Retention
from interfaces.blobs import BlobProperties
from interfaces.conversions import MadeCog
from interfaces.errors import Conflict, LeaseLost, ServiceUnavailable
from interfaces.plans import StageDefinition
from interfaces.publications import Publication, PublishedCog
from interfaces.rasters import Overwrite
from repositories.retention import RetentionRepository
from services.cog.unfinished import UnfinishedPublications
from tests.doubles.memory_blobs import MemoryBlobs
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.fix_publishing import NAME, SCRATCH, Dying, Killed, Place
from tests.integration.engine.retention_scenes import age
from tests.unit.services.doubles import Context

STEPS = [("begin", False), ("begin", True), ("publish", False), ("publish", True)]


def _die(place: Place, context: Context, step: str, *, after: bool, content: bytes = b"first") -> MadeCog:
    made = place.made(context, content)
    with pytest.raises(Killed):
        place.publisher(Dying(place.database, step, after=after)).publish(made, context, thumbnail="t.png")
    return made


@pytest.mark.parametrize(("step", "after"), STEPS)
def test_after_a_kill_at_any_step_the_next_attempt_publishes(place: Place, step: str, after: bool) -> None:
    _die(place, place.attempt(fence=1), step, after=after)
    again = place.attempt(fence=2)
    outcome = place.publish(place.made(again, b"second"), again)
    assert outcome.status == "published"
    recorded = (step, after) == ("publish", True)
    data = place.consistent() if step != "begin" or not after else place.blobs.read(place.target, NAME)
    assert data == (b"first" if recorded else b"second")
    assert place.clean() == 0 or (step, after) == ("begin", True)
    assert place.consistent() == data


@pytest.mark.parametrize("overwrite", ["never", "if_changed", "always"])
@pytest.mark.parametrize(("step", "after"), STEPS)
def test_after_a_kill_at_any_step_and_the_end_of_the_run_nothing_dangles(
    place: Place, step: str, after: bool, overwrite: Overwrite
) -> None:
    context = place.attempt()
    _die(place, context, step, after=after)
    place.end(context)
    assert place.clean(timedelta(days=1)) == 0
    place.clean()
    assert place.intents() == []
    if step == "begin":
        assert place.rows() == []
        assert list(place.blobs.list_pages(place.target)) in ([], [[]])
    else:
        assert place.consistent() == b"first"
    assert place.clean() == 0
    other = place.attempt("b")
    outcome = place.publish(place.made(other, b"second", overwrite=overwrite), other)
    replaced = step == "begin" or overwrite == "always"
    assert place.consistent() == (b"second" if replaced else b"first")
    assert outcome.status == ("published" if replaced else "unchanged")


def test_another_job_completes_what_an_ended_run_left_without_its_row(anywhere: Place) -> None:
    place = anywhere
    context, other = place.attempt("a"), place.attempt("b")
    _die(place, context, "publish", after=False)
    place.end(context)
    outcome = place.publish(place.made(other, b"second"), other)
    assert (outcome.status, outcome.cog.job_id) == ("unchanged", "a" * 64)
    assert place.consistent() == b"first"


def test_a_copy_that_waits_for_the_row_of_a_living_attempt_is_not_touched(place: Place) -> None:
    context, other = place.attempt("a"), place.attempt("b")
    made = _die(place, context, "publish", after=False)
    second = place.made(other, b"second", overwrite="always")
    with pytest.raises(Conflict, match=f"is being published by job {'a' * 64}"):
        place.publish(second, other)
    assert place.clean() == 0
    assert place.blobs.read(place.target, NAME) == b"first"
    assert place.publish(made, context).status == "published"
    assert place.consistent() == b"first"
    assert place.publish(second, other).status == "published"
    assert place.consistent() == b"second"


def test_a_copy_by_an_attempt_that_lost_its_task_meanwhile_is_replaced(anywhere: Place) -> None:
    place = anywhere
    stale = place.attempt(fence=1)

    class Slow(Dying):
        def begin(self, publication: Publication) -> bool:
            begun = super().begin(publication)
            place.attempt(fence=2)
            return begun

    with pytest.raises(LeaseLost):
        place.publisher(Slow(place.database)).publish(place.made(stale, b"stale"), stale, thumbnail="t.png")
    assert place.blobs.read(place.target, NAME) == b"stale"
    assert place.rows() == []
    context = place.attempt(fence=2)
    assert place.publish(place.made(context, b"second", overwrite="never"), context).status == "published"
    assert place.consistent() == b"second"


def test_a_copy_whose_answer_was_lost_is_recognized(place: Place) -> None:
    class Forgetful(MemoryBlobs):
        lost = False

        def copy(self, *arguments: Any, **options: Any) -> BlobProperties:
            copied = super().copy(*arguments, **options)
            if not self.lost:
                self.lost = True
                # The client asks again by itself, and is refused then.
                super().copy(*arguments, **options)
            return copied

    place.blobs, place.target = Forgetful(), "silver"
    context = place.attempt()
    outcome = place.publish(place.made(context, overwrite="never"), context)
    assert outcome.status == "published"
    assert place.consistent() == b"cog"


def test_when_the_database_fails_after_the_copy_the_next_attempt_goes_on(place: Place) -> None:
    class Unavailable(Dying):
        def publish(self, publication: Publication, etag: str) -> PublishedCog | None:
            raise ServiceUnavailable("database: gone")

    context = place.attempt(fence=1)
    made = place.made(context)
    with pytest.raises(ServiceUnavailable):
        place.publisher(Unavailable(place.database)).publish(made, context, thumbnail="t.png")
    assert place.scratch()
    again = place.attempt(fence=2)
    assert place.publish(made, again).status == "published"
    assert place.consistent() == b"cog"


def test_the_engines_clean_up_completes_what_a_cancelled_run_left_and_removes_its_scratch_blobs(
    place: Place, make_world: Callable[..., World]
) -> None:
    world = make_world(storage=place.blobs, scratch_container=SCRATCH)
    publisher = place.publisher(Dying(place.database, "publish"))

    def publish(p: dict[str, Any], context: Any) -> dict[str, Any]:
        with pytest.raises(Killed):
            publisher.publish(place.made(context, b"first"), context, thumbnail="t.png")
        # Whoever is killed reports nothing, and its job is cancelled meanwhile.
        world.engine.cancel(context.job_id)
        raise LeaseLost("killed")

    world.register(
        ScriptedJob("publishing", [StageDefinition("a", "publish")]), task_type("publish", publish)
    )
    job = world.submit("publishing")
    world.pump()
    world.rows("UPDATE app.tasks SET lease_until = now() - interval '1 hour'", fetch=False)
    assert world.run(job.job_id)["status"] == "cancelled"
    assert len(place.intents()) == 1
    assert len(place.scratch()) == 3
    unfinished = UnfinishedPublications(place.blobs, place.publications)
    repository = RetentionRepository(place.database)

    def hourly() -> None:
        Retention(world.settings, repository, place.blobs, [unfinished]).run()

    hourly()
    assert len(place.intents()) == 1
    age(world, job.job_id, 1)
    place.admin.execute("UPDATE geo.cog_publications SET began_at = began_at - interval '1 day'")
    hourly()
    assert place.consistent() == b"first"
    assert place.scratch() == []
    assert world.violations() == {}
