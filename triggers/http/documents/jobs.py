"""Answers about jobs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from interfaces.access import Kind
from interfaces.contracts import JobId, JsonObject, examples
from interfaces.jobs import Changed, JobTypeInfo, Submitted
from interfaces.states import JobStatus

from .common import (
    CORRELATION_ID,
    JOB_ID,
    MOMENT,
    Answered,
    JobLinks,
    JobTimes,
    Next,
    Page,
    Path,
    Progress,
    Seconds,
    Stage,
    TaskOutcomeState,
)

LINKS: JsonObject = {
    "status": f"/api/jobs/status/{JOB_ID}",
    **{
        name: f"/api/jobs/{JOB_ID}/{name}"
        for name in ("explain", "cost", "results", "cancel", "retry", "rerun")
    },
    "job": f"/api/db/jobs/{JOB_ID}",
    "tasks": f"/api/db/tasks/{JOB_ID}",
    "events": f"/api/db/events/{JOB_ID}",
}


class SubmittedJob(Submitted):
    """The job, new or not."""

    model_config = examples(
        {
            "job_id": JOB_ID,
            "job_type": "hello_world",
            "created": True,
            "run": 1,
            "status": "queued",
            "links": LINKS,
        }
    )

    links: JobLinks


class ChangedJob(Changed):
    """The job as it is now; `changed` is false where it was so before."""

    model_config = examples(
        {
            "job_id": JOB_ID,
            "changed": True,
            "run": 1,
            "stage": 2,
            "status": "processing",
            "tasks_queued": 3,
            "links": LINKS,
        }
    )

    links: JobLinks


class SubmitLink(Answered):
    """Where a job of this type is submitted."""

    submit: Path


class JobType(JobTypeInfo):
    """A job type; `parameters_schema` is JSON Schema."""

    links: SubmitLink


class JobTypes(Answered):
    """Every job type."""

    job_types: list[JobType]


class Timings(JobTimes):
    """Times of the current run; its duration so far, or in all."""

    duration_seconds: Seconds | None


PROGRESS: JsonObject = {
    "queued": 0,
    "processing": 0,
    "completed": 60,
    "failed": 0,
    "cancelled": 0,
    "total": 60,
    "percent": 100,
}
TIMES: JsonObject = {
    "created_at": MOMENT,
    "queued_at": MOMENT,
    "started_at": MOMENT,
    "updated_at": MOMENT,
    "completed_at": MOMENT,
}


class Follower(Answered):
    """What follows the run."""

    job_type: str
    state: Literal["waiting", "submitted", "skipped", "failed"]
    job_id: JobId | None
    run: int | None
    error: Annotated[str | None, Field(description="Why it does not follow")]


class By(Answered):
    """Who asked for something (docs/access.md)."""

    kind: Kind
    name: str
    id: Annotated[str | None, Field(description="Of the user or service principal in Entra ID")] = None


class JobProgress(Answered):
    """How far a job is."""

    model_config = examples(
        {
            "job_id": JOB_ID,
            "job_type": "hello_world",
            "status": "completed",
            "run": 1,
            "stage": 2,
            "total_stages": 2,
            "progress": PROGRESS,
            "stages": [],
            "result": {"greetings": 30, "replies": 30},
            "error": None,
            "timings": {**TIMES, "duration_seconds": 1.274},
            "followed_by": [],
            "submitted_by": {"kind": "user", "name": "ada@example.org", "id": "5d1f9c5e-…"},
            "correlation_id": CORRELATION_ID,
            "links": LINKS,
        }
    )

    job_id: JobId
    job_type: str
    status: JobStatus
    run: Annotated[int, Field(ge=1)]
    stage: Annotated[int, Field(ge=1)]
    total_stages: Annotated[int, Field(ge=1)]
    progress: Progress
    stages: Annotated[list[Stage], Field(description="Those planned so far")]
    result: JsonObject | None
    error: str | None
    timings: Timings
    followed_by: list[Follower]
    submitted_by: Annotated[
        By | None, Field(description="Who asked for this run; null: a schedule or a chain")
    ]
    correlation_id: str
    links: JobLinks


class Outcome(TaskOutcomeState):
    """How a task ended; `result_url` is where a result is that is too large for the database."""

    result: JsonObject | None
    result_url: str | None
    result_bytes: int | None
    result_sha256: str | None


class ResultLinks(JobLinks, Next):
    """Where everything about the job is found, and the next page."""


class Results(Page):
    """Outcomes of a stage's tasks, by task index; unfinished ones are among them."""

    model_config = examples(
        {
            "job_id": JOB_ID,
            "run": 1,
            "stage": 1,
            "count": 1,
            "results": [
                {
                    "task_id": f"{JOB_ID}-1-1-0",
                    "task_index": 0,
                    "status": "completed",
                    "attempt": 1,
                    "result": {"greeting": "Hello, world"},
                    "result_url": None,
                    "result_bytes": None,
                    "result_sha256": None,
                    "error": None,
                    "started_at": MOMENT,
                    "completed_at": MOMENT,
                }
            ],
            "next_cursor": None,
            "links": {**LINKS, "next": None},
        }
    )

    job_id: JobId
    run: Annotated[int, Field(ge=1)]
    stage: Annotated[int | None, Field(description="Null while no stage has tasks")]
    results: list[Outcome]
    links: ResultLinks
