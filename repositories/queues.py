"""Storage queues through azure-storage-queue."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from itertools import repeat
from math import inf
from time import monotonic
from typing import TYPE_CHECKING

from interfaces.errors import ServiceUnavailable
from interfaces.queues import OutgoingMessage, PeekedMessage
from interfaces.settings import Settings

from .blobs import storage_account
from .storage_account import StorageAccount
from .storage_errors import storage_errors

if TYPE_CHECKING:
    from azure.storage.queue import QueueClient

SENDING_THREADS = 8
"""Enough to hide the round trip: a queue takes about 2,000 messages/s."""
NEVER_EXPIRES = -1
MAX_DELAY_SECONDS = 7 * 24 * 3600
"""Longest visibility timeout that the queue service takes."""


class AzureQueueRepository:
    """`QueueRepository` on an Azure storage account or Azurite. Thread-safe.

    Bodies travel as base64 text, the Functions host's default; the app decodes them itself
    (docs/adr/0001).
    """

    def __init__(self, account: StorageAccount) -> None:
        self._account = account
        self._lock = threading.Lock()
        self._clients: dict[str, QueueClient] = {}
        self._senders: ThreadPoolExecutor | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> AzureQueueRepository:
        """For the account that the settings name."""
        return cls(storage_account(settings))

    def send(self, messages: Sequence[OutgoingMessage], within: float = inf) -> list[BaseException | None]:
        """Send all, concurrently; the answer has, for each message, None or what went wrong."""
        end = monotonic() + within
        if len(messages) == 1:
            return [self._try_send(messages[0], end)]
        return list(self._sender_pool().map(self._try_send, messages, repeat(end)))

    def peek(self, queue: str, count: int = 32) -> list[PeekedMessage]:
        """Up to 32 messages from the front of the queue, untouched; bodies decoded where they are base64."""
        with storage_errors(queue=queue):
            peeked = self._client(queue).peek_messages(max_messages=min(count, 32))
        return [
            PeekedMessage(
                message_id=str(message.id),
                dequeue_count=message.dequeue_count or 0,
                body=_decoded(message.content),
                inserted_at=message.inserted_on or datetime.now(UTC),
            )
            for message in peeked
        ]

    def length(self, queue: str) -> int:
        """Approximate number of messages, invisible ones included."""
        with storage_errors(queue=queue):
            return self._client(queue).get_queue_properties().approximate_message_count or 0

    def ensure(self, queue: str) -> None:
        """Create the queue unless it exists."""
        with storage_errors(queue=queue):
            from azure.core.exceptions import ResourceExistsError

            with suppress(ResourceExistsError):
                self._client(queue).create_queue()

    def _try_send(self, message: OutgoingMessage, end: float) -> BaseException | None:
        if monotonic() >= end:
            return ServiceUnavailable("not sent in time")
        # The result per message is the contract: one that fails must not hide what became of the others.
        try:
            with storage_errors(queue=message.queue):
                self._client(message.queue).send_message(
                    message.body,
                    visibility_timeout=min(message.delay_seconds, MAX_DELAY_SECONDS),
                    time_to_live=NEVER_EXPIRES,
                )
        except Exception as error:  # noqa: BLE001
            return error
        return None

    def _client(self, queue: str) -> QueueClient:
        from azure.storage.queue import TextBase64EncodePolicy

        service = self._account.queue_service()
        with self._lock:
            if queue not in self._clients:
                # The SDK's decoding would raise at a message that is not base64; peek must show it.
                self._clients[queue] = service.get_queue_client(
                    queue, message_encode_policy=TextBase64EncodePolicy()
                )
            return self._clients[queue]

    def _sender_pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._senders is None:
                self._senders = ThreadPoolExecutor(SENDING_THREADS, thread_name_prefix="queue-send")
            return self._senders


def _decoded(content: object) -> str:
    """The body as text: decoded when it is base64 of UTF-8, else as it lies in the queue."""
    text = content if isinstance(content, str) else str(content)
    try:
        return base64.b64decode(text, validate=True).decode()
    except (binascii.Error, ValueError):
        return text
