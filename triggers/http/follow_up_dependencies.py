"""What the endpoints about callbacks and schedules need, as they see it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from interfaces.callbacks import DeadLetters, NewSubscription, ResentLetters, Subscription
from interfaces.follow_ups import NewSchedule, Schedule, Tick

from .answer_types import Page, Position


class Callbacks(Protocol):
    """Subscriptions, and what became of telling their events (`engine.Engine.callbacks`)."""

    def subscribe(self, new: NewSubscription) -> Subscription:
        """Add a subscription."""
        ...

    def subscriptions(self) -> Sequence[Subscription]:
        """Every subscription, without its secret."""
        ...

    def unsubscribe(self, subscription_id: UUID) -> None:
        """Forget a subscription, with what it was still to be told."""
        ...

    def listed(self, state: str | None, job_id: str | None, *, after: Position | None, limit: int) -> Page:
        """Callbacks, the newest first."""
        ...

    def resend(self, callback_id: int) -> None:
        """Send a callback again, whatever became of it."""
        ...

    def resend_dead(self, which: DeadLetters) -> ResentLetters:
        """Send again what was given up."""
        ...


class Schedules(Protocol):
    """Jobs that the clock submits (`engine.Engine.schedules`)."""

    def create(self, new: NewSchedule) -> Schedule:
        """Add a schedule."""
        ...

    def listed(self, *, after: Position | None, limit: int) -> tuple[list[Schedule], Position | None]:
        """Schedules with their last tick, by name."""
        ...

    def one(self, name: str) -> tuple[Schedule, list[Tick]]:
        """A schedule, and its last ticks."""
        ...

    def switch(self, name: str, *, enabled: bool) -> Schedule:
        """Enable or disable it."""
        ...

    def delete(self, name: str) -> None:
        """Forget it."""
        ...
