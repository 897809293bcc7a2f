"""The port to storage queues, and what travels on them: ids only."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Annotated, Protocol

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from .contracts import JobId
from .tracing import TraceContext


def _traceparent(value: object) -> str | None:
    """What is no traceparent is none: no message is refused for what is only looked at."""
    return str(value) if isinstance(value, str) and TraceContext.parse(value) else None


class QueueMessage(BaseModel):
    """Base of what travels on a queue. Unknown fields are ignored, so that releases can overlap."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    job_id: JobId
    run: Annotated[int, Field(ge=1, le=2**31 - 1)]
    stage: Annotated[int, Field(ge=1, le=2**15 - 1)]
    correlation_id: Annotated[str, Field(max_length=128)] = ""
    traceparent: Annotated[str | None, BeforeValidator(_traceparent)] = None
    """Of the request that started the run. The job's row has it too, which no lost message takes along."""


class JobMessage(QueueMessage):
    """Look at this stage of this run: it may be due to be planned, or the job to be finished."""


class TaskMessage(QueueMessage):
    """Tasks `first … last` (inclusive) of this stage may be due."""

    first: Annotated[int, Field(ge=0, le=2**31 - 1)]
    last: Annotated[int, Field(ge=0, le=2**31 - 1)]


class OutgoingMessage(BaseModel):
    """A message to be sent, invisible for `delay_seconds` after it arrives."""

    model_config = ConfigDict(frozen=True)

    queue: str
    body: str
    delay_seconds: int = 0


class PeekedMessage(BaseModel):
    """A message that was looked at without being taken."""

    model_config = ConfigDict(frozen=True)

    message_id: str
    dequeue_count: int
    body: str
    inserted_at: AwareDatetime
    """When it was put, by the clock of the queue service."""


class QueueRepository(Protocol):
    """Sends messages and looks at queues; receiving is the Functions host's work."""

    def send(self, messages: Sequence[OutgoingMessage], within: float = inf) -> list[BaseException | None]:
        """Send all, concurrently; the answer has, for each message, None or what went wrong.

        A message whose turn has not come after `within` seconds is not sent: `ServiceUnavailable`.
        """
        ...

    def peek(self, queue: str, count: int = 32) -> list[PeekedMessage]:
        """Up to 32 messages from the front of the queue, untouched."""
        ...

    def length(self, queue: str) -> int:
        """Approximate number of messages."""
        ...

    def ensure(self, queue: str) -> None:
        """Create the queue unless it exists."""
        ...
