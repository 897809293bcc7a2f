"""Documents made of rows: how far a job, a stage or a task is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from interfaces.states import JobStatus, StageStatus, TaskStatus

from .keyset import Document

Row = Mapping[str, Any]

TIMES = ("created_at", "queued_at", "started_at", "updated_at", "completed_at")
ENDED = (TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED)


def job_progress(job: Row, stages: Sequence[Row]) -> Document:
    """State, stages, progress, result and times of a job.

    `progress.percent` gives each stage an equal share, whether it is planned yet or not; a stage's own
    percent is the share of its tasks that ended.
    """
    counts = {state: sum(stage[state] for stage in stages) for state in TaskStatus}
    done = sum(_fraction(stage) for stage in stages) / job["total_stages"]
    if job["status"] in (JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_ERRORS):
        done = 1.0  # also where a plan completed the job before its last stage
    return {
        **{key: job[key] for key in ("job_id", "job_type", "status", "run", "stage", "total_stages")},
        "progress": {
            **{str(state): count for state, count in counts.items()},
            "total": sum(stage["task_count"] for stage in stages),
            "percent": _percent(done),
        },
        "stages": [stage_document(stage) for stage in stages],
        "result": job["result"],
        "error": job["error"],
        "timings": {
            **{key: job[key] for key in TIMES},
            "duration_seconds": _seconds(job["started_at"], job["completed_at"]),
        },
        "followed_by": job["followers"] or [],
        "submitted_by": job["submitted_by"],
        "correlation_id": job["correlation_id"],
    }


def listed_job(row: Row) -> Document:
    """A job of a listing, with its tasks by state and `percent` as in `job_progress`."""
    counts = {str(state): row[state] for state in TaskStatus}
    done = row["done"] / row["total_stages"]
    if row["status"] in (JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_ERRORS):
        done = 1.0
    shown = {key: value for key, value in row.items() if key not in {*counts, "total", "done"}}
    return {**shown, "progress": {**counts, "total": row["total"], "percent": _percent(done)}}


def stage_document(stage: Row) -> Document:
    """A stage with its counts per state folded into `progress`."""
    shown = {key: value for key, value in stage.items() if key not in set(TaskStatus)}
    return {
        **shown,
        "progress": {
            **{str(state): stage[state] for state in TaskStatus},
            "total": stage["task_count"],
            "percent": _percent(_fraction(stage)),
        },
        "duration_seconds": _seconds(stage["created_at"], stage["completed_at"]),
    }


def task_document(row: Row) -> Document:
    """A task with its public id in front, and with all attempts, the one that completed it among them."""
    shown = {key: value for key, value in row.items() if key != "job_created_at"}
    identity = task_id(row["job_id"], row["run"], row["stage"], row["task_index"])
    attempts = [*(row["attempts"] or []), *_last_attempt(row)]
    return {"task_id": identity, **shown, "attempts": attempts, "duration_seconds": _ran(row)}


def task_id(job_id: str, run: int, stage: int, task_index: int) -> str:
    """A task's public id, derived from its key and never shortened."""
    return f"{job_id}-{run}-{stage}-{task_index}"


def _fraction(stage: Row) -> float:
    if (
        stage["status"] in (StageStatus.COMPLETED, StageStatus.COMPLETED_WITH_ERRORS)
        or not stage["task_count"]
    ):
        return 1.0
    ended: int = sum(stage[state] for state in ENDED)
    task_count: int = stage["task_count"]
    return min(max(ended / task_count, 0.0), 1.0)


def _percent(fraction: float) -> float:
    """Rounded down, so that 100 means all."""
    return int(fraction * 1000) / 10


def _last_attempt(row: Row) -> list[Document]:
    """The attempt that completed the task, or that runs now; every other one is in the row's history."""
    if row["status"] not in (TaskStatus.COMPLETED, TaskStatus.PROCESSING):
        return []
    return [
        {
            "attempt": row["attempt"],
            "outcome": row["status"],
            "error": None,
            "worker": row["worker"],
            "started_at": row["started_at"],
            "ended_at": row["completed_at"],
            "seconds": _ran(row),
        }
    ]


def _ran(row: Row) -> float | None:
    """How long the task's last attempt ran; None while it waits for the next one."""
    if row["completed_at"] is None and row["status"] != TaskStatus.PROCESSING:
        return None
    return _seconds(row["started_at"], row["completed_at"])


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    """From start to end, or until now; None before the start."""
    if start is None:
        return None
    return round(max(((end or datetime.now(UTC)) - start).total_seconds(), 0.0), 3)
