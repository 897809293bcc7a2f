"""Queues and ports of one test."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.queue import QueueClient, QueueServiceClient

from local.stack.ports import free_ports


@pytest.fixture
def queue(storage_connection_string: str) -> Iterator[QueueClient]:
    """An empty queue of this test's own; removed after it with its poison queue."""
    with QueueServiceClient.from_connection_string(storage_connection_string) as service:
        client = service.create_queue(f"queue-{uuid.uuid4().hex[:12]}")
        yield client
        for name in (client.queue_name, f"{client.queue_name}-poison"):
            with contextlib.suppress(ResourceNotFoundError):
                service.delete_queue(name)


@pytest.fixture
def poison(queue: QueueClient, storage_connection_string: str) -> Iterator[QueueClient]:
    """The poison queue of `queue`, which does not exist yet."""
    with QueueClient.from_connection_string(
        storage_connection_string, f"{queue.queue_name}-poison"
    ) as client:
        yield client


@pytest.fixture
def port() -> int:
    """A free port."""
    return free_ports(1)[0]
