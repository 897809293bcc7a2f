"""The handlers of list_container and summarize_container on a real blob service."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.storage.blob import ContainerClient

from interfaces.containers import BlobFilter, ContainerSummary
from interfaces.errors import PermanentTaskError
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from services.listing import DescribeBlob, DescribeBlobParameters, ListBlobs, ListBlobsParameters
from services.raster_inspection import RasterInspector
from services.raster_opening import RasterOpener
from services.summary import (
    PartitionContainer,
    PartitionParameters,
    SummarizePrefix,
    SummarizePrefixParameters,
)
from tests.unit.services.doubles import Context

MakeContainer = Callable[[], ContainerClient]


@pytest.fixture
def blobs(storage_connection_string: str) -> AzureBlobRepository:
    return AzureBlobRepository(StorageAccount(storage_connection_string))


@pytest.fixture
def name(container: MakeContainer) -> str:
    return str(container().container_name)


def fill(blobs: AzureBlobRepository, container: str, names: list[str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: blobs.write(container, name, name.encode()), names))


def test_what_is_listed_can_be_described_at_each_level(blobs: AzureBlobRepository, name: str) -> None:
    blobs.write(name, "x/a.txt", b"hello", content_type="text/plain", metadata={"owner": "me"})
    blobs.write(name, "x/b.tif", b"II*\x00 and nothing more")
    context = Context()
    ListBlobs(blobs)(ListBlobsParameters(container=name, filter=BlobFilter(glob="x/*")), context)

    described = [
        DescribeBlob(blobs, RasterInspector(RasterOpener(blobs)))(
            DescribeBlobParameters.model_validate({"container": name, "metadata_level": level, **item}),
            Context(),
        )
        for item in context.items
        for level in ("basic", "standard", "full")
    ]

    text, raster = described[:3], described[3:]
    assert [answer.size for answer in text] == [5, 5, 5]
    assert text[0].properties is None
    assert text[1].properties is not None
    assert text[1].properties.metadata == {"owner": "me"}
    assert text[2].raster is not None
    assert (text[2].raster.status, raster[2].raster and raster[2].raster.status) == (
        "not_raster",
        "truncated",
    )


def test_a_listing_longer_than_a_page_is_complete(
    blobs: AzureBlobRepository, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{i % 7}/{i:04}.{'tif' if i % 3 else 'txt'}" for i in range(250)]
    fill(blobs, name, names)
    pages = blobs.list_pages
    monkeypatch.setattr(blobs, "list_pages", lambda container, prefix="": pages(container, prefix, 20))
    context = Context()

    result = ListBlobs(blobs)(
        ListBlobsParameters(container=name, filter=BlobFilter(extensions=["tif"])), context
    )

    wanted = sorted(blob for blob in names if blob.endswith(".tif"))
    assert [item["name"] for item in context.items] == wanted
    assert (result.listed, result.matched) == (250, len(wanted))


def test_each_blob_is_summarized_exactly_once(blobs: AzureBlobRepository, name: str) -> None:
    names = [f"{i % 40:02}/{i % 3}/{i:04}.tif" for i in range(240)] + ["top.txt", "00/mid.shp", "é/ü.tif"]
    fill(blobs, name, names)
    context = Context()

    partition = PartitionContainer(blobs)(PartitionParameters(container=name), context)
    total = ContainerSummary()
    total.merge(partition.summary)
    for item in context.items:
        parameters = SummarizePrefixParameters.model_validate({"container": name, **item})
        total.merge(SummarizePrefix(blobs)(parameters, Context()).summary)

    assert partition.parts >= 30
    assert total.files == len(names)
    assert total.bytes == sum(len(blob.encode()) for blob in names)
    assert (total.rasters, total.vectors) == (241, 1)


def test_a_missing_container_fails_for_good(blobs: AzureBlobRepository) -> None:
    with pytest.raises(PermanentTaskError, match="container 'nowhere-at-all' does not exist"):
        ListBlobs(blobs)(ListBlobsParameters(container="nowhere-at-all"), Context())
    with pytest.raises(PermanentTaskError, match="container 'nowhere-at-all' does not exist"):
        PartitionContainer(blobs)(PartitionParameters(container="nowhere-at-all"), Context())
