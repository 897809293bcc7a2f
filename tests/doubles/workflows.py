"""A workflow whose stages, plans and handlers a test writes in place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from interfaces.contracts import JobParameters, JsonObject, StageResult, TaskParameters
from interfaces.plans import StageDefinition, StagePlan, Tasks
from interfaces.workflows import RetryPolicy, TaskContext, TaskDefinition, TaskResults

FAST_RETRY = RetryPolicy(
    max_attempts=3, base_delay=timedelta(milliseconds=1), max_delay=timedelta(milliseconds=1)
)


class AnyParameters(JobParameters):
    """Whatever the test submits."""

    label: str = "x"
    n: int = 1


class AnyTask(TaskParameters):
    """Whatever the test plans."""

    model_config = ConfigDict(frozen=True, extra="allow")


class ScriptedJob:
    """A controller made of functions."""

    description = "a test's workflow"
    parameters_model = AnyParameters

    def __init__(
        self,
        job_type: str,
        stages: Sequence[StageDefinition],
        plan: Callable[[int, AnyParameters, StageResult | None], StagePlan] | None = None,
        aggregate: Callable[[Sequence[StageResult], TaskResults], JsonObject] | None = None,
    ) -> None:
        self.job_type = job_type
        self.stages = stages
        self._plan = plan or (lambda stage, p, previous: Tasks([{"i": i} for i in range(p.n)]))
        self._aggregate = aggregate or (lambda stages, results: {"stages": len(stages)})

    def plan(self, stage: int, parameters: AnyParameters, previous: StageResult | None) -> StagePlan:
        return self._plan(stage, parameters, previous)

    def aggregate(
        self, parameters: AnyParameters, stages: Sequence[StageResult], results: TaskResults
    ) -> JsonObject:
        return self._aggregate(stages, results)


def task_type(
    name: str,
    handler: Callable[[dict[str, Any], TaskContext], BaseModel | Mapping[str, JsonValue]],
    **options: Any,
) -> TaskDefinition[AnyTask]:
    """A task type whose handler takes its parameters as a dictionary."""
    options.setdefault("retry", FAST_RETRY)
    return TaskDefinition(
        name, AnyTask, lambda parameters, context: handler(parameters.model_dump(), context), **options
    )
