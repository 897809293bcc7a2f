"""Queue triggers: polls one queue and runs one function for each message.

The WebJobs SDK's `QueueListener`
(https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger#concurrency).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from local.functions_host.backoff import RandomizedExponentialBackoff
from local.functions_host.errors import MessageNotDecodable
from local.functions_host.function_app import FunctionDefinition
from local.functions_host.host_json import QueueOptions
from local.functions_host.invocation import InvocationResult, Invoker
from local.functions_host.message_lease import LEASE_SECONDS, keep_lease
from local.functions_host.queue_processor import QueueProcessor
from local.functions_host.received_message import ReceivedMessage

logger = logging.getLogger("Host.Queues")


class QueueListener:
    """Runs `function` for the messages of `queue`.

    It takes up to `batchSize` messages at once, and the next batch as soon as no more than
    `newBatchThreshold` are being processed; so at most their sum runs at a time. An empty queue is polled
    ever more rarely, up to `maxPollingInterval`. A queue that does not exist counts as empty.
    """

    def __init__(
        self,
        function: FunctionDefinition,
        queue: QueueClient,
        processor: QueueProcessor,
        invoker: Invoker,
        options: QueueOptions,
        *,
        lease_seconds: float = LEASE_SECONDS,
    ) -> None:
        self._function = function
        self._queue = queue
        self._processor = processor
        self._invoker = invoker
        self._options = options
        self._lease_seconds = lease_seconds
        self._backoff = RandomizedExponentialBackoff(options.max_polling_interval.total_seconds())
        self._processing: set[asyncio.Task[None]] = set()
        self._found_since_delay = False
        self._failing = False
        self._wake = asyncio.Event()
        self._stopping = asyncio.Event()

    def notify(self) -> None:
        """A message was added: poll now."""
        self._wake.set()

    async def run(self) -> None:
        """Poll until `stop` is called."""
        while not self._stopping.is_set():
            self._wake.clear()
            if await self._poll():
                self._found_since_delay = True
                await self._until_threshold()
            else:
                await self._until_next_poll()

    def stop(self) -> None:
        """Take no further messages; those in process go on."""
        self._stopping.set()
        self._wake.set()

    async def drain(self) -> None:
        """Wait until the messages in process are settled."""
        if self._processing:
            await asyncio.wait(self._processing)

    async def _poll(self) -> bool:
        """Start the next batch; tell whether there was any message to process."""
        try:
            messages = await self._receive()
        except ResourceNotFoundError:
            return False
        except AzureError as error:
            if not self._failing:
                logger.warning("Queue '%s' cannot be polled: %s", self._queue.queue_name, _first_line(error))
            self._failing = True
            return False
        self._failing = False
        for message in messages:
            task = asyncio.create_task(self._process(message))
            self._processing.add(task)
            task.add_done_callback(self._processing.discard)
        return bool(messages)

    async def _receive(self) -> Sequence[ReceivedMessage]:
        """Take up to `batchSize` messages under a lease of ten minutes, which host.json cannot change.

        A message that is not in the configured encoding goes to the poison queue at once, whatever its
        dequeue count: no function can be given it.
        """
        pager = self._queue.receive_messages(
            messages_per_page=self._options.batch_size,
            max_messages=self._options.batch_size,
            visibility_timeout=int(self._lease_seconds),
            retry_hook=self._say_what_was_lost,
        )
        # One page is one request; going on would ask for more until the queue is empty.
        received: list[ReceivedMessage] = []
        async for page in pager.by_page():
            received = [ReceivedMessage.from_client(message) async for message in page]
            break
        decodable = []
        for message in received:
            try:
                message.body(self._options.message_encoding)
                decodable.append(message)
            except MessageNotDecodable:
                logger.warning("Message decoding has failed! Check MessageEncoding settings. %s", message.id)
                await self._processor.move_to_poison_queue(message)
        return decodable

    def _say_what_was_lost(self, *, response: Any, **_: object) -> None:
        """Tell why messages vanish for a while: the client's retries hide a failed receive from the log.

        Azurite takes messages with control characters, which its answer, being XML 1.0, cannot hold: it
        fails after it has made the whole batch invisible. Azure refuses such messages when they are sent.
        """
        if response is not None and response.status_code == HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.error(
                "Queue '%s': the storage service failed (500) while messages were received. Azurite does so "
                "when a message holds a control character. The messages it was about to return, up to %d, "
                "stay invisible for %d s; only clearing the queue removes one with such a character.",
                self._queue.queue_name,
                self._options.batch_size,
                self._lease_seconds,
            )

    async def _process(self, message: ReceivedMessage) -> None:
        try:
            if not await self._processor.begin(message):
                return
            async with keep_lease(self._queue, message, self._lease_seconds):
                result = await self._invoke(message)
            await self._processor.complete(message, succeeded=result.succeeded)
        except AzureError as error:
            # The lease of the message ends by itself, and it comes back then.
            logger.error("Message %s cannot be settled: %s", message.id, _first_line(error))

    async def _invoke(self, message: ReceivedMessage) -> InvocationResult:
        reason = (
            f"New queue message detected on '{self._queue.queue_name}'. "
            f"MessageId: {message.id}, DequeueCount: {message.dequeue_count}"
        )
        encoding = self._options.message_encoding
        return await self._invoker.invoke(self._function, lambda: message.as_argument(encoding), reason)

    async def _until_threshold(self) -> None:
        stopping = asyncio.ensure_future(self._stopping.wait())
        while len(self._processing) > self._options.new_batch_threshold and not stopping.done():
            await asyncio.wait({stopping, *self._processing}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()

    async def _until_next_poll(self) -> None:
        delay = self._backoff.next_delay(found_message=self._found_since_delay)
        self._found_since_delay = False
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), delay)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
