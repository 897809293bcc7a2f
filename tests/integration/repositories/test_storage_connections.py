"""Sends are concurrent, and calls of storage share connections: counted before the server, not timed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest
from azure.storage.blob import ContainerClient

from interfaces.queues import OutgoingMessage
from local.stack.ports import LOOPBACK
from repositories.blobs import AzureBlobRepository
from repositories.queues import SENDING_THREADS, AzureQueueRepository
from repositories.storage_account import StorageAccount
from tests.doubles.wire import Wire
from tests.fix_stack import QueueNames

MakeContainer = Callable[[], ContainerClient]
CALLS = 50
IDLED = 2
"""Connections that the server may close, because a busy machine left them idle for its five seconds."""


class MeetingAccount:
    """A storage account whose sends each wait until as many as there are sending threads go on together."""

    def __init__(self) -> None:
        self.meeting = threading.Barrier(SENDING_THREADS)

    def queue_service(self) -> MeetingAccount:
        return self

    def get_queue_client(self, queue: str, **options: Any) -> MeetingAccount:
        return self

    def send_message(self, body: str, **options: Any) -> None:
        self.meeting.wait(30)


def test_many_messages_are_on_their_way_at_the_same_time() -> None:
    queues = AzureQueueRepository(cast(StorageAccount, MeetingAccount()))
    messages = [OutgoingMessage(queue="tasks", body=str(i)) for i in range(8 * SENDING_THREADS)]
    # One that finds nobody beside it fails, as does everything after it.
    assert queues.send(messages) == [None] * len(messages)
    assert SENDING_THREADS >= 8


@pytest.fixture
def wires(storage_connection_string: str) -> Iterator[tuple[Wire, Wire, StorageAccount]]:
    """An account whose blob and queue services are each behind a wire."""
    parts = dict(part.split("=", 1) for part in storage_connection_string.strip(";").split(";"))

    def port(endpoint: str) -> int:
        return int(parts[endpoint].split("/")[2].rsplit(":", 1)[1])

    with Wire(port("BlobEndpoint")).serving() as blobs, Wire(port("QueueEndpoint")).serving() as queues:
        rerouted = storage_connection_string
        for endpoint, wire in (("BlobEndpoint", blobs), ("QueueEndpoint", queues)):
            rerouted = rerouted.replace(f"{LOOPBACK}:{port(endpoint)}/", f"{LOOPBACK}:{wire.port}/")
        yield blobs, queues, StorageAccount(rerouted)


def test_calls_of_the_blob_service_one_after_the_other_share_a_connection(
    wires: tuple[Wire, Wire, StorageAccount], container: MakeContainer
) -> None:
    wire, _, account = wires
    name = _filled(container())
    blobs = AzureBlobRepository(account)
    for i in range(CALLS):
        assert blobs.read(name, "a.txt", i % 3, 1) == b"abc"[i % 3 : i % 3 + 1]
    assert 1 <= wire.connections <= 1 + IDLED


def test_as_many_calls_at_once_as_a_worker_has_threads_share_as_many_connections(
    wires: tuple[Wire, Wire, StorageAccount], container: MakeContainer
) -> None:
    wire, _, account = wires
    name = _filled(container())
    blobs = AzureBlobRepository(account)
    threads = 24
    together = threading.Barrier(threads)

    def call(_: int) -> bytes:
        together.wait(30)
        return blobs.read(name, "a.txt")

    with ThreadPoolExecutor(threads) as pool:
        assert set(pool.map(call, range(4 * threads))) == {b"abc"}
    assert 1 < wire.connections <= threads + IDLED


def test_sends_share_as_many_connections_as_there_are_sending_threads(
    wires: tuple[Wire, Wire, StorageAccount], queue_names: QueueNames
) -> None:
    _, wire, account = wires
    queues = AzureQueueRepository(account)
    messages = [OutgoingMessage(queue=queue_names.tasks, body=str(i)) for i in range(CALLS)]
    assert queues.send(messages) == [None] * CALLS
    for message in messages:
        assert queues.send([message]) == [None]
    assert 1 < wire.connections <= SENDING_THREADS + IDLED


def _filled(client: ContainerClient) -> str:
    client.upload_blob("a.txt", b"abc")
    return str(client.container_name)
