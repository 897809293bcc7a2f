"""The blob repository against a real blob service."""

from __future__ import annotations

import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from azure.storage.blob import ContainerClient

from interfaces.errors import (
    AccessDenied,
    BlobNotFound,
    Conflict,
    ContainerNotFound,
    InvalidRequest,
    ServiceUnavailable,
)
from repositories.blob_blocks import BLOCK_BYTES
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from repositories.traffic import BLOB_TRAFFIC

MakeContainer = Callable[[], ContainerClient]


@pytest.fixture
def blobs(storage_connection_string: str) -> AzureBlobRepository:
    return AzureBlobRepository(StorageAccount(storage_connection_string))


@pytest.fixture
def name(container: MakeContainer) -> str:
    return str(container().container_name)


def test_what_is_written_is_read_whole_or_in_part(blobs: AzureBlobRepository, name: str) -> None:
    blobs.write(name, "a", b"0123456789")

    assert blobs.read(name, "a") == b"0123456789"
    assert blobs.read(name, "a", 3) == b"3456789"
    assert blobs.read(name, "a", 3, 2) == b"34"
    assert blobs.read(name, "a", 8, 10) == b"89"
    assert blobs.read(name, "a", 10, 1) == b""
    assert blobs.read(name, "a", 0, 0) == b""


def test_bytes_read_and_written_are_counted(blobs: AzureBlobRepository, name: str) -> None:
    read, written = BLOB_TRAFFIC.read, BLOB_TRAFFIC.written
    blobs.write(name, "a", b"0123456789")
    blobs.write_stream(name, "b", [b"x" * 1000])
    blobs.write_stream(name, "c", [b"x" * (BLOCK_BYTES + 1)])
    assert BLOB_TRAFFIC.written - written == 10 + 1000 + BLOCK_BYTES + 1
    blobs.read(name, "a", 3)
    blobs.read(name, "a", 20, 5)
    assert BLOB_TRAFFIC.read - read == 7


def test_an_empty_blob_reads_as_nothing(blobs: AzureBlobRepository, name: str) -> None:
    blobs.write(name, "empty", b"")

    assert blobs.read(name, "empty") == b""
    assert blobs.read(name, "empty", 0, 512) == b""


def test_writing_again_replaces_and_answers_a_url_without_a_signature(
    blobs: AzureBlobRepository, name: str
) -> None:
    blobs.write(name, "a", b"first, and longer")
    url = blobs.write(name, "a", b"second", content_type="text/plain")

    assert blobs.read(name, "a") == b"second"
    assert url.endswith(f"/{name}/a")
    assert "?" not in url


def test_properties_and_user_metadata(blobs: AzureBlobRepository, name: str) -> None:
    blobs.write(name, "x/é 1?#.txt", b"hello", content_type="text/plain", metadata={"owner": "me"})

    found = blobs.properties(name, "x/é 1?#.txt")

    assert (found.name, found.size, found.content_type) == ("x/é 1?#.txt", 5, "text/plain")
    assert found.metadata == {"owner": "me"}
    assert found.blob_type == "BlockBlob"
    assert found.last_modified is not None
    assert found.last_modified.tzinfo is not None
    assert found.content_md5 == "5d41402abc4b2a76b9719d911017c592"
    assert found.etag is not None
    assert '"' not in found.etag


def test_a_listing_is_in_order_of_name_page_by_page(blobs: AzureBlobRepository, name: str) -> None:
    for blob in ("b/2", "a", "b/1", "c", "b.txt"):
        blobs.write(name, blob, b"x")

    pages = list(blobs.list_pages(name, page_size=2))

    assert [[item.name for item in page] for page in pages] == [["a", "b.txt"], ["b/1", "b/2"], ["c"]]
    assert [item.name for page in blobs.list_pages(name, "b/") for item in page] == ["b/1", "b/2"]
    assert [item for page in blobs.list_pages(name, "zz") for item in page] == []


def test_a_listed_blob_has_the_same_etag_as_its_properties(blobs: AzureBlobRepository, name: str) -> None:
    blobs.write(name, "a", b"x")

    ((item,),) = blobs.list_pages(name)

    assert item.etag == blobs.properties(name, "a").etag


def test_one_level_has_blobs_and_prefixes(blobs: AzureBlobRepository, name: str) -> None:
    for blob in ("a/1", "a/b/2", "c/3", "d"):
        blobs.write(name, blob, b"x")

    root = list(blobs.list_level(name))
    below = list(blobs.list_level(name, "a/"))

    assert {entry for entry in root if isinstance(entry, str)} == {"a/", "c/"}
    assert [entry.name for entry in root if not isinstance(entry, str)] == ["d"]
    assert {entry for entry in below if isinstance(entry, str)} == {"a/b/"}
    assert [entry.name for entry in below if not isinstance(entry, str)] == ["a/1"]


def test_a_missing_container_and_a_missing_blob_are_told_apart(blobs: AzureBlobRepository, name: str) -> None:
    calls: list[Callable[[str], object]] = [
        lambda container: blobs.properties(container, "nothing"),
        lambda container: blobs.read(container, "nothing"),
        lambda container: blobs.read(container, "nothing", 0, 10),
    ]
    for call in calls:
        with pytest.raises(BlobNotFound, match=f"'nothing' does not exist in container '{name}'"):
            call(name)
        with pytest.raises(ContainerNotFound, match="'nowhere' does not exist"):
            call("nowhere")
    with pytest.raises(ContainerNotFound, match="'nowhere'"):
        next(blobs.list_pages("nowhere"))
    with pytest.raises(ContainerNotFound, match="'nowhere'"):
        next(blobs.list_level("nowhere"))
    with pytest.raises(ContainerNotFound, match="'nowhere'"):
        blobs.write("nowhere", "a", b"x")


