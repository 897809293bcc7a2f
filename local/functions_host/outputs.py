"""Output bindings: what a function sets or returns, and its way into a queue.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-output
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.functions import Out, QueueMessage, get_binding_registry

from local.functions_host.app_settings import AppSettings
from local.functions_host.function_app import Binding
from local.functions_host.host_json import MessageEncoding
from local.functions_host.message_encoding import encode_message
from local.functions_host.queue_watcher import QueueWatcher
from local.functions_host.storage_clients import StorageClients


class OutParameter(Out[Any]):
    """The `func.Out` argument of a function; holds the last value that was set."""

    def __init__(self) -> None:
        self._value: Any = None

    def set(self, val: Any) -> None:
        """Set the value of the output."""
        self._value = val

    def get(self) -> Any:
        """Return the value that was set last, or None."""
        return self._value


def queue_message_bodies(value: object) -> list[bytes]:
    """Return the bodies of the messages that an output value stands for.

    Text and bytes are one message; a `func.QueueMessage` is its body; a list is one message for each item.

    Raises:
        TypeError: the library cannot encode a value of this type for a queue.
    """
    if isinstance(value, QueueMessage):
        return [value.get_body()]
    try:
        registry = get_binding_registry()  # type: ignore[no-untyped-call]
        datum = registry.get("queue").encode(value, expected_type=None)
    except NotImplementedError as error:
        raise TypeError(f"unable to encode a {type(value).__name__} for a queue output") from error
    if datum.type == "json":
        return [_item_body(item) for item in json.loads(datum.value)]
    return [datum.value.encode() if isinstance(datum.value, str) else bytes(datum.value)]


def _item_body(item: str | dict[str, str]) -> bytes:
    return (item if isinstance(item, str) else item["body"]).encode()


class QueueOutput:
    """Writes messages to queues, creates queues that are missing, and wakes this process's own listeners."""

    def __init__(
        self,
        clients: StorageClients,
        settings: AppSettings,
        watcher: QueueWatcher,
        encoding: MessageEncoding,
    ) -> None:
        self._clients = clients
        self._settings = settings
        self._watcher = watcher
        self._encoding = encoding

    async def send(self, binding: Binding, bodies: Iterable[bytes]) -> None:
        """Send each body as one message to the binding's queue."""
        name = self._settings.expand(binding.text("queueName") or "").lower()
        queue = self._clients.queue(binding.text("connection"), name)
        for body in bodies:
            content = encode_message(body, self._encoding)
            try:
                await queue.send_message(content)
            except ResourceNotFoundError:
                await queue.create_queue()
                await queue.send_message(content)
            self._watcher.notify(name)
