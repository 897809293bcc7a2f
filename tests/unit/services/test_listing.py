"""The handlers of list_container, on blobs in memory."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterable, Iterator, Mapping

import pytest
from pydantic import JsonValue

from interfaces.blobs import BlobItem, BlobProperties
from interfaces.containers import BlobFilter
from interfaces.errors import AccessDenied, PermanentTaskError, ServiceUnavailable, TaskCancelled
from services.listing import (
    BlobDescription,
    DescribeBlob,
    DescribeBlobParameters,
    ListBlobs,
    ListBlobsParameters,
)
from services.raster_inspection import RasterInspector
from services.raster_opening import RasterOpener

from .doubles import MODIFIED, Context, MemoryBlobs


def describe(blobs: MemoryBlobs, context: Context, **parameters: object) -> BlobDescription:
    handler = DescribeBlob(blobs, RasterInspector(RasterOpener(blobs)))
    return handler(DescribeBlobParameters.model_validate({"container": "bronze", **parameters}), context)


def test_the_filter_comes_before_the_limit() -> None:
    blobs = MemoryBlobs.named("a.txt", "b.txt", "c.tif", "d.tif", "e.tif")
    context = Context()

    result = ListBlobs(blobs)(
        ListBlobsParameters(container="bronze", filter=BlobFilter(glob="*.tif"), limit=2), context
    )

    assert [item["name"] for item in context.items] == ["c.tif", "d.tif"]
    assert (result.listed, result.matched, result.limited) == (4, 2, True)


def test_an_item_is_all_that_the_description_of_its_file_needs() -> None:
    blobs, context = MemoryBlobs.named("x/a.tif"), Context()
    ListBlobs(blobs)(ListBlobsParameters(container="bronze", prefix="x/"), context)

    description = describe(blobs, context, **context.items[0])

    assert description.model_dump(exclude_none=True) == {
        "name": "x/a.tif",
        "size": 10,
        "last_modified": MODIFIED,
        "tier": "Hot",
        "extension": "tif",
        "exists": True,
    }


def test_no_match_is_no_item_and_no_error() -> None:
    context = Context()

    result = ListBlobs(MemoryBlobs())(ListBlobsParameters(container="bronze"), context)

    assert context.items == []
    assert (result.listed, result.matched) == (0, 0)


def test_a_missing_container_fails_for_good_and_is_named() -> None:
    with pytest.raises(PermanentTaskError, match="'nowhere' does not exist"):
        ListBlobs(MemoryBlobs())(ListBlobsParameters(container="nowhere"), Context())


def test_a_refused_permission_fails_for_good() -> None:
    class Forbidden(MemoryBlobs):
        def list_pages(
            self, container: str, prefix: str = "", page_size: int = 0
        ) -> Iterator[list[BlobItem]]:
            raise AccessDenied("storage refuses access to container 'bronze'")

    with pytest.raises(PermanentTaskError, match="refuses access"):
        ListBlobs(Forbidden())(ListBlobsParameters(container="bronze"), Context())


def test_storage_that_does_not_answer_is_left_to_the_engines_retries() -> None:
    class Down(MemoryBlobs):
        def properties(self, container: str, name: str) -> BlobProperties:
            raise ServiceUnavailable("storage answered 503")

    with pytest.raises(ServiceUnavailable):
        describe(Down(), Context(), name="a.tif", size=1, metadata_level="standard")


def test_a_long_listing_notices_that_it_was_cancelled() -> None:
    blobs = MemoryBlobs.named(*(f"{i:06}" for i in range(20_000)))

    with pytest.raises(TaskCancelled):
        ListBlobs(blobs)(ListBlobsParameters(container="bronze"), Context(cancelled_after=1))

    assert blobs.listed <= 10_000


def test_standard_adds_the_properties_and_the_users_metadata() -> None:
    description = describe(
        MemoryBlobs.named("a.tif"), Context(), name="a.tif", size=10, metadata_level="standard"
    )

    assert description.properties is not None
    assert description.properties.metadata == {"owner": "me"}
    assert description.raster is None


@pytest.mark.parametrize("level", ["standard", "full"])
def test_a_blob_that_was_deleted_after_it_was_listed_is_described_as_that(level: str) -> None:
    description = describe(MemoryBlobs(), Context(), name="a.tif", size=10, metadata_level=level)

    assert description.exists is False
    assert description.reason == "deleted since it was listed"
    assert description.size == 10


def test_fifty_thousand_blobs_are_listed_in_seconds_without_being_held() -> None:
    class Endless(MemoryBlobs):
        def list_pages(
            self, container: str, prefix: str = "", page_size: int = 5000
        ) -> Iterator[list[BlobItem]]:
            for page in range(10):
                yield [BlobItem(name=f"{page}/{i}.tif", size=1, last_modified=MODIFIED) for i in range(5000)]

    class Counting(Context):
        def discover(self, items: Iterable[Mapping[str, JsonValue]]) -> int:
            return sum(1 for _ in items)

    started = time.process_time()
    tracemalloc.start()
    result = ListBlobs(Endless())(ListBlobsParameters(container="bronze"), Counting())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert result.matched == 50_000
    assert peak < 30 * 1024**2
    assert time.process_time() - started < 20
