"""What the engine answers to those who submit and steer jobs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from .access import Role
from .callbacks import CallbackRequest
from .contracts import Contract, JobId, JsonObject
from .costs import Usage
from .states import JobStatus, TaskStatus


@dataclass(frozen=True, slots=True)
class Link:
    """What follows a run: `request` is an `interfaces.follow_ups.Then`, `digest` names it."""

    digest: str
    request: JsonObject
    depth: int


@dataclass(frozen=True, slots=True)
class NewJob:
    """A validated submission. Its `job_id` is the hash of `job_type` and `parameters`, of nothing else."""

    job_id: JobId
    job_type: str
    parameters: JsonObject
    total_stages: int
    correlation_id: str = ""
    rerun: bool = False
    traceparent: str | None = None
    """Of the request that asks for it."""
    callback: CallbackRequest | None = None
    then: Link | None = None
    new_run_only: bool = False
    """Whether nobody is told, and nothing follows, unless this starts a run."""


class Submitted(Contract):
    """The answer to a submission. `created` is false when the same job was already there."""

    job_id: JobId
    job_type: str
    created: bool
    run: int
    status: JobStatus


class Changed(Contract):
    """The answer to a cancel or a retry; `changed` is false when the job was in that state already."""

    job_id: JobId
    changed: bool
    run: int
    stage: int
    status: JobStatus
    tasks_queued: int = 0


class StageInfo(Contract):
    """A stage of a job type as the list of types shows it."""

    number: int
    key: str
    task_type: str
    on_failure: str


class JobTypeInfo(Contract):
    """A job type, with the JSON Schema of its parameters."""

    job_type: str
    description: str
    needed_role: str = Role.SUBMITTER.label
    """The least role that may submit it, where callers have roles."""
    parameters_schema: JsonObject
    stages: list[StageInfo]


class ConcurrencyLimit(Contract):
    """How many jobs, or tasks, of a type may run at once; 0 holds all of them back."""

    kind: Literal["job", "task"]
    name: str
    at_most: Annotated[int, Field(ge=0)]
    running: int
    messages_waiting: int
    """Messages held back; one may stand for many tasks."""
    updated_at: datetime


class ClaimedPlan(Contract):
    """The right to plan one stage of a run, as long as the fence holds."""

    job_id: JobId
    job_type: str
    parameters: JsonObject
    run: int
    stage: int
    total_stages: int
    plan_fence: int
    correlation_id: str
    limited: bool
    """Whether only so many jobs of this type may run at once, so that its end lets another go."""
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedTask:
    """One attempt at one task, as long as the fence holds. `parameters` is JSON text."""

    job_id: str
    run: int
    stage: int
    task_index: int
    attempt: int
    fence: int
    parameters: str
    task_type: str
    max_attempts: int
    canary: bool = False
    """Whether other tasks of the stage wait for this one."""
    limited: bool = False
    """Whether only so many tasks of this type may run at once, so that its end lets another go."""
    job_type: str = ""
    traceparent: str | None = None
    """Of the request that started the run."""


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """What an attempt logged: its newest lines."""

    attempt: int
    severity: int
    """Of the most severe line, as Python numbers levels."""
    dropped: int
    """Lines before those that are kept."""
    lines: str
    """JSON text: an array of objects with `at`, `level`, `logger` and `message`, the oldest first."""


@dataclass(slots=True)
class TaskReport:
    """How an attempt ended, on its way to the task's row. Not frozen: what it took is added at the end.

    `outcome` is a state, or None when the task is to be run again; `deferred` says that this attempt is
    not counted then.
    """

    task_index: int
    fence: int
    outcome: TaskStatus | None
    result: str | None = None
    """JSON text of the result."""
    location: JsonObject | None = None
    error: str | None = None
    delay_seconds: float = 0.0
    deferred: bool = False
    usage: Usage | None = None
    """What the attempt took; None for one that did not run."""
    log: AttemptLog | None = None
    """What it logged; None where it logged nothing."""
