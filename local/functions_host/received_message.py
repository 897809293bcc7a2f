"""A message taken from a queue, under its lease."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import azure.storage.queue
from azure.functions import queue

from local.functions_host.host_json import MessageEncoding
from local.functions_host.message_encoding import decode_message


@dataclass
class ReceivedMessage:
    """`text` is the message as it is in the queue; `pop_receipt` changes with each renewal of the lease."""

    id: str
    pop_receipt: str
    text: str
    dequeue_count: int
    inserted_on: datetime | None
    expires_on: datetime | None
    next_visible_on: datetime | None

    @classmethod
    def from_client(cls, message: azure.storage.queue.QueueMessage) -> ReceivedMessage:
        """Take over what the queue client returned."""
        return cls(
            id=str(message.id),
            pop_receipt=str(message.pop_receipt),
            text=str(message.content or ""),
            dequeue_count=int(message.dequeue_count or 0),
            inserted_on=message.inserted_on,
            expires_on=message.expires_on,
            next_visible_on=message.next_visible_on,
        )

    def body(self, encoding: MessageEncoding) -> bytes:
        """Return the decoded body.

        Raises:
            MessageNotDecodable: the text is not in the encoding.
        """
        return decode_message(self.text, encoding)

    def as_argument(self, encoding: MessageEncoding) -> queue.QueueMessage:
        """Return the message as a function gets it.

        Raises:
            UnicodeDecodeError: the body is not UTF-8. The host binds messages as text: the invocation fails.
        """
        return function_message(
            id=self.id,
            body=self.body(encoding).decode("utf-8"),
            dequeue_count=self.dequeue_count,
            expiration_time=self.expires_on,
            insertion_time=self.inserted_on,
            time_next_visible=self.next_visible_on,
            pop_receipt=self.pop_receipt,
        )


def function_message(
    *,
    id: str,  # noqa: A002 - the library's name
    body: str,
    dequeue_count: int,
    expiration_time: datetime | None = None,
    insertion_time: datetime | None = None,
    time_next_visible: datetime | None = None,
    pop_receipt: str | None = None,
) -> queue.QueueMessage:
    """Return the argument of a queue function; the library's own constructor has no types."""
    return queue.QueueMessage(  # type: ignore[no-untyped-call]
        id=id,
        body=body,
        dequeue_count=dequeue_count,
        expiration_time=expiration_time,
        insertion_time=insertion_time,
        time_next_visible=time_next_visible,
        pop_receipt=pop_receipt,
    )
