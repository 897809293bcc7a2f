"""A queue repository in memory, whose messages a test delivers, repeats, reorders, delays or loses."""

from __future__ import annotations

import base64
import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from math import inf
from uuid import uuid4

from interfaces.errors import NotFound, PayloadTooLarge, ServiceUnavailable
from interfaces.queues import OutgoingMessage, PeekedMessage, QueueRepository

LARGEST_MESSAGE = 64 * 1024
"""As it travels: in base64."""
MOST_PEEKED = 32


@dataclass
class Stored:
    """A message in a queue."""

    body: str
    visible_at: float
    message_id: str = field(default_factory=lambda: str(uuid4()))
    dequeue_count: int = 0
    inserted_at: datetime = field(default_factory=lambda: datetime.now(UTC))


class MemoryQueues(QueueRepository):
    """Queues of one test."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.queues: dict[str, list[Stored]] = {}
        self.broken = False
        self.sent = 0

    def send(self, messages: Sequence[OutgoingMessage], within: float = inf) -> list[BaseException | None]:
        with self._lock:
            if self.broken or within <= 0:
                return [ServiceUnavailable("the queue does not answer") for _ in messages]
            return [self._send(message) for message in messages]

    def peek(self, queue: str, count: int = 32) -> list[PeekedMessage]:
        with self._lock:
            return [
                PeekedMessage(
                    message_id=m.message_id,
                    dequeue_count=m.dequeue_count,
                    body=m.body,
                    inserted_at=m.inserted_at,
                )
                for m in self._queue(queue)
                if m.visible_at <= time.monotonic()
            ][: min(count, MOST_PEEKED)]

    def length(self, queue: str) -> int:
        with self._lock:
            return len(self._queue(queue))

    def ensure(self, queue: str) -> None:
        with self._lock:
            self.queues.setdefault(queue, [])

    def receive(self, queue: str, shuffle: random.Random | None = None) -> Stored | None:
        """Take a message that is visible: the oldest, or any."""
        with self._lock:
            now = time.monotonic()
            # The oldest is found at once, however many wait behind it.
            visible = (m for m in self.queues.get(queue, []) if m.visible_at <= now)
            found = list(visible) if shuffle else list(islice(visible, 1))
            if not found:
                return None
            taken = shuffle.choice(found) if shuffle else found[0]
            self.queues[queue].remove(taken)
            taken.dequeue_count += 1
            return taken

    def lose_everything(self) -> int:
        """Delete every message of every queue; answers how many there were."""
        with self._lock:
            lost = sum(map(len, self.queues.values()))
            self.queues = {name: [] for name in self.queues}
            return lost

    def _send(self, message: OutgoingMessage) -> BaseException | None:
        try:
            queue = self._queue(message.queue)
        except NotFound as error:
            return error
        if len(base64.b64encode(message.body.encode())) > LARGEST_MESSAGE:
            return PayloadTooLarge("a message has at most 64 KiB")
        queue.append(Stored(message.body, time.monotonic() + message.delay_seconds))
        self.sent += 1
        return None

    def _queue(self, name: str) -> list[Stored]:
        try:
            return self.queues[name]
        except KeyError:
            raise NotFound(f"queue {name!r} does not exist") from None
