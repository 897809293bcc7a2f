"""What happens to one message before and after its function ran.

The WebJobs SDK's `QueueProcessor`: success deletes the message; failure makes it visible again after
`visibilityTimeout`, or moves it to `<queue>-poison` when it was dequeued `maxDequeueCount` times.
https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#poison-messages
"""

from __future__ import annotations

import logging
import re

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from local.functions_host.host_json import QueueOptions
from local.functions_host.queue_watcher import QueueWatcher
from local.functions_host.received_message import ReceivedMessage

POISON_SUFFIX = "-poison"

_QUEUE_NAME = re.compile(r"^[a-z0-9](?:-?[a-z0-9])+$")

logger = logging.getLogger("Host.Queues")


def poison_queue_name(queue_name: str) -> str | None:
    """Return the name of the poison queue; None for a poison queue itself and when the name gets too long."""
    name = queue_name + POISON_SUFFIX
    if queue_name.endswith(POISON_SUFFIX) or len(name) > 63:
        return None
    return name


def is_valid_queue_name(name: str) -> bool:
    """https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata#queue-names"""
    return 3 <= len(name) <= 63 and _QUEUE_NAME.match(name) is not None


class QueueProcessor:
    """Deletes, releases and moves the messages of one queue. `poison` is None for a queue without one."""

    def __init__(
        self, queue: QueueClient, poison: QueueClient | None, options: QueueOptions, watcher: QueueWatcher
    ) -> None:
        self._queue = queue
        self._poison = poison
        self._options = options
        self._watcher = watcher

    async def begin(self, message: ReceivedMessage) -> bool:
        """Tell whether to run the function; a message dequeued too often goes to the poison queue instead."""
        if message.dequeue_count <= self._options.max_dequeue_count:
            return True
        await self.move_to_poison_queue(message)
        return False

    async def complete(self, message: ReceivedMessage, *, succeeded: bool) -> None:
        """Settle the message after its function ran."""
        if succeeded:
            await self._delete(message)
        elif self._poison is None:
            # Without a poison queue a failed message stays invisible until its lease ends: releasing it
            # would make it come back at once for ever.
            return
        elif message.dequeue_count >= self._options.max_dequeue_count:
            await self.move_to_poison_queue(message)
        else:
            await self._release(message)

    async def move_to_poison_queue(self, message: ReceivedMessage) -> None:
        """Put the message, exactly as it is, into the poison queue and delete it from its own."""
        if self._poison is None:
            return
        logger.warning(
            "Message %s of queue '%s' has reached MaxDequeueCount of %d or cannot be decoded. "
            "Moving message to queue '%s'.",
            message.id,
            self._queue.queue_name,
            self._options.max_dequeue_count,
            self._poison.queue_name,
        )
        try:
            await self._poison.send_message(message.text)
        except ResourceNotFoundError:
            await self._poison.create_queue()
            await self._poison.send_message(message.text)
        self._watcher.notify(self._poison.queue_name)
        await self._delete(message)

    async def _delete(self, message: ReceivedMessage) -> None:
        try:
            await self._queue.delete_message(message.id, message.pop_receipt)
        except HttpResponseError as error:
            self._ignore_if_gone(error, message)

    async def _release(self, message: ReceivedMessage) -> None:
        seconds = int(self._options.visibility_timeout.total_seconds())
        try:
            await self._queue.update_message(message.id, message.pop_receipt, visibility_timeout=seconds)
        except HttpResponseError as error:
            self._ignore_if_gone(error, message)

    def _ignore_if_gone(self, error: AzureError, message: ReceivedMessage) -> None:
        """Pass over a message that somebody else took or deleted, and a queue that is gone."""
        status = getattr(error, "status_code", None)
        if status not in (400, 404, 409):
            raise error
        logger.debug("Message %s of queue '%s' is no longer ours.", message.id, self._queue.queue_name)
