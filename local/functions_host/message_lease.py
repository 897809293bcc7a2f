"""Keeps a message invisible while its function runs.

The queue trigger takes messages under a lease of ten minutes that no setting changes, and renews it at half
of that time while the function runs. `visibilityTimeout` of host.json is something else: the delay after a
failure. (WebJobs SDK, `QueueListener` and `UpdateQueueMessageVisibilityCommand`.)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from azure.core.exceptions import AzureError
from azure.storage.queue.aio import QueueClient

from local.functions_host.received_message import ReceivedMessage

LEASE_SECONDS = 600.0
_MINIMUM_RENEWAL_SECONDS = 60.0

logger = logging.getLogger("Host.Queues")


@contextlib.asynccontextmanager
async def keep_lease(queue: QueueClient, message: ReceivedMessage, seconds: float) -> AsyncIterator[None]:
    """Renew the lease of the message until the block ends; its pop receipt follows.

    A renewal under way is waited for, because the message is settled with the pop receipt that it brings.
    """
    finished = asyncio.Event()
    task = asyncio.create_task(_renew(queue, message, seconds, finished))
    try:
        yield
    finally:
        finished.set()
        await task


async def _renew(
    queue: QueueClient, message: ReceivedMessage, seconds: float, finished: asyncio.Event
) -> None:
    delay = seconds / 2
    while not await _happens_within(finished, delay):
        try:
            renewed = await queue.update_message(
                message.id, message.pop_receipt, visibility_timeout=int(seconds)
            )
        except AzureError as error:
            if getattr(error, "status_code", None) in (400, 404, 409):
                # Somebody else has the message, or it or its queue is gone: nothing to keep.
                return
            # Sooner and sooner, as the host's LinearSpeedupStrategy does.
            delay = max(min(_MINIMUM_RENEWAL_SECONDS, seconds / 2), delay / 2)
            logger.warning("The lease of message %s could not be renewed.", message.id)
            continue
        message.pop_receipt = str(renewed.pop_receipt)
        delay = seconds / 2


async def _happens_within(event: asyncio.Event, seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
