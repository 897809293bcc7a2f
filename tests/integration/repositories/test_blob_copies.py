"""How copies inside a storage account are asked for, and what keeps them from being seen by others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, cast
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, ContainerClient

from interfaces.blobs import BlobProperties
from interfaces.errors import BlobNotFound, Conflict, ServiceUnavailable
from repositories.blob_blocks import Blocks
from repositories.blob_copies import BlobCopies
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from repositories.storage_errors import translate
from tests.doubles.copying_endpoint import CopyingEndpoint

MakeContainer = Callable[[], ContainerClient]


@pytest.fixture
def endpoint(storage_connection_string: str) -> Iterator[CopyingEndpoint]:
    with CopyingEndpoint(storage_connection_string) as endpoint:
        yield endpoint


@pytest.fixture
def name(container: MakeContainer) -> str:
    return str(container().container_name)


def repository(connection_string: str, *limits: int) -> AzureBlobRepository:
    account = StorageAccount(connection_string)
    return AzureBlobRepository(account, BlobCopies(account, *limits))


def copy(blobs: AzureBlobRepository, name: str) -> BlobProperties:
    return blobs.copy(name, "a", name, "b", content_type="x/y", metadata={"k": "v"}, if_unchanged=None)


@pytest.mark.parametrize("limits", [(), (1000, 4000)])
def test_the_source_is_signed_for_reading_that_one_blob_for_a_short_time(
    endpoint: CopyingEndpoint, name: str, limits: tuple[int, ...]
) -> None:
    blobs = repository(endpoint.connection_string, *limits)
    blobs.write(name, "a", b"x" * 10_000, content_type="x/y")
    blobs.write(name, "other", b"x")
    copy(blobs, name)
    urls = endpoint.copied_from()
    assert len(urls) == (3 if limits else 1)
    for url in urls:
        query = parse_qs(urlsplit(url).query)
        assert (query["sr"], query["sp"]) == (["b"], ["r"])
        ends = time.strptime(query["se"][0], "%Y-%m-%dT%H:%M:%SZ")
        assert 0 < time.mktime(ends) - time.mktime(time.gmtime()) <= 900
        with urlopen(url) as answer:
            assert answer.read() == b"x" * 10_000
        writing = Request(url, b"y", {"x-ms-blob-type": "BlockBlob"}, method="PUT")
        for wrong in (Request(url.replace("/a?", "/other?")), writing):
            with pytest.raises(HTTPError, match="403"):
                urlopen(wrong)


@pytest.mark.parametrize("limits", [(), (1000, 4000)])
def test_neither_signatures_nor_keys_are_logged(
    endpoint: CopyingEndpoint, name: str, limits: tuple[int, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    blobs = repository(endpoint.connection_string, *limits)
    blobs.write(name, "a", b"x" * 10_000, content_type="x/y")
    copy(blobs, name)
    signatures = {parse_qs(urlsplit(url).query)["sig"][0] for url in endpoint.copied_from()}
    raw = {part.removeprefix("sig=") for url in endpoint.copied_from() for part in url.split("&")}
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert len(caplog.records) > 3
    for secret in signatures | {part for part in raw if part.endswith(("%3D", "="))}:
        assert secret not in logged


class _Answers:
    """A client of a blob that keeps what it is asked, and has done it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []

    def __getattr__(self, method: str) -> Callable[..., dict[str, Any]]:
        def call(*arguments: Any, **options: Any) -> dict[str, Any]:
            self.asked.append((method, arguments, options))
            return {"etag": '"0x2"', "last_modified": None}

        return call


@pytest.mark.parametrize("size", [10, 10_000])
def test_with_an_identity_its_token_goes_beside_a_plain_url(
    monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    account = StorageAccount(account_name="rasters")
    tokens = iter(f"token-{i}" for i in range(9))
    identity = SimpleNamespace(
        get_token=lambda *scopes, **_: AccessToken(f"{next(tokens)} {scopes[0]}", int(time.time()) + 3600)
    )
    monkeypatch.setattr(account, "_credential", identity)
    target = _Answers()
    BlobCopies(account, 1000, 4000).copy(
        BlobProperties(name="é a", size=size, etag="0x1", content_type="x/y"),
        "scratch",
        cast(BlobClient, target),
        content_type="x/y",
        metadata={"k": "v"},
        if_unchanged=None,
    )
    copies = [(call, options) for call, *_, options in target.asked if "source_authorization" in options]
    assert len(copies) == (1 if size == 10 else 3)
    for i, (_, options) in enumerate(copies):
        assert options["source_authorization"] == f"Bearer token-{i} https://storage.azure.com/.default"
    for _, arguments, _ in target.asked[: len(copies)]:
        assert "https://rasters.blob.core.windows.net/scratch/%C3%A9%20a" in arguments
    assert all("sig=" not in str(call) for call in target.asked)


def test_damage_may_be_mended_by_another_attempt() -> None:
    damaged = HttpResponseError("x")
    damaged.status_code, damaged.error_code = 400, "Md5Mismatch"  # type: ignore[attr-defined]
    assert isinstance(translate(damaged, container="c", name="a", queue=""), ServiceUnavailable)


def test_what_is_damaged_on_its_way_is_refused(endpoint: CopyingEndpoint, name: str) -> None:
    blobs = repository(endpoint.connection_string)
    for size in (10, 9 * 1024**2):
        endpoint.damages = 1
        # Azurite's code for what the service calls Md5Mismatch.
        with pytest.raises(Conflict, match="400 InvalidOperation"):
            blobs.write_stream(name, "a", iter([b"x" * size]))
        assert list(blobs.list_pages(name)) in ([], [[]])


def test_a_reader_sees_one_whole_copy_or_another(storage_connection_string: str, name: str) -> None:
    blobs = repository(storage_connection_string, 1000, 300_000)
    sizes = {bytes([i]): 200_000 * i for i in (1, 2, 3)}
    for fill, size in sizes.items():
        blobs.write(name, fill.hex(), fill * size, content_type="x/y")
    etag: str | None = None
    with ThreadPoolExecutor(2) as pool:
        writing = True

        def read() -> int:
            seen = 0
            while writing:
                try:
                    data = blobs.read(name, "b")
                except (BlobNotFound, Conflict):
                    # Nothing is there yet, or it changed while it was read.
                    continue
                assert len(data) == sizes[data[:1]]
                assert not data.strip(data[:1])
                seen += 1
            return seen

        readers = [pool.submit(read) for _ in range(2)]
        for i in range(30):
            source = bytes([i % 3 + 1]).hex()
            etag = blobs.copy(
                name, source, name, "b", content_type="x/y", metadata={"i": str(i)}, if_unchanged=etag
            ).etag
        writing = False
        assert sum(reader.result(30) for reader in readers) > 3


def test_two_writers_of_one_blob_never_mix_their_blocks(storage_connection_string: str, name: str) -> None:
    with (
        BlobClient.from_connection_string(storage_connection_string, name, "a") as client,
        BlobClient.from_connection_string(storage_connection_string, name, "a") as other,
    ):
        first, second = Blocks(client), Blocks(other)
        for _ in range(3):
            first.stage([b"1" * 1000])
            second.stage([b"2" * 1000])
        first.commit(content_type="x/y", md5=first.md5, metadata=None)
        assert client.download_blob().readall() == b"1" * 3000
