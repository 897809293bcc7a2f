"""Answers that the operations page draws."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from interfaces.contracts import JobId, JsonObject
from interfaces.states import JobStatus

from .common import Answered, Count, Next, Page, Seconds
from .listings import Task
from .operations import Outbox

Row = Annotated[
    list[JsonValue],
    Field(
        min_length=5,
        max_length=5,
        description="stage, task_index, status, due (null unless queued), and attempts, each as start, end,"
        " outcome; times are seconds after `origin`",
    ),
]


class Timeline(Page):
    """Every attempt of a run."""

    job_id: JobId
    run: Annotated[int, Field(ge=1)]
    status: JobStatus
    origin: Annotated[datetime, Field(description="When the run was queued")]
    now: Annotated[float, Field(description="Seconds after `origin`")]
    tasks: list[Row]
    links: Next


class FailureGroup(Answered):
    """Failed tasks whose errors have something in common."""

    stage: Annotated[int, Field(ge=1)]
    stage_key: str
    task_type: str
    pattern: Annotated[str, Field(description="The error with … for numbers, quoted text and paths")]
    error: Annotated[str, Field(description="Of the first of them")]
    tasks: Count
    most_attempts: Count
    first_at: datetime | None
    last_at: datetime | None
    task_indexes: Annotated[list[int], Field(max_length=20, description="Of the first of them")]


class Failures(Answered):
    """Failed tasks of a run, the most frequent errors first."""

    job_id: JobId
    run: Annotated[int, Field(ge=1)]
    failed: Count
    complete: Annotated[bool, Field(description="Whether all are here")]
    groups: list[FailureGroup]


class TaskEvent(Answered):
    """One entry of a task's history."""

    event_id: int
    event: str
    detail: JsonObject | None
    worker: str | None
    at: datetime


class WholeTask(Task):
    """A task with all that is known of it."""

    stage_key: str
    max_attempts: Annotated[int, Field(ge=1)]
    result: JsonValue
    result_url: str | None
    result_bytes: Count | None
    events: list[TaskEvent]


class LogLine(Answered):
    """A line that an attempt logged."""

    at: datetime
    level: str
    logger: str
    message: str


class AttemptLog(Answered):
    """What one attempt logged."""

    stage: Annotated[int, Field(ge=1)]
    task_index: Count
    attempt: Annotated[int, Field(ge=1)]
    outcome: Annotated[str, Field(description="completed, failed, cancelled, retry or deferred")]
    written_at: Annotated[datetime, Field(description="When it ended")]
    dropped: Annotated[int, Field(ge=0, description="Lines before these, which were not kept")]
    lines: Annotated[list[LogLine], Field(description="The oldest first")]


class TaskLogs(Page):
    """What the attempts of a run logged, by task and time."""

    job_id: JobId
    run: Annotated[int, Field(ge=1)]
    logs: list[AttemptLog]
    links: Next


class Feature(Answered):
    """A GeoJSON feature."""

    type: Literal["Feature"]
    geometry: JsonObject
    properties: Annotated[JsonObject, Field(description="`kind` (cog, item, raster, layer), `title`, more")]


class Coverage(Answered):
    """A GeoJSON FeatureCollection in degrees."""

    type: Literal["FeatureCollection"]
    features: list[Feature]
    without_place: Annotated[int, Field(ge=0, description="What has no place on the Earth")]
    truncated: Annotated[bool, Field(description="Whether there are more")]


class Queue(Answered):
    """What waits in a queue."""

    kind: Literal["jobs", "tasks"]
    name: str
    messages: Annotated[int, Field(ge=0, description="About so many")]
    oldest_message_seconds: Annotated[Seconds | None, Field(description="Of those that are visible")]
    poison_messages: Count


class Queues(Answered):
    """What waits in the queues, and what waits to be sent."""

    at: datetime
    queues: list[Queue]
    outbox: Outbox


class Activity(Answered):
    """What happened lately, in buckets of time."""

    bucket_seconds: Annotated[int, Field(ge=1)]
    times: Annotated[list[int], Field(description="When each bucket begins, seconds since 1970")]
    series: Annotated[dict[str, list[int]], Field(description="A count for each bucket")]
    queued: Count
    processing: Count
    complete_since: Annotated[datetime | None, Field(description="Where the history is too long, its reach")]


class History(Answered):
    """What the last hours were like, in buckets of time."""

    sample_seconds: Annotated[int, Field(ge=1)]
    bucket_seconds: Annotated[int, Field(ge=1)]
    kept_hours: Annotated[int, Field(ge=1, description="Older samples are removed")]
    times: Annotated[list[int], Field(description="When each bucket begins, seconds since 1970")]
    series: Annotated[
        dict[str, list[float | None]],
        Field(
            description="For each bucket the most that was seen, or how often something happened;"
            " null without a sample"
        ),
    ]
