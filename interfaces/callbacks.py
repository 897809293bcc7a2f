"""Callbacks: who is told of what, and what became of telling it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal, Protocol, get_args
from uuid import UUID

from pydantic import Field, JsonValue, SecretStr

from .contracts import Contract, JobId

Kind = Literal["completed", "failed", "cancelled", "stage"]
"""Of events: how a run ended (`completed` also with errors), or that a stage of it ended."""
KINDS: tuple[Kind, ...] = get_args(Kind)
Kinds = Annotated[list[Kind], Field(min_length=1, max_length=len(KINDS))]


class CallbackRequest(Contract):
    """What a submission asks for beside its job; no part of the job's identity."""

    url: str
    events: Kinds = Field(default_factory=lambda: list(KINDS))


class NewSubscription(Contract):
    """A subscription as it is asked for; `job_type` None means every type."""

    job_type: str | None = None
    url: str
    events: Kinds = Field(default_factory=lambda: list(KINDS))
    secret: SecretStr


class DeadLetters(Contract):
    """Which of the callbacks that were given up are meant: all that fit what is given, the oldest first."""

    job_id: JobId | None = None
    subscription_id: UUID | None = None
    host: Annotated[str, Field(max_length=300)] | None = None
    """With its port where the URL has one."""
    limit: Annotated[int, Field(ge=1, le=10_000)] = 1000


class ResentLetters(Contract):
    """How many are sent again, and whether there are more of them."""

    resent: int
    more: bool


class Subscription(Contract):
    """A subscription as it is shown: without its secret."""

    subscription_id: UUID
    job_type: str | None
    url: str
    events: list[Kind]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class DueCallback:
    """The right to send a callback once, as long as the fence holds."""

    callback_id: int
    fence: int
    event_id: str
    event_type: str
    job_id: str
    data: dict[str, JsonValue]
    occurred_at: datetime
    url: str
    host: str
    attempts: int
    """This one included."""
    secret: str | None
    """None: the app's own."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of an attempt: `delivered`, to be tried again (`retry`), or not (`dead`)."""

    outcome: Literal["delivered", "retry", "dead"]
    status: int | None = None
    """Of HTTP, where there was an answer."""
    error: str | None = None
    retry_after: float = 0.0
    """Seconds that the receiver asked to be left alone for."""


class CallbackSession(Protocol):
    """Sends callbacks, any number at a time."""

    async def send(self, callback: DueCallback) -> Delivery:
        """One attempt; what goes wrong with it is its answer."""
        ...


class CallbackSender(Protocol):
    """Where callbacks are sent from."""

    def session(self) -> AbstractAsyncContextManager[CallbackSession]:
        """Sends until the block ends."""
        ...
