"""How attempts ended, as reports on their way to their tasks' rows."""

from __future__ import annotations

from interfaces.jobs import ClaimedTask, TaskReport
from interfaces.states import TaskStatus


def ended(task: ClaimedTask, outcome: TaskStatus, error: str) -> TaskReport:
    """The task has ended, without a result."""
    return TaskReport(task_index=task.task_index, fence=task.fence, outcome=outcome, error=error)


def failed(task: ClaimedTask, error: str) -> TaskReport:
    """The task has failed, and is not tried again."""
    return ended(task, TaskStatus.FAILED, error)


def unwritable(report: TaskReport, error: str) -> TaskReport:
    """In place of one that the database cannot hold: the task has failed of it."""
    return TaskReport(
        task_index=report.task_index,
        fence=report.fence,
        outcome=TaskStatus.FAILED,
        error=f"the outcome cannot be written: {error}",
    )


def retried(task: ClaimedTask, error: str, delay: float) -> TaskReport:
    """The attempt has failed, and another is due after so many seconds."""
    return TaskReport(
        task_index=task.task_index, fence=task.fence, outcome=None, error=error, delay_seconds=delay
    )


def deferred(task: ClaimedTask, error: str, delay: float) -> TaskReport:
    """The same, and the attempt is not counted."""
    return TaskReport(
        task_index=task.task_index,
        fence=task.fence,
        outcome=None,
        error=error,
        delay_seconds=delay,
        deferred=True,
    )
