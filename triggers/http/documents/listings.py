"""Answers with jobs, tasks and events page by page."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from interfaces.contracts import JobId, JsonObject

from .common import Answered, Count, JobLinks, JobRow, Next, Page, Progress, Seconds, Stage, TaskOutcomeState


class ListedJob(JobRow):
    """A job with its progress."""

    progress: Progress


class Jobs(Page):
    """Jobs, newest first."""

    jobs: list[ListedJob]
    links: Next


class Job(JobRow):
    """A job with its parameters, its result and its stages."""

    parameters: JsonObject
    result: JsonObject | None
    plan_attempts: Count
    plan_lease_until: datetime | None
    stages: list[Stage]
    links: JobLinks


class Attempt(Answered):
    """One attempt, or several that were put off one after the other."""

    attempt: Count
    outcome: Literal["retry", "lease_lost", "failed", "cancelled", "completed", "processing", "deferred"]
    error: str | None
    worker: str | None
    started_at: datetime | None
    ended_at: datetime | None
    seconds: Seconds | None
    times: Annotated[int, Field(ge=1, description="Only of those that were put off")] | None = None


class TaskUsage(Answered):
    """What a task's attempts took together, without what is nothing; bytes, and GiB times seconds."""

    seconds: Seconds | None = None
    gb_seconds: Seconds | None = None
    operations: Count | None = None
    bytes_read: Count | None = None
    bytes_written: Count | None = None
    peak_bytes: Count | None = None


class Task(TaskOutcomeState):
    """A task with its history."""

    job_id: JobId
    job_type: str
    run: Annotated[int, Field(ge=1)]
    stage: Annotated[int, Field(ge=1)]
    task_type: str
    parameters: JsonObject
    attempts: Annotated[list[Attempt], Field(description="The newest 50, oldest first")]
    worker: str | None
    due_at: datetime
    lease_until: datetime | None
    duration_seconds: Seconds | None
    usage: Annotated[
        TaskUsage | None, Field(description="Null where nobody measured it, or it was too brief")
    ]


class Tasks(Page):
    """Tasks: newest job first, in each by stage and index."""

    tasks: list[Task]
    links: Next


Range = Annotated[list[int], Field(min_length=2, max_length=2, description="First and last task index")]


class Event(Answered):
    """One entry of a job's history."""

    event_id: int
    run: Annotated[int, Field(ge=1)]
    stage: int | None
    event: str
    detail: JsonObject | None
    worker: str | None
    at: datetime
    tasks: list[Range] | None


class Events(Page):
    """A job's history, oldest first."""

    events: list[Event]
    links: Next
