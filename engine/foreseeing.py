"""What a submission would do, and what it is likely to take: nothing is written, and nothing begun."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from statistics import fmean
from typing import Any, Literal

from interfaces.contracts import JobId, JsonObject
from interfaces.costs import (
    DryRun,
    Estimate,
    Expectation,
    ExpectedStage,
    MeanUsage,
    PastStage,
    Usage,
    total,
)
from interfaces.plans import CompleteJob, FailJob, Tasks
from interfaces.settings import Settings
from interfaces.states import JobStatus
from interfaces.workflows import JobController
from repositories.costs import CostRepository

from .planning import checked, parse

AGAIN = (JobStatus.FAILED, JobStatus.CANCELLED)
"""States that a submission leaves without being asked to."""


class Foresight:
    """Looks ahead."""

    def __init__(self, settings: Settings, costs: CostRepository) -> None:
        self._settings = settings
        self._costs = costs

    def dry_run(
        self, job_id: JobId, controller: JobController[Any], parameters: JsonObject, *, rerun: bool
    ) -> DryRun:
        """What submitting these parameters would do; `parameters` are complete."""
        status, newest = self._costs.standing(job_id)
        creates, reason = decided(status, rerun=rerun)
        first, note = self._first_stage(controller, parameters)
        past = relevant(self._costs.past_stages(job_id, controller.job_type))
        stages = expected(controller, first, past)
        return DryRun(
            job_id=job_id,
            job_type=controller.job_type,
            would_create=creates,
            run=newest + 1 if creates else newest,
            status=status,
            reason=reason,
            parameters=parameters,
            stages=stages,
            estimate=estimated(stages, past),
            note=note or (None if past else "no run of this job type has completed: nothing is known of it"),
        )

    def _first_stage(
        self, controller: JobController[Any], parameters: JsonObject
    ) -> tuple[int | None, str | None]:
        """How many tasks the first stage would have, if it would have any; and what else is to be said."""
        plan = checked(controller).plan(1, parse(controller, parameters), None)
        if isinstance(plan, FailJob):
            return None, f"the job would fail at once: {plan.reason}"
        if isinstance(plan, CompleteJob):
            return 0, "the job would complete at once: nothing is to be done"
        if not isinstance(plan, Tasks):
            return None, None
        limit = self._settings.max_tasks_per_stage
        count = sum(1 for _ in islice(plan.parameters, limit + 1))
        return count, f"the job would fail: more than {limit} tasks in a stage" if count > limit else None


def decided(status: JobStatus | None, *, rerun: bool) -> tuple[bool, str]:
    """Whether a submission queues anything, and why, given the state of the job of the same parameters."""
    if status is None:
        return True, "no job has these parameters: it would be a new one"
    if status in AGAIN:
        return True, f"the job of these parameters is {status}: a new run of it would start"
    if not status.is_terminal:
        return False, f"the job of these parameters is {status}: it is the answer"
    if rerun:
        return True, f"the job of these parameters is {status}, and a new run is asked for"
    return (
        False,
        f"the job of these parameters is {status}: it is the answer, unless rerun=true asks for more",
    )


def relevant(past: Sequence[PastStage]) -> list[PastStage]:
    """Runs of the same job tell more than others of its type: these count only where there are none."""
    same = [stage for stage in past if stage.same_job]
    return same or list(past)


def expected(
    controller: JobController[Any], first: int | None, past: Sequence[PastStage]
) -> list[ExpectedStage]:
    """The stages of a run, of which the first has so many tasks."""
    return [
        _expected(number, definition.key, definition.task_type, first if number == 1 else None, past)
        for number, definition in enumerate(controller.stages, 1)
    ]


def _expected(
    number: int, key: str, task_type: str, exactly: int | None, past: Sequence[PastStage]
) -> ExpectedStage:
    runs = [stage for stage in past if stage.stage == number]
    # A run that completed before this stage had no tasks in it.
    without = len(_by_run(past)) - len(runs)
    counts = [exactly] if exactly is not None else [stage.tasks for stage in runs] + [0] * without
    measured = [stage for stage in runs if stage.usage.attempts]
    tasks = sum(stage.tasks for stage in measured)
    known: Literal["past", "unknown"] = "past" if past else "unknown"
    return ExpectedStage(
        stage=number,
        stage_key=key,
        task_type=task_type,
        known="exactly" if exactly is not None else known,
        tasks=_spread(counts),
        usage_of_a_task=MeanUsage.of(total(stage.usage for stage in measured), tasks) if tasks else None,
    )


def estimated(stages: Sequence[ExpectedStage], past: Sequence[PastStage]) -> Estimate | None:
    """What all of them would take; None unless a run was measured."""
    measured = [usage for usage in _by_run(past).values() if usage.attempts]
    if not measured:
        return None
    parts = [
        stage.usage_of_a_task.times(stage.tasks.mean)
        for stage in stages
        if stage.tasks is not None and stage.usage_of_a_task is not None
    ]
    return Estimate(
        based_on=len(measured),
        of="this job" if past[0].same_job else "this job type",
        usage=sum(parts, MeanUsage()),
        planning_seconds=_planning(past),
        largest_gb_seconds=max(usage.gb_seconds for usage in measured),
    )


def _planning(past: Sequence[PastStage]) -> Expectation | None:
    """How long runs were planned, of which each says so with all of its stages."""
    runs = {(stage.job_id, stage.run): stage.planning_seconds for stage in past}
    return _spread([seconds for seconds in runs.values() if seconds > 0])


def _spread(counts: Sequence[float]) -> Expectation | None:
    return Expectation(mean=fmean(counts), least=min(counts), most=max(counts)) if counts else None


def _by_run(past: Sequence[PastStage]) -> dict[tuple[str, int], Usage]:
    runs: dict[tuple[str, int], Usage] = {}
    for stage in past:
        runs[stage.job_id, stage.run] = runs.get((stage.job_id, stage.run), Usage()) + stage.usage
    return runs
