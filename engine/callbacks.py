"""Callbacks: who asked to be told, and the telling.

What is to be told was written with what happened (sql/functions/18_callbacks.sql). A timer sends it, at
least once, under a name that stays the same. No job waits for it, and no receiver for another: hosts take
turns, and while something is on its way to a host, nothing more is taken for it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from uuid import UUID

from pydantic import JsonValue

from interfaces.callback_urls import CallbackPolicy, CallbackRefused
from interfaces.callbacks import (
    CallbackRequest,
    CallbackSender,
    CallbackSession,
    DeadLetters,
    Delivery,
    DueCallback,
    NewSubscription,
    ResentLetters,
    Subscription,
)
from interfaces.errors import FieldError, InvalidRequest, NotFound, ServiceUnavailable
from interfaces.settings import Settings
from interfaces.workflows import JobTypes, RetryPolicy
from repositories.callbacks import CallbackRepository

from .delays import backoff
from .redaction import describe, redact

logger = logging.getLogger(__name__)

Position = list[JsonValue]

AT_ONCE = 200
"""On their way at the same time, from one process."""
AT_ONCE_TO_A_HOST = 4
HOLD = timedelta(minutes=2)
"""Until then nobody else sends what one took: longer than an attempt, and its note, may take."""
TAKING_SECONDS = 60.0
"""After so long nothing more is taken; the next firing of the timer goes on."""
LOOK_SECONDS = 1.0
"""Between two looks for what became due while others are on their way."""
DELAYS = RetryPolicy(base_delay=timedelta(seconds=10), max_delay=timedelta(hours=3))
LONGEST_ERROR = 500
SECRET_BYTES = range(24, 65)
"""https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md"""


class Callbacks:
    """Subscriptions, and what became of telling their events."""

    def __init__(
        self,
        settings: Settings,
        repository: CallbackRepository,
        sender: CallbackSender,
        job_types: JobTypes,
    ) -> None:
        self._settings = settings
        self._policy = CallbackPolicy(settings)
        self._repository = repository
        self._sender = sender
        self._job_types = job_types

    def checked(self, request: CallbackRequest, field: str = "callback_url") -> CallbackRequest:
        """What a submission asks for, if it may be had. Raises `InvalidRequest` naming the field."""
        url = self._url(field, request.url)
        secrets = self._settings.callback_secret.get_secret_value().split()
        if not secrets or not all(map(_is_secret, secrets)):
            raise _bad(field, "cannot be signed: the setting CALLBACK_SECRET has no valid secret")
        return CallbackRequest(url=url, events=request.events)

    def subscribe(self, new: NewSubscription) -> Subscription:
        """Add a subscription. Raises `InvalidRequest` naming the field, `UnknownJobType`."""
        if new.job_type is not None:
            self._job_types.get(new.job_type)
        if not _is_secret(new.secret.get_secret_value()):
            raise _bad("secret", "must be whsec_ and base64 of 24 to 64 bytes, as Standard Webhooks has it")
        url = self._url("url", new.url)
        return self._repository.subscribe(new.model_copy(update={"url": url}))

    def subscriptions(self) -> list[Subscription]:
        """Every subscription, without its secret."""
        return self._repository.subscriptions()

    def unsubscribe(self, subscription_id: UUID) -> None:
        """Forget a subscription, with what it was still to be told. Raises `NotFound`."""
        if not self._repository.unsubscribe(subscription_id):
            raise NotFound(f"no subscription has the id {subscription_id}")

    def listed(
        self, state: str | None, job_id: str | None, *, after: Position | None, limit: int
    ) -> tuple[list[dict[str, object]], Position | None]:
        """Callbacks, the newest first."""
        return self._repository.callbacks(state, job_id, after=after, limit=limit)

    def resend(self, callback_id: int) -> None:
        """Send a callback again, whatever became of it. Raises `NotFound`."""
        if not self._repository.resend(callback_id):
            raise NotFound(f"no callback has the id {callback_id}")

    def resend_dead(self, which: DeadLetters) -> ResentLetters:
        """Send again what was given up; `more` says whether to ask again."""
        return self._repository.resend_dead(which)

    def deliver(self) -> int:
        """Send what is due, for a minute or so; answers how many attempts that took."""
        first = self._take([], AT_ONCE)
        return asyncio.run(self._deliver(first)) if first else 0

    async def _deliver(self, due: Sequence[DueCallback]) -> int:
        on_their_way: dict[asyncio.Task[None], str] = {}
        attempts, end = 0, monotonic() + TAKING_SECONDS
        async with self._sender.session() as session:
            try:
                while due or len(on_their_way):
                    attempts += len(due)
                    for one in due:
                        on_their_way[asyncio.create_task(self._attempt(session, one))] = one.host
                    done, _ = await asyncio.wait(
                        on_their_way, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                    )
                    for task in done:
                        del on_their_way[task]
                        task.result()
                    room = AT_ONCE - len(on_their_way) if monotonic() < end else 0
                    due = await asyncio.to_thread(self._take, sorted(set(on_their_way.values())), room)
            finally:
                # What fails one keeps no other from being noted.
                await asyncio.gather(*on_their_way, return_exceptions=True)
        return attempts

    async def _attempt(self, session: CallbackSession, callback: DueCallback) -> None:
        delivery = await session.send(callback)
        if delivery.outcome == "retry" and callback.attempts >= self._settings.callback_max_attempts:
            delivery = Delivery("dead", delivery.status, delivery.error)
        if delivery.outcome != "delivered":
            logger.warning(
                "callback %d to %s, attempt %d: %s: %s",
                callback.callback_id,
                callback.host,
                callback.attempts,
                delivery.outcome,
                redact(delivery.error or "", LONGEST_ERROR),
            )
        if delivery.error is not None:
            # What a library says may quote what it was given.
            delivery = replace(delivery, error=redact(delivery.error, LONGEST_ERROR))
        delay = max(delivery.retry_after, backoff(DELAYS, callback.attempts))
        try:
            await asyncio.to_thread(self._repository.settle, callback, delivery, delay)
        except ServiceUnavailable as error:
            logger.warning("callback %d is sent again: %s", callback.callback_id, describe(error))

    def _take(self, busy: list[str], room: int) -> list[DueCallback]:
        if not room:
            return []
        return self._repository.take(
            busy,
            per_host=AT_ONCE_TO_A_HOST,
            limit=room,
            hold=HOLD,
            max_attempts=self._settings.callback_max_attempts,
        )

    def _url(self, field: str, text: str) -> str:
        try:
            return str(self._policy.url(text))
        except CallbackRefused as refused:
            raise _bad(field, str(refused)) from None


def _is_secret(text: str) -> bool:
    prefix, encoded = text[:6], text[6:]
    try:
        return prefix == "whsec_" and len(base64.b64decode(encoded, validate=True)) in SECRET_BYTES
    except (binascii.Error, ValueError):
        return False


def _bad(field: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {reason}", errors=[FieldError(field=field, reason=reason)])
