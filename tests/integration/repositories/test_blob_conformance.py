"""What every implementation of the blob port does: the one on a storage account, and the tests' own."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.errors import BlobNotFound, Conflict
from repositories.blob_copies import BlobCopies
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from tests.doubles.copying_endpoint import CopyingEndpoint
from tests.doubles.memory_blobs import MemoryBlobs

MakeContainer = Callable[[], ContainerClient]
TIFF = "image/tiff; application=geotiff; profile=cloud-optimized"
MANY = 1_000_000
"""Larger than the blocks and the single request of the small copies below."""


@pytest.fixture(params=["memory", "azure", "azure, of blocks", "azure, of blocks through this process"])
def blobs(request: pytest.FixtureRequest) -> Iterator[BlobRepository]:
    """One of the implementations; that on a storage account also with limits that small blobs exceed."""
    if request.param == "memory":
        yield MemoryBlobs()
        return
    connection_string = request.getfixturevalue("storage_connection_string")
    if request.param == "azure, of blocks":
        with CopyingEndpoint(connection_string) as endpoint:
            account = StorageAccount(endpoint.connection_string)
            yield AzureBlobRepository(account, BlobCopies(account, 1000, 300_000))
        return
    account = StorageAccount(connection_string)
    limits = (1000, 300_000) if "blocks" in request.param else ()
    yield AzureBlobRepository(account, BlobCopies(account, *limits))


@pytest.fixture
def name(blobs: BlobRepository, container: MakeContainer) -> str:
    return str(container().container_name) if isinstance(blobs, AzureBlobRepository) else "target"


@pytest.fixture
def source(blobs: BlobRepository, container: MakeContainer) -> str:
    return str(container().container_name) if isinstance(blobs, AzureBlobRepository) else "source"


def copy(
    blobs: BlobRepository, source: str, name: str, blob: str = "a", *, if_unchanged: str | None = None
) -> BlobProperties:
    return blobs.copy(
        source,
        blob,
        name,
        "there/é 1?#.tif",
        content_type=TIFF,
        metadata={"publication": blob},
        if_unchanged=if_unchanged,
    )


def content(size: int, seed: int = 0) -> bytes:
    return bytes((i * 7 + i // 251 + seed) % 256 for i in range(size))


@pytest.mark.parametrize("size", [0, 10, MANY])
def test_a_copy_has_the_bytes_and_what_it_was_given(
    blobs: BlobRepository, source: str, name: str, size: int
) -> None:
    data = content(size)
    blobs.write_stream(source, "a", iter([data]), content_type=TIFF, metadata={"scratch": "yes"})
    copied = copy(blobs, source, name)
    found = blobs.properties(name, "there/é 1?#.tif")
    assert blobs.read(name, "there/é 1?#.tif") == data
    assert (found.size, found.content_type, found.metadata) == (size, TIFF, {"publication": "a"})
    assert found.content_md5 == hashlib.md5(data).hexdigest()
    told = (copied.etag, copied.size, copied.content_md5, copied.metadata, copied.content_type)
    assert told == (found.etag, found.size, found.content_md5, found.metadata, found.content_type)
    assert blobs.read(source, "a") == data


@pytest.mark.parametrize("size", [10, MANY])
def test_a_source_of_another_content_type_and_a_copy_without_metadata(
    blobs: BlobRepository, source: str, name: str, size: int
) -> None:
    blobs.write_stream(source, "a", iter([content(size)]), content_type="x/other", metadata={"k": "v"})
    blobs.copy(source, "a", name, "b", content_type=TIFF, metadata={}, if_unchanged=None)
    found = blobs.properties(name, "b")
    assert (found.size, found.content_type, found.metadata) == (size, TIFF, {})
    assert found.content_md5 == hashlib.md5(content(size)).hexdigest()


@pytest.mark.parametrize("size", [10, MANY])
def test_a_copy_is_refused_where_the_target_is_not_as_it_was_seen(
    blobs: BlobRepository, source: str, name: str, size: int
) -> None:
    for seed, blob in enumerate("ab"):
        blobs.write_stream(source, blob, iter([content(size, seed)]), content_type=TIFF)
    with pytest.raises(Conflict):
        copy(blobs, source, name, if_unchanged="0x8DD000000000000")
    first = copy(blobs, source, name)
    with pytest.raises(Conflict):
        copy(blobs, source, name, "b")
    second = copy(blobs, source, name, "b", if_unchanged=first.etag)
    with pytest.raises(Conflict):
        copy(blobs, source, name, if_unchanged=first.etag)
    found = blobs.properties(name, "there/é 1?#.tif")
    assert (found.etag, found.metadata) == (second.etag, {"publication": "b"})
    assert blobs.read(name, "there/é 1?#.tif") == content(size, 1)


@pytest.mark.parametrize("size", [10, MANY])
def test_of_many_copies_at_once_one_is_made_and_the_others_are_refused(
    blobs: BlobRepository, source: str, name: str, size: int
) -> None:
    names = "abcdef"
    for seed, blob in enumerate(names):
        blobs.write_stream(source, blob, iter([content(size, seed)]), content_type=TIFF)
    ready = threading.Barrier(len(names))

    def attempt(blob: str) -> str | None:
        ready.wait(10)
        try:
            return copy(blobs, source, name, blob).etag
        except Conflict:
            return None

    with ThreadPoolExecutor(len(names)) as pool:
        etags = list(pool.map(attempt, names))
    [winner] = [i for i, etag in enumerate(etags) if etag]
    found = blobs.properties(name, "there/é 1?#.tif")
    assert (found.etag, found.metadata) == (etags[winner], {"publication": names[winner]})
    assert blobs.read(name, "there/é 1?#.tif") == content(size, winner)


def test_a_source_that_is_missing_is_named(blobs: BlobRepository, source: str, name: str) -> None:
    missing = f"missing-{uuid.uuid4().hex}"
    with pytest.raises(BlobNotFound, match=missing):
        copy(blobs, source, name, missing)


def test_a_source_that_is_not_the_one_asked_for_is_not_copied(
    blobs: BlobRepository, source: str, name: str
) -> None:
    blobs.write(source, "a", b"x")
    asked = blobs.properties(source, "a").etag
    options: dict[str, Any] = {"content_type": TIFF, "metadata": {}, "if_unchanged": None}
    blobs.write(source, "a", b"y")
    with pytest.raises(Conflict, match="'a' in container"):
        blobs.copy(source, "a", name, "b", source_etag=asked, **options)
    blobs.copy(source, "a", name, "b", source_etag=blobs.properties(source, "a").etag, **options)
    assert blobs.read(name, "b") == b"y"


def test_a_stream_keeps_its_metadata_and_checksum(blobs: BlobRepository, name: str) -> None:
    for size in (0, 10, 9 * 1024**2):
        chunks = [content(1000, seed) for seed in range(size // 1000)] or [content(size)]
        blobs.write_stream(name, "a", iter(chunks), content_type="x/y", metadata={"k": "v"})
        found, data = blobs.properties(name, "a"), b"".join(chunks)
        assert (found.size, found.content_type, found.metadata) == (len(data), "x/y", {"k": "v"})
        assert found.content_md5 == hashlib.md5(data).hexdigest()
        assert blobs.read(name, "a") == data


def test_each_writing_gives_another_etag(blobs: BlobRepository, name: str) -> None:
    etags = set()
    for _ in range(3):
        blobs.write(name, "a", b"the same")
        etags.add(blobs.properties(name, "a").etag)
    assert len(etags - {None}) == 3
