"""Answers for operators."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from interfaces.contracts import JobId, JsonObject
from interfaces.jobs import ConcurrencyLimit
from interfaces.states import JobStatus

from .common import Answered, Count, Seconds, TaskCounts


class JobCounts(Answered):
    """How many jobs there are."""

    total: Count
    live: Count
    by_status: dict[str, Count]
    by_type: dict[str, dict[str, Count]]


class Durations(Answered):
    """How long the last day's completed jobs of a type took."""

    job_type: str
    count: Count
    median_seconds: Seconds
    p95_seconds: Seconds


class QueueOutbox(Answered):
    """Messages to one queue."""

    queue: str
    pending: Count
    parked: Annotated[int, Field(ge=0, description="Held back by a limit")]
    sent: Annotated[int, Field(ge=0, description="Whose work nobody has taken up yet")]
    oldest_pending_seconds: float | None
    most_sends: Count


class Outbox(Answered):
    """Messages that must reach a queue."""

    pending: Count
    parked: Count
    sent: Count
    oldest_pending_seconds: float | None
    by_queue: list[QueueOutbox]


class TableSize(Answered):
    """A table with its indexes."""

    table: str
    bytes: Count
    estimated_rows: Annotated[int, Field(ge=-1, description="-1: nobody has counted yet")]
    dead_rows: Count
    vacuumed_at: datetime | None


class Server(Answered):
    """The database server."""

    version: str
    max_connections: Count
    connections: Count
    database_bytes: Count


class Stats(Answered):
    """Counts and sizes of the whole app."""

    jobs: JobCounts
    durations_last_day: list[Durations]
    tasks: TaskCounts
    outbox: Outbox
    poison: dict[str, Count]
    tables: list[TableSize]
    server: Server


class EnumComparison(Answered):
    """One enum as the schema and as Python have it."""

    name: str
    equal: bool
    python: list[str]
    database: list[str]
    missing_in_database: list[str]
    missing_in_python: list[str]


class Enums(Answered):
    """Whether database and code agree."""

    equal: bool
    enums: list[EnumComparison]


class SqlFunction(Answered):
    """One SQL function, called where a call does no harm."""

    name: str
    exists: bool
    arguments: str | None
    called: bool
    error: str | None = None
    duration_ms: float | None = None


class SqlFunctions(Answered):
    """Whether every SQL function exists and works."""

    ok: bool
    broken: list[str]
    functions: list[SqlFunction]


class Invariant(Answered):
    """What must never be; at most 100 rows are shown, `count` is exact."""

    name: str
    description: str
    count: Count
    rows: list[JsonObject]


class Invariants(Answered):
    """Everything that must never be."""

    total_violations: Count
    invariants: list[Invariant]


class PoisonGroup(Answered):
    """Recorded messages of one queue with the same reason."""

    queue: str
    reason: str
    count: Count
    newest_at: datetime


class PoisonMessage(Answered):
    """A recorded message; `raw` are its first 1,000 characters."""

    poison_id: int
    queue: str
    message_id: str
    reason: str
    raw: str
    bytes: Count
    dequeue_count: Count
    job_id: str | None
    run: int | None
    stage: int | None
    first: int | None
    last: int | None
    correlation_id: str
    action: str
    recorded_at: datetime


class PoisonMessages(Answered):
    """Messages that could not be processed."""

    total: Count
    by_queue: dict[str, Count]
    by_reason: list[PoisonGroup]
    newest: list[PoisonMessage]


class Migrations(Answered):
    """What is applied, and what is missing."""

    applied: Count
    newest: str | None
    pending: list[str]


class LiveJob(Answered):
    """A job that has not ended."""

    job_id: JobId
    job_type: str
    status: JobStatus
    run: int
    stage: int
    total_stages: int
    plan_attempts: Count
    plan_lease_until: datetime | None
    created_at: datetime
    updated_at: datetime


class TaskPlace(Answered):
    """Which task."""

    job_id: JobId
    run: int
    stage: int
    task_index: Count
    attempt: Count
    worker: str | None


class RunningTask(TaskPlace):
    """A task in work."""

    started_at: datetime | None
    lease_until: datetime


class FailedTask(TaskPlace):
    """A task that failed."""

    error: str
    completed_at: datetime


class Dispatch(Answered):
    """A message on its way."""

    dispatch_id: int
    queue: Literal["jobs", "tasks"]
    job_id: JobId
    run: int
    stage: int
    first: int | None
    last: int | None
    not_before: datetime
    taken_until: datetime | None
    sends: Count
    sent_at: datetime | None
    redeliver_at: datetime | None
    parked: str | None
    created_at: datetime


class NewEvent(Answered):
    """Something that happened."""

    event_id: int
    job_id: JobId
    run: int
    stage: int | None
    event: str
    detail: JsonObject | None
    worker: str | None
    at: datetime


class Debug(Answered):
    """A bounded part of everything."""

    stats: Stats
    migrations: Migrations
    invariants: dict[str, Count]
    live_jobs: list[LiveJob]
    running_tasks: list[RunningTask]
    failed_tasks: list[FailedTask]
    oldest_dispatches: list[Dispatch]
    newest_events: list[NewEvent]
    poison: PoisonMessages


class ConcurrencyLimits(Answered):
    """Every limit."""

    limits: list[ConcurrencyLimit]


class SchemaChange(Answered):
    """What was done to the schema; names of files and of tables."""

    operation: Literal["migrate", "redeploy", "nuke"]
    dropped: list[str]
    made: list[str]
    applied: list[str] | None = None
