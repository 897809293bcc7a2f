"""Answers about who is told of jobs, and about jobs that the clock submits."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from interfaces.callbacks import Kind, Subscription
from interfaces.contracts import JobId, JsonObject
from interfaces.follow_ups import Tick

from .common import Answered, Count, Next, Page, Path


class Subscriptions(Answered):
    """Every subscription, the oldest first."""

    subscriptions: list[Subscription]


class ResendLink(Answered):
    """Where it is sent again."""

    resend: Path


class Callback(Answered):
    """An event for one receiver, and what became of telling it."""

    callback_id: Count
    event_id: Annotated[str, Field(description="The same for every receiver and each attempt")]
    event_type: str
    job_id: JobId
    run: Annotated[int, Field(ge=1)]
    data: JsonObject
    subscription_id: Annotated[UUID | None, Field(description="Null: by `callback_url`")]
    url: str
    state: Literal["pending", "delivered", "dead"]
    attempts: Count
    last_status: int | None
    last_error: str | None
    due_at: datetime
    attempted_at: datetime | None
    occurred_at: datetime
    delivered_at: datetime | None
    dead_at: datetime | None
    links: ResendLink


class Callbacks(Page):
    """Callbacks, the newest first."""

    callbacks: list[Callback]
    links: Next


class Resent(Answered):
    """A callback that is sent again."""

    callback_id: Count
    state: Literal["pending"]


class ScheduleLinks(Answered):
    """Where a schedule is, and is switched."""

    self: Path
    enable: Path
    disable: Path


class ShownSchedule(Answered):
    """A schedule with its last tick."""

    name: str
    cron: str
    time_zone: str
    job_type: str
    parameters: JsonObject
    callback_url: str | None
    callback_events: list[Kind] | None
    then: JsonObject | None
    enabled: bool
    next_at: datetime
    created_at: datetime
    error: Annotated[str | None, Field(description="Why it cannot tick; looked at again each hour")]
    last_tick: Tick | None
    links: ScheduleLinks


class ShownSchedules(Page):
    """Schedules, by name."""

    schedules: list[ShownSchedule]
    links: Next


class ScheduleWithTicks(ShownSchedule):
    """A schedule with its last ticks."""

    ticks: Annotated[list[Tick], Field(description="The newest 100, the newest first")]
