"""A COG is published by the attempt that holds its task, whole and with its row."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from interfaces.conversions import SourceBlob
from interfaces.errors import BlobNotFound, Conflict, LeaseLost, PermanentTaskError, TaskCancelled
from interfaces.publications import TargetRecord
from interfaces.rasters import Overwrite
from repositories.publications import PostgresPublicationRepository
from services.cog.naming import item_name
from services.cog.publishing import COG_TYPE
from tests.fix_publishing import NAME, SCRATCH, Place


def test_what_was_made_is_the_target_with_its_row_and_lineage(anywhere: Place) -> None:
    place = anywhere
    context = place.attempt()
    outcome = place.publish(place.made(context), context)
    assert (outcome.status, outcome.reason) == ("published", None)
    assert place.consistent() == b"cog"
    [row] = place.rows()
    assert outcome.cog.etag == row["etag"]
    assert (row["job_id"], row["run"], row["stage"], row["task_index"]) == ("a" * 64, 1, 5, 0)
    assert (row["versions"], row["notes"]) == ({"gdal": "3.10", "app": "1"}, ["a note"])
    assert (row["item"]["id"], row["parameters_hash"]) == ("a", "p")
    assert row["sources"][0]["etag"] == "0x1"
    found = place.blobs.properties(place.target, NAME)
    assert found.content_type == COG_TYPE
    assert found.metadata["source"] == "bronze/a.tif"
    assert (found.metadata["source_etag"], found.metadata["parameters_hash"]) == ("0x1", "p")
    assert place.blobs.read(place.target, "there/é.thumbnail.png") == b"cog"
    assert place.scratch() == []


def test_the_same_attempt_again_changes_nothing(anywhere: Place) -> None:
    place = anywhere
    context = place.attempt()
    made = place.made(context)
    first = place.publish(made, context)
    # Its scratch blobs are gone.
    assert place.publish(made, place.attempt(fence=2)) == first
    assert place.publisher().published(made.request, made.sources, context) == first.cog
    assert place.consistent() == b"cog"


def test_an_attempt_that_lost_its_task_publishes_nothing(place: Place) -> None:
    stale = place.attempt()
    made = place.made(stale)
    place.attempt(fence=2)
    with pytest.raises(LeaseLost):
        place.publish(made, stale)
    assert place.rows() == place.intents() == []
    assert list(place.blobs.list_pages(place.target)) in ([], [[]])


def test_a_cancelled_attempt_publishes_nothing(place: Place) -> None:
    context = place.attempt()
    made = place.made(context)
    context._cancelled_after = 0
    with pytest.raises(TaskCancelled):
        place.publish(made, context)
    assert place.rows() == place.intents() == []


@pytest.mark.parametrize(
    ("overwrite", "change", "content"),
    [
        ("never", {"etag": "0x2"}, b"first"),
        ("if_changed", {}, b"first"),
        ("if_changed", {"etag": "0x2"}, b"second"),
        ("if_changed", {"parameters_hash": "q"}, b"second"),
        ("if_changed", {"source": "b.tif"}, b"second"),
        ("always", {}, b"second"),
    ],
)
def test_what_is_there_is_replaced_as_overwrite_says(
    place: Place, overwrite: Overwrite, change: dict[str, Any], content: bytes
) -> None:
    first, second = place.attempt("a"), place.attempt("b")
    place.publish(place.made(first, b"first"), first)
    place.blobs.write(place.target, item_name(NAME), b"{}")
    made = place.made(second, b"second", overwrite=overwrite, **change)
    reason = place.publisher().up_to_date(made.request, made.sources, second)
    outcome = place.publish(made, second)
    assert (outcome.status == "unchanged") == (content == b"first") == (reason is not None)
    assert outcome.reason == reason
    assert place.consistent() == content
    assert place.scratch() == []


def test_a_cog_without_a_thumbnail_does_not_keep_that_of_the_one_before(anywhere: Place) -> None:
    place, picture = anywhere, "there/é.thumbnail.png"
    contexts = [place.attempt(job) for job in "abc"]
    place.blobs.write(place.target, picture, b"by hand")
    plain, pictured, plain_again = (
        place.made(context, overwrite="always", thumbnail=thumbnail)
        for context, thumbnail in zip(contexts, (False, True, False), strict=True)
    )
    place.publish(plain, contexts[0])
    assert place.blobs.read(place.target, picture) == b"by hand"
    place.publish(pictured, contexts[1])
    assert place.blobs.read(place.target, picture) == b"cog"
    place.publish(plain_again, contexts[2])
    with pytest.raises(BlobNotFound):
        place.blobs.read(place.target, picture)


def test_a_blob_that_somebody_else_put_there_is_replaced_only_where_that_is_asked(place: Place) -> None:
    context = place.attempt()
    place.blobs.write(place.target, NAME, b"by hand")
    outcome = place.publish(place.made(context, overwrite="never"), context)
    assert (outcome.status, outcome.cog) == ("unchanged", None)

    made = place.made(context, overwrite="if_changed")
    with pytest.raises(PermanentTaskError, match=r"not published by this app.*give overwrite always"):
        place.publisher().up_to_date(made.request, made.sources, context)
    with pytest.raises(PermanentTaskError, match=r"not published by this app.*give overwrite always"):
        place.publish(made, context)
    assert place.blobs.read(place.target, NAME) == b"by hand"
    assert place.rows() == place.intents() == []

    assert place.publish(place.made(context, overwrite="always"), context).status == "published"
    assert place.consistent() == b"cog"


@pytest.mark.parametrize("overwrite", ["never", "if_changed", "always"])
def test_another_source_of_the_job_is_never_a_target(place: Place, overwrite: Overwrite) -> None:
    context = place.attempt()
    made = place.made(context, overwrite=overwrite)
    beside = SourceBlob(container=place.target, name="other.tif", etag="0x1", size=3)
    made = made.model_copy(update={"sources": [beside]})
    assert place.publisher().up_to_date(made.request, made.sources, context) is None
    place.admin.execute(
        "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters)"
        " VALUES (%s, %s, 2, 0, jsonb_build_object('container', %s::text, 'name', %s::text, 'options', 1))",
        (context.job_id, context.run, place.target, NAME),
    )
    with pytest.raises(PermanentTaskError, match="is another source of this job"):
        place.publisher().up_to_date(made.request, made.sources, context)
    with pytest.raises(PermanentTaskError, match="is another source of this job"):
        place.publish(made, context)
    assert place.rows() == place.intents() == []


def test_a_target_that_was_deleted_or_overwritten_by_hand_is_published_again(anywhere: Place) -> None:
    place = anywhere
    tampering: list[Callable[[], object]] = [
        lambda: place.blobs.delete(place.target, [NAME]),
        lambda: place.blobs.write(place.target, NAME, b"by hand"),
    ]
    for fence, tamper in enumerate(tampering):
        first = place.attempt("a", fence=10 + fence, run=1 + fence)
        place.publish(place.made(first), first)
        tamper()
        second = place.attempt("b", fence=20 + fence)
        assert place.publish(place.made(second, overwrite="always"), second).status == "published"
        assert place.consistent() == b"cog"


def test_two_rasters_of_one_job_with_one_target_are_refused(place: Place) -> None:
    first, second = place.attempt(task=0), place.attempt(task=1)
    place.publish(place.made(first, b"first"), first)
    with pytest.raises(PermanentTaskError, match=r"same target 'there/é.tif': 'b.tif' and 'a.tif'"):
        place.publish(place.made(second, b"second", source="b.tif", overwrite="always"), second)
    assert place.consistent() == b"first"


@pytest.mark.parametrize("overwrite", ["never", "if_changed", "always"])
def test_a_target_that_is_its_own_source_is_refused(place: Place, overwrite: Overwrite) -> None:
    context = place.attempt()
    made = place.made(context, overwrite=overwrite)
    itself = SourceBlob(container=place.target, name=NAME, etag="0x1", size=3)
    made = made.model_copy(update={"sources": [itself]})
    with pytest.raises(PermanentTaskError, match="is the source itself"):
        place.publisher().up_to_date(made.request, made.sources, context)
    with pytest.raises(PermanentTaskError, match="is the source itself"):
        place.publish(made, context)


def test_a_blob_that_is_gone_or_not_what_was_made_is_refused(place: Place) -> None:
    context = place.attempt()
    made = place.made(context)
    place.blobs.write(SCRATCH, made.blob, b"sog")
    with pytest.raises(PermanentTaskError, match="is not what was read and checked"):
        place.publish(made, context)
    place.blobs.delete(SCRATCH, [made.blob])
    with pytest.raises(PermanentTaskError, match=r"is gone.*submit the job again"):
        place.publish(made, context)
    assert place.rows() == place.intents() == []


def test_a_source_that_passes_through_is_copied_as_it_was_inspected_and_stays(anywhere: Place) -> None:
    place = anywhere
    place.blobs.ensure_container("bronze")
    place.blobs.write("bronze", "a.tif", b"cog")
    etag = place.blobs.properties("bronze", "a.tif").etag or ""
    context = place.attempt()
    made = place.made(context, etag=etag).model_copy(
        update={"pass_through": True, "container": "bronze", "blob": "a.tif"}
    )
    assert place.publish(made, context).status == "published"
    assert place.consistent() == b"cog"
    assert place.blobs.read("bronze", "a.tif") == b"cog"
    place.blobs.write("bronze", "a.tif", b"cog")
    changed = place.attempt("b")
    always = made.request.model_copy(update={"overwrite": "always"})
    with pytest.raises(PermanentTaskError, match="it has changed since"):
        place.publish(made.model_copy(update={"request": always}), changed)
    assert place.consistent() == b"cog"


@pytest.mark.parametrize("overwrite", ["never", "if_changed", "always"])
def test_of_many_jobs_that_publish_to_one_target_at_once_each_says_what_became_of_it(
    anywhere: Place, overwrite: Overwrite
) -> None:
    place = anywhere
    jobs = "abcdef"
    contexts = [place.attempt(job) for job in jobs]
    made = [
        place.made(context, job.encode() * (i + 1), overwrite=overwrite, parameters_hash=job)
        for i, (job, context) in enumerate(zip(jobs, contexts, strict=True))
    ]
    ready = threading.Barrier(len(jobs))

    def publish(i: int) -> Any:
        ready.wait(10)
        while True:
            try:
                return place.publish(made[i], contexts[i])
            except Conflict:
                # As the engine would, later.
                continue

    with ThreadPoolExecutor(len(jobs)) as pool:
        outcomes = list(pool.map(publish, range(len(jobs))))
    winners = [job for job, outcome in zip(jobs, outcomes, strict=True) if outcome.status == "published"]
    assert len(winners) == (1 if overwrite == "never" else len(jobs))
    data = place.consistent()
    assert data in {job.encode() * (i + 1) for i, job in enumerate(jobs) if job in winners}
    assert place.scratch() == []


@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_a_target_that_is_replaced_while_it_is_looked_at_is_not_taken_for_a_strangers(
    anywhere: Place, how: str
) -> None:
    place = anywhere
    first, second, third = (place.attempt(job) for job in "abc")
    place.publish(place.made(first, b"first", parameters_hash="1"), first)

    class BetweenTheLooks(PostgresPublicationRepository):
        done = False

        def find(self, container: str, name: str, mark: str | None) -> TargetRecord:
            if not self.done:
                self.done = True
                if how == "deleted":
                    place.blobs.delete(place.target, [name])
                    place.admin.execute("DELETE FROM geo.cogs")
                else:
                    place.publish(place.made(second, b"second", parameters_hash="2"), second)
            return super().find(container, name, mark)

    publisher = place.publisher(BetweenTheLooks(place.database))
    outcome = publisher.publish(place.made(third, b"third", parameters_hash="3"), third, thumbnail="t.png")
    assert outcome.status == "published"
    assert place.consistent() == b"third"


def test_a_target_that_changes_at_every_look_is_looked_at_again_later(place: Place) -> None:
    context = place.attempt()

    class Restless(PostgresPublicationRepository):
        def find(self, container: str, name: str, mark: str | None) -> TargetRecord:
            place.blobs.write(place.target, name, b"a stranger's", content_type=COG_TYPE)
            return super().find(container, name, mark)

    place.blobs.write(place.target, NAME, b"a stranger's", content_type=COG_TYPE)
    with pytest.raises(Conflict, match="changes all the time"):
        place.publisher(Restless(place.database)).publish(place.made(context), context, thumbnail="t.png")
