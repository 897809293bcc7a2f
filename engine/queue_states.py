"""How a queue stands now: about how many messages, and since when the oldest visible one waits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from interfaces.errors import NotFound
from interfaces.queues import QueueRepository


@dataclass(frozen=True)
class QueueState:
    """A queue: about how many messages, and since when the oldest visible one is there."""

    name: str
    messages: int
    oldest_seconds: float


def state_of(queues: QueueRepository, name: str) -> QueueState:
    """A queue that is not there is empty. Raises `ServiceUnavailable` when it cannot be looked at."""
    try:
        length = queues.length(name)
        front = [message.inserted_at for message in queues.peek(name)] if length else []
    except NotFound:
        return QueueState(name, 0, 0.0)  # the host makes a poison queue with its first message
    now = datetime.now(UTC)
    age = max(((now - put).total_seconds() for put in front), default=0.0)
    return QueueState(name, length, max(age, 0.0))
