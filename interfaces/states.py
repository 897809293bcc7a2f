"""States of jobs, stages and tasks; the same words are PostgreSQL enums in `sql/migrations`."""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """`queued → processing → completed | completed_with_errors | failed`; `→ cancelling → cancelled`."""

    QUEUED = "queued"
    PROCESSING = "processing"
    CANCELLING = "cancelling"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_terminal(self) -> bool:
        """True when only an explicit retry or re-run leaves this state."""
        return self not in (JobStatus.QUEUED, JobStatus.PROCESSING, JobStatus.CANCELLING)


class StageStatus(StrEnum):
    """A stage is `failing` once its failure policy was broken and running tasks are awaited."""

    PROCESSING = "processing"
    FAILING = "failing"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskStatus(StrEnum):
    """`queued → processing → completed | failed | cancelled`; `processing → queued` on a retry."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class FailurePolicy(StrEnum):
    """What a failed task does to its stage: end the job, or be counted and left behind."""

    FAIL_JOB = "fail_job"
    CONTINUE = "continue"
