"""Subscribers and callbacks: taken, settled, listed, sent again."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from interfaces.callbacks import (
    DeadLetters,
    Delivery,
    DueCallback,
    NewSubscription,
    ResentLetters,
    Subscription,
)
from repositories.audit import caller
from repositories.database import Database
from repositories.keyset import Page, Position, page, position
from repositories.sql_files import queries


class CallbackRepository:
    """No connection is held while a callback is sent: a hold on the row ends by time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("callbacks")

    def subscribe(self, new: NewSubscription) -> Subscription:
        """Add a subscription."""
        [row] = self._rows(
            "subscribe",
            job_type=new.job_type,
            url=new.url,
            events=new.events,
            secret=new.secret.get_secret_value(),
            caller=caller(),
        )
        return Subscription(**row)

    def subscriptions(self) -> list[Subscription]:
        """Every subscription, the oldest first."""
        return [Subscription(**row) for row in self._rows("subscriptions")]

    def unsubscribe(self, subscription_id: UUID) -> bool:
        """Forget a subscription and what still waits for it; False: there is none of this id."""
        [row] = self._rows("unsubscribe", subscription_id=subscription_id, caller=caller())
        return bool(row["found"])

    def take(
        self, busy: list[str], *, per_host: int, limit: int, hold: timedelta, max_attempts: int
    ) -> list[DueCallback]:
        """Take what is due, of no busy host, and of each other host at most `per_host`."""
        rows = self._rows(
            "take_callbacks",
            busy=busy,
            per_host=per_host,
            limit=limit,
            hold=hold,
            max_attempts=max_attempts,
        )
        return [DueCallback(**row) for row in rows]

    def settle(self, callback: DueCallback, delivery: Delivery, delay: float) -> bool:
        """Note what became of an attempt; False: somebody else holds the callback by now."""
        [row] = self._rows(
            "settle_callback",
            callback_id=callback.callback_id,
            fence=callback.fence,
            outcome=delivery.outcome,
            status=delivery.status,
            error=delivery.error,
            delay=delay,
        )
        return bool(row["settled"])

    def resend(self, callback_id: int) -> bool:
        """Make a callback due now, with all its attempts before it; False: there is none of this id."""
        [row] = self._rows("resend_callback", callback_id=callback_id, caller=caller())
        return bool(row["found"])

    def resend_dead(self, which: DeadLetters) -> ResentLetters:
        """Let callbacks that were given up be sent again."""
        [row] = self._rows("resend_dead", caller=caller(), **which.model_dump())
        return ResentLetters(**row)

    def callbacks(self, state: str | None, job_id: str | None, *, after: Position | None, limit: int) -> Page:
        """Callbacks, the newest first; `state` is `pending`, `delivered` or `dead`."""
        (before,) = position(after, "bigint") or (None,)
        rows = self._rows("callbacks", state=state, job_id=job_id, before=before, limit=limit + 1)
        return page(rows, limit, lambda row: [row["callback_id"]])

    def _rows(self, query: str, **parameters: object) -> list[dict[str, Any]]:
        with self._database.connection() as connection:
            return connection.execute(self._sql[query], parameters).fetchall()
