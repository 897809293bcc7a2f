"""Why a job is where it is: the facts that the database has, and what is said of them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, JsonValue

from .contracts import Contract
from .states import JobStatus, StageStatus


class StageFacts(Contract):
    """The current stage, if it is planned; numbers are of its tasks."""

    stage_key: str
    task_type: str
    status: StageStatus
    task_count: int
    max_attempts: int
    error: str | None
    held_from: int | None
    failing_at: datetime | None
    queued: int
    processing: int
    completed: int
    failed: int
    cancelled: int


class Running(Contract):
    """Tasks in work. `ended` of their leases are over."""

    tasks: int
    workers: int
    ended: int
    first_lease_until: datetime | None
    last_lease_until: datetime | None
    longest_since: datetime | None


class Dispatches(Contract):
    """Messages of the stage in one state, and the tasks that they speak for."""

    state: Literal["pending", "later", "sent", "parked"]
    parked: str | None
    messages: int
    tasks: int
    since: datetime
    """When the oldest was made, or sent."""
    first_not_before: datetime
    last_not_before: datetime
    redeliver_at: datetime | None
    sends: int
    ahead: int
    """Of parked ones: how many of others are before the first of them in the line."""


class Waiting(Contract):
    """Tasks that wait for their time after the same error."""

    outcome: str
    error: str | None
    tasks: int
    attempt: int
    """Their highest."""
    first_due_at: datetime
    last_due_at: datetime


class Failure(Contract):
    """Failed tasks with the same error."""

    error: str
    tasks: int
    stage: int
    first_index: int


class Limit(Contract):
    """A limit that keeps something of the job from running."""

    limited_type: str
    at_most: int | None
    running: int


class Poison(Contract):
    """The newest recorded message about the job's run."""

    messages: int
    poison_id: int
    queue: str
    reason: str
    action: str
    recorded_at: datetime


class Callbacks(Contract):
    """What is still to be told of the run, and what was given up."""

    pending: int
    dead: int
    due_at: datetime | None
    dead_at: datetime | None
    error: str | None
    """The newest."""


class Follower(Contract):
    """What follows the run."""

    job_type: str
    state: Literal["waiting", "submitted", "skipped", "failed"]
    next_job_id: str | None
    next_run: int | None
    error: str | None
    due_at: datetime | None


class LastEvent(Contract):
    """The newest entry of the job's history."""

    event: str
    at: datetime
    detail: dict[str, JsonValue]


class JobFacts(Contract):
    """What the database knows of a job at one moment, `now`."""

    now: datetime
    job_id: str
    job_type: str
    status: JobStatus
    run: int
    stage: int
    total_stages: int
    error: str | None
    plan_attempts: int
    plan_interruptions: int
    plan_worker: str | None
    plan_lease_until: datetime | None
    queued_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    current: StageFacts | None
    running: Running
    dispatches: list[Dispatches]
    waiting: list[Waiting]
    failures: list[Failure]
    limits: list[Limit]
    poison: Poison | None
    callbacks: Callbacks
    followers: list[Follower]
    interrupted: LastEvent | None
    """The last interruption of the current stage's planning."""
    last_event: LastEvent | None


class Reason(Contract):
    """One reason, in a word for programs and in words for people."""

    code: str
    text: str
    tasks: int | None = None
    since: datetime | None = None
    until: datetime | None = None


class Repair(Contract):
    """What a person can do about it."""

    text: str
    method: Literal["GET", "POST", "PUT"]
    href: str


class Explanation(Contract):
    """Why the job is where it is. `moves` says whether it goes on without anybody's help."""

    job_id: str
    run: int
    status: JobStatus
    stage: int
    total_stages: int
    at: datetime
    summary: str
    moves: bool
    reasons: list[Reason] = Field(default_factory=list)
    repairs: list[Repair] = Field(default_factory=list)
