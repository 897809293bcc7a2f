"""What many answers have."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from interfaces.contracts import JobId, StageResult
from interfaces.errors import FieldError
from interfaces.states import FailurePolicy, JobStatus, StageStatus, TaskStatus

JOB_ID = "4118f2a0c1d5e7b39a6c8f0e2d4b6a8c1e3f5079b8d6c4a2e0f1d3b5a7c9e8f6"
CORRELATION_ID = "5d1f9c5e-8c5f-4a7e-9a43-0c3f6f6f9f11"
MOMENT = "2026-11-26T12:50:13.204817+00:00"

Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=0)]
Path = Annotated[str, Field(description="To be resolved against the address that was asked")]


class Answered(BaseModel):
    """Base of all shapes: what is not named here is not answered."""

    # Built when the document is asked for, not when the process starts.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Problem(Answered):
    """Why a request was refused or failed (RFC 9457)."""

    type: Annotated[str, Field(pattern="^urn:problem:[a-z-]+$")]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str
    instance: Annotated[str, Field(description="The path that was asked for, without its query")]
    correlation_id: str
    errors: Annotated[
        list[FieldError],
        Field(
            max_length=50,
            description="`field` is the dotted path of a field of the body, the name of a query or path"
            " parameter, or (body)",
        ),
    ]


class JobLinks(Answered):
    """Where everything about a job is found."""

    status: Path
    explain: Path
    cost: Path
    results: Path
    cancel: Path
    retry: Path
    rerun: Path
    job: Path
    tasks: Path
    events: Path


class TaskCounts(Answered):
    """Tasks by state."""

    queued: int
    processing: int
    completed: int
    failed: int
    cancelled: int


class Progress(TaskCounts):
    """Tasks by state, and how many of them have ended. Counts may lag behind for a moment."""

    total: Count
    percent: Annotated[float, Field(ge=0, le=100, description="Rounded down, so that 100 means all")]


class Stage(Answered):
    """A stage that is planned, with its progress."""

    stage: Annotated[int, Field(ge=1)]
    stage_key: str
    task_type: str
    status: StageStatus
    task_count: Count
    batch_size: Annotated[int, Field(ge=1, description="Tasks that one message carries")]
    on_failure: FailurePolicy
    max_failed_fraction: Annotated[float, Field(ge=0, le=1)] | None
    max_attempts: Annotated[int, Field(ge=1)]
    error: str | None
    result: StageResult | None
    created_at: datetime
    completed_at: datetime | None
    progress: Progress
    duration_seconds: Seconds | None


class JobTimes(Answered):
    """When what happened to a job's current run; `created_at` is the first run's submission."""

    created_at: datetime
    queued_at: datetime
    started_at: datetime | None
    updated_at: datetime
    completed_at: datetime | None


class JobRow(JobTimes):
    """A job as listings show it."""

    job_id: JobId
    job_type: str
    status: JobStatus
    run: Annotated[int, Field(ge=1)]
    stage: Annotated[int, Field(ge=1)]
    total_stages: Annotated[int, Field(ge=1)]
    error: str | None
    correlation_id: str


class Next(Answered):
    """Where a listing goes on; null at its end."""

    next: Path | None


class Page(Answered):
    """A page of a listing."""

    count: Count
    next_cursor: Annotated[str | None, Field(description="For `cursor`, to get the next page")]


class TaskOutcomeState(Answered):
    """Which task it is, and how it stands."""

    task_id: Annotated[str, Field(description="`{job_id}-{run}-{stage}-{task_index}`")]
    task_index: Count
    status: TaskStatus
    attempt: Annotated[int, Field(ge=0, description="Attempts that count")]
    error: str | None
    started_at: datetime | None
    completed_at: datetime | None
