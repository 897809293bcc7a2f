"""What follows a job, and what the clock submits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from .callbacks import KINDS, CallbackRequest, Kinds
from .contracts import Contract, JobId, JsonObject
from .states import JobStatus

LONGEST_CHAIN = 8
"""Jobs that follow one after the other, the first not counted."""
RESULT_DOCUMENT = ("job_id", "job_type", "run", "status", "error", "result", "parameters")
"""What a follower's parameters may be filled in from."""
TICK_DOCUMENT = ("tick",)
TICK_PARTS = ("time", "local_time", "date", "year", "month", "day", "hour", "minute")
"""The same for a schedule, below `/tick`: in its time zone, except for `time`, which is UTC."""

End = Literal["completed", "completed_with_errors", "failed", "cancelled"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]


class FollowUps(Contract):
    """What is asked for beside a job: who is told of its run, and what follows it."""

    callback_url: str | None = None
    callback_events: Kinds | None = None
    then: Then | None = None

    def callback(self) -> CallbackRequest | None:
        """Who is told of the run."""
        if self.callback_url is None:
            return None
        return CallbackRequest(url=self.callback_url, events=self.callback_events or list(KINDS))


class Then(FollowUps):
    """A job to submit when a run has ended; `parameters` is a template (`interfaces.templates`)."""

    job_type: str
    parameters: JsonObject = Field(default_factory=dict)
    when: Annotated[list[End], Field(min_length=1, max_length=4)] = Field(
        default_factory=lambda: ["completed"]  # type: ignore[arg-type]
    )
    rerun: bool = True
    """Whether a job that has completed before runs again: what it reads was just made anew."""

    def chain(self) -> Iterator[tuple[str, Then]]:
        """This one and those after it, each with its place, such as `then.then`."""
        link: Then | None = self
        field = "then"
        while link is not None:
            yield field, link
            link, field = link.then, f"{field}.then"


@dataclass(frozen=True, slots=True)
class DueFollower:
    """A follower whose run has ended. `status` None: that end is no more, the run was retried or removed."""

    follower_id: int
    due_at: datetime
    job_id: str
    run: int
    request: JsonObject
    depth: int
    job_type: str | None
    parameters: JsonObject | None
    status: JobStatus | None
    result: JsonObject | None
    error: str | None
    correlation_id: str | None
    is_live: bool | None

    def document(self) -> JsonObject:
        """What the parameters are filled in from."""
        return {
            "job_id": self.job_id,
            "job_type": self.job_type,
            "run": self.run,
            "status": self.status,
            "error": self.error,
            "result": self.result,
            "parameters": self.parameters,
        }


class NewSchedule(FollowUps):
    """A schedule as it is asked for; `parameters` is a template that may hold the tick.

    Who is told, and what follows, is so of each run that a tick starts, or finds at work.
    """

    name: Name
    cron: Annotated[str, Field(max_length=200)]
    """Five fields, as crontab(5) has them."""
    time_zone: Annotated[str, Field(max_length=100)] = "UTC"
    job_type: str
    parameters: JsonObject = Field(default_factory=dict)
    enabled: bool = True


class Tick(Contract):
    """What a tick came to."""

    tick_at: datetime
    fired_at: datetime
    missed_since: datetime | None
    job_id: JobId | None
    run: int | None
    created: bool | None
    error: str | None


class Schedule(Contract):
    """A schedule as it is shown."""

    name: str
    cron: str
    time_zone: str
    job_type: str
    parameters: JsonObject
    callback_url: str | None
    callback_events: Kinds | None
    then: JsonObject | None
    enabled: bool
    next_at: datetime
    created_at: datetime
    error: str | None
    """Why it cannot tick, as when its time zone is no more. It is looked at again each hour."""
    last_tick: Tick | None = None


@dataclass(frozen=True, slots=True)
class DueSchedule:
    """A schedule whose next tick has come, by the database's clock, `now`."""

    name: str
    cron: str
    time_zone: str
    job_type: str
    parameters: JsonObject
    next_at: datetime
    created_at: datetime
    now: datetime
    callback_url: str | None = None
    callback_events: Kinds | None = None
    follower: JsonObject | None = None

    def follow_ups(self) -> FollowUps:
        """Who is told of the run, and what follows it."""
        return FollowUps.model_validate(
            {
                "callback_url": self.callback_url,
                "callback_events": self.callback_events,
                "then": self.follower,
            }
        )