def test_a_name_that_storage_refuses_is_an_invalid_request(blobs: AzureBlobRepository) -> None:
    with pytest.raises(InvalidRequest):
        next(blobs.list_pages("Not A Name"))


def test_a_wrong_key_is_access_denied_and_the_message_does_not_hold_it(
    storage_connection_string: str, name: str
) -> None:
    parts = dict(part.split("=", 1) for part in storage_connection_string.strip(";").split(";"))
    key = parts["AccountKey"]
    wrong = "AAAA" + key[4:]
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string.replace(key, wrong)))

    with pytest.raises(AccessDenied) as caught:
        blobs.properties(name, "a")

    assert wrong not in str(caught.value)
    assert "Signature" not in str(caught.value)


def test_storage_that_cannot_be_reached_is_unavailable(storage_connection_string: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parts = storage_connection_string.strip(";").split(";")
    parts = [part for part in parts if "Endpoint=" not in part]
    nowhere = ";".join([*parts, f"BlobEndpoint=http://127.0.0.1:{port}/devstoreaccount1"])

    with pytest.raises(ServiceUnavailable) as caught:
        AzureBlobRepository(StorageAccount(nowhere, retries=0)).ping()

    assert str(port) not in str(caught.value)


def test_a_malformed_connection_string_is_unavailable_and_is_not_shown() -> None:
    secret = "AccountKey=c2VjcmV0;nonsense"

    with pytest.raises(ServiceUnavailable) as caught:
        AzureBlobRepository(StorageAccount(secret)).ping()

    assert "c2VjcmV0" not in str(caught.value)


def test_storage_that_is_not_configured_is_unavailable() -> None:
    with pytest.raises(ServiceUnavailable, match="AzureWebJobsStorage"):
        AzureBlobRepository(StorageAccount()).ping()


def test_a_container_is_made_once(blobs: AzureBlobRepository, container: MakeContainer) -> None:
    client = container()
    blobs.ensure_container(client.container_name)
    client.delete_container()
    blobs.ensure_container(client.container_name)

    assert list(blobs.list_pages(client.container_name)) in ([], [[]])


def test_many_threads_share_one_client(storage_connection_string: str, name: str) -> None:
    account = StorageAccount(storage_connection_string)
    blobs = AzureBlobRepository(account)
    clients: set[int] = set()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            clients.add(id(account.blob_service()))
            for i in range(10):
                blobs.write(name, f"{number}/{i}", b"x" * number)
                assert blobs.read(name, f"{number}/{i}") == b"x" * number
        except BaseException as error:  # noqa: BLE001 - reported by the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert len(clients) == 1
    assert sum(len(page) for page in blobs.list_pages(name)) == 160


def test_ping_answers(blobs: AzureBlobRepository) -> None:
    blobs.ping()


def test_a_blob_written_from_pieces_is_there_whole_or_not_at_all(
    blobs: AzureBlobRepository, name: str
) -> None:
    class Interrupted(Exception):
        pass

    def interrupted() -> Iterator[bytes]:
        yield b"x" * 5 * 1024**2
        assert list(blobs.list_pages(name)) in ([], [[]])
        yield b"y" * 5 * 1024**2
        raise Interrupted

    with pytest.raises(Interrupted):
        blobs.write_stream(name, "a", interrupted())
    assert list(blobs.list_pages(name)) in ([], [[]])

    url = blobs.write_stream(name, "a", (bytes([i]) * 1000 for i in range(5)), content_type="text/plain")
    assert blobs.read(name, "a") == b"".join(bytes([i]) * 1000 for i in range(5))
    assert url.endswith(f"/{name}/a")
    with pytest.raises(Interrupted):
        blobs.write_stream(name, "a", interrupted_at_once(Interrupted()))
    assert blobs.properties(name, "a").size == 5000
    assert blobs.write_stream(name, "empty", iter(())).endswith("/empty")
    assert blobs.read(name, "empty") == b""


def interrupted_at_once(error: Exception) -> Iterator[bytes]:
    yield b"z"
    raise error


def test_a_large_blob_is_written_from_pieces_in_bounded_memory(blobs: AzureBlobRepository, name: str) -> None:
    tracemalloc.start()
    blobs.write_stream(name, "large", (b"x" * 256 * 1024 for _ in range(256)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert blobs.properties(name, "large").size == 64 * 1024**2
    assert peak < 32 * 1024**2


def test_a_blob_that_cannot_be_deleted_keeps_no_other_and_is_no_outage(
    blobs: AzureBlobRepository, container: MakeContainer
) -> None:
    client = container()
    name = str(client.container_name)
    for blob in ("a", "held", "z"):
        client.upload_blob(blob, b"")
    lease = client.get_blob_client("held").acquire_lease()
    with pytest.raises(Conflict, match=r"412.*'held'"):
        blobs.delete(name, ["a", "held", "z"])
    assert [blob.name for blob in client.list_blobs()] == ["held"]
    lease.release()
    assert blobs.delete(name, ["held"]) == 1


def test_blobs_are_deleted_and_those_that_are_not_there_do_not_matter(
    blobs: AzureBlobRepository, name: str
) -> None:
    names = [f"x/é {i}?#.json" for i in range(300)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda blob: blobs.write(name, blob, b"{}"), [*names, "kept"]))

    assert blobs.delete(name, ["nothing", *names]) == 300
    assert [item.name for page in blobs.list_pages(name) for item in page] == ["kept"]
    assert blobs.delete(name, names) == 0
    assert blobs.delete(name, []) == 0
    assert blobs.delete("nowhere", ["a"]) == 0
