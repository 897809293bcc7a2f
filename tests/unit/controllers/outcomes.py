"""Makes the contracts that a controller's aggregate is given."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from interfaces.contracts import JsonObject, StageResult, TaskOutcome
from interfaces.states import StageStatus, TaskStatus
from interfaces.workflows import TaskResults


def stage_result(number: int, completed: int, failed: int = 0) -> StageResult:
    """How a stage ended."""
    count = completed + failed
    return StageResult(
        stage_number=number,
        stage_key=f"stage-{number}",
        status=StageStatus.COMPLETED,
        task_count=count,
        successful_tasks=completed,
        failed_tasks=failed,
        success_rate=completed / count if count else 1.0,
        first_task_results=[],
        completed_at=datetime(2026, 3, 1, tzinfo=UTC),
    )


def task_results(**stages: Sequence[JsonObject | None]) -> TaskResults:
    """Streams outcomes; keyword `s2` is stage 2, and None in it a failed task."""

    def stream(stage: int) -> Iterator[TaskOutcome]:
        for index, result in enumerate(stages.get(f"s{stage}", [])):
            status = TaskStatus.FAILED if result is None else TaskStatus.COMPLETED
            yield TaskOutcome(task_index=index, status=status, result=result)

    return stream
