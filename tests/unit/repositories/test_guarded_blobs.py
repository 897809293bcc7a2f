"""Each call of the blob port passes the breaker, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.errors import BlobNotFound, DependencyUnavailable, ServiceUnavailable
from interfaces.settings import Settings
from repositories.breakers import Breakers
from repositories.guarded_blobs import GuardedBlobRepository
from tests.doubles.faulty_blobs import FaultyBlobs

CALLS: dict[str, Callable[[BlobRepository], object]] = {
    "list_pages": lambda blobs: list(blobs.list_pages("bronze")),
    "list_level": lambda blobs: list(blobs.list_level("bronze")),
    "properties": lambda blobs: blobs.properties("bronze", "a"),
    "read": lambda blobs: blobs.read("bronze", "a", 1, 1),
    "write": lambda blobs: blobs.write("bronze", "b", b"x", content_type="text/plain", metadata={"k": "v"}),
    "copy": lambda blobs: (
        blobs.copy("bronze", "a", "silver", "a", content_type="x/y", metadata={}, if_unchanged=None).size,
        blobs.delete("silver", ["a"]),
    ),
    "delete": lambda blobs: blobs.delete("bronze", ["nothing"]),
    "ensure_container": lambda blobs: blobs.ensure_container("bronze"),
}


@pytest.fixture
def faulty() -> FaultyBlobs:
    made = FaultyBlobs()
    made.write("bronze", "a", b"abc")
    return made


@pytest.fixture
def breakers() -> Breakers:
    return Breakers(Settings(breaker_failures=3, breaker_pause_seconds=3600))


@pytest.fixture
def blobs(faulty: FaultyBlobs, breakers: Breakers) -> GuardedBlobRepository:
    return GuardedBlobRepository(faulty, breakers)


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_each_call_answers_as_the_repository_behind_it(
    call: Callable[[BlobRepository], object], blobs: GuardedBlobRepository, faulty: FaultyBlobs
) -> None:
    assert call(blobs) == call(faulty)


@pytest.mark.parametrize("call", CALLS.values(), ids=list(CALLS))
def test_each_call_that_fails_in_an_outage_opens_the_breaker(
    call: Callable[[BlobRepository], object],
    blobs: GuardedBlobRepository,
    faulty: FaultyBlobs,
    breakers: Breakers,
) -> None:
    faulty.down = True
    with pytest.raises(DependencyUnavailable):
        call(blobs)
    assert [(b.dependency, str(b.state)) for b in breakers.status()] == [("blob", "open")]
    faulty.down = False
    before = faulty.calls
    with pytest.raises(DependencyUnavailable):
        call(blobs)
    assert faulty.calls == before


def test_no_stream_is_begun_while_the_breaker_is_open(
    blobs: GuardedBlobRepository, faulty: FaultyBlobs
) -> None:
    assert blobs.write_stream("bronze", "b", iter([b"ab", b"c"])) == "memory://bronze/b"
    assert faulty.read("bronze", "b") == b"abc"
    faulty.down = True
    with pytest.raises(DependencyUnavailable):
        blobs.read("bronze", "a")
    faulty.down = False
    with pytest.raises(DependencyUnavailable):
        blobs.write_stream("bronze", "c", iter([b"never taken"]))
    assert ("bronze", "c") not in faulty.blobs


def test_gdal_gets_no_options_while_the_breaker_is_open(
    blobs: GuardedBlobRepository, faulty: FaultyBlobs
) -> None:
    assert blobs.gdal_options() == faulty.gdal_options()
    faulty.down = True
    with pytest.raises(DependencyUnavailable):
        blobs.read("bronze", "a")
    with pytest.raises(DependencyUnavailable):
        blobs.gdal_options()


def test_a_health_check_sees_storage_itself(
    blobs: GuardedBlobRepository, faulty: FaultyBlobs, breakers: Breakers
) -> None:
    faulty.down = True
    for _ in range(10):
        with pytest.raises(ServiceUnavailable):
            blobs.ping()
    assert breakers.status()[0].state == "closed", "a question from outside is no call"
    with pytest.raises(DependencyUnavailable):
        blobs.read("bronze", "a")
    faulty.down = False
    blobs.ping()
    assert breakers.status()[0].state == "open"


def test_a_listing_goes_on_page_by_page(
    blobs: GuardedBlobRepository, faulty: FaultyBlobs, breakers: Breakers
) -> None:
    for i in range(9):
        faulty.write("bronze", f"x{i}", b"")
    pages = blobs.list_pages("bronze", "x", 3)
    assert [item.name for item in next(pages)] == ["x0", "x1", "x2"]
    assert faulty.asked == 0
    faulty.down = True
    with pytest.raises(DependencyUnavailable):
        next(pages)
    assert (breakers.status()[0].failures, faulty.asked) == (1, 1)


def test_what_is_done_with_a_page_is_not_put_down_to_storage(
    blobs: GuardedBlobRepository, faulty: FaultyBlobs, breakers: Breakers
) -> None:
    def consume() -> Iterator[list[BlobItem]]:
        for page in blobs.list_pages("bronze"):
            yield page
            raise ServiceUnavailable("database: no connection became free in time")

    with pytest.raises(ServiceUnavailable):
        list(consume())
    assert breakers.status()[0].failures == 0
    # Nor is a listing that is not read to its end.
    assert len(list(islice(blobs.list_pages("bronze"), 1))) == 1
    assert breakers.status()[0].state == "closed"


def test_what_is_missing_stays_missing(blobs: GuardedBlobRepository, breakers: Breakers) -> None:
    for _ in range(10):
        with pytest.raises(BlobNotFound):
            blobs.read("bronze", "nothing")
    assert breakers.status()[0].state == "closed"
