"""hello_world: n greetings, then n replies, each quoting its greeting. Shows that the engine works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Annotated

from pydantic import Field, JsonValue

from interfaces.contracts import JobParameters, JsonObject, StageResult, examples
from interfaces.plans import StageDefinition, StagePlan, Tasks, TasksFromResults
from interfaces.states import FailurePolicy, TaskStatus
from interfaces.workflows import TaskResults

FIRST_REPLIES = 10
BRIEF_SECONDS = 0.0001
"""What a greeting takes that does not sleep."""


class HelloWorldParameters(JobParameters):
    """What to greet, how often, and how much of it should go wrong."""

    model_config = examples({"n": 30, "message": "Hello", "name": "world"})

    n: Annotated[int, Field(ge=1, le=1_000_000, description="Number of greetings, and of replies")] = 1
    message: Annotated[str, Field(min_length=1, max_length=1000)] = "Hello"
    name: Annotated[str, Field(min_length=1, max_length=200)] = "world"
    fail_fraction: Annotated[
        float,
        Field(ge=0, le=1, allow_inf_nan=False, description="Share of greetings that fail, evenly spread"),
    ] = 0.0
    sleep_seconds: Annotated[
        float, Field(ge=0, le=300, allow_inf_nan=False, description="How long each task takes, seconds")
    ] = 0.0
    canary: Annotated[
        int,
        Field(ge=0, le=1_000_000, description="Greetings that run first; the others only if they succeed"),
    ] = 0
    on_failure: Annotated[
        FailurePolicy, Field(strict=False, description="What a failed greeting does to the job")
    ] = FailurePolicy.FAIL_JOB


class HelloWorld:
    """Plans n greetings and one reply to each greeting that was given."""

    job_type = "hello_world"
    description = "Greets n times and answers every greeting; for trying out an installation."
    parameters_model = HelloWorldParameters
    stages: Sequence[StageDefinition] = (
        StageDefinition("greet", "hello_greeting"),
        StageDefinition("reply", "hello_reply"),
    )

    def plan(
        self,
        stage: int,
        parameters: HelloWorldParameters,
        previous: StageResult | None,  # noqa: ARG002
    ) -> StagePlan:
        """Stage 1: n greetings. Stage 2: a reply per greeting, made from that greeting's result."""
        if stage == 1:
            return Tasks(
                _greetings(parameters),
                common={
                    "message": parameters.message,
                    "name": parameters.name,
                    "sleep_seconds": parameters.sleep_seconds,
                },
                on_failure=parameters.on_failure,
                expected_seconds=BRIEF_SECONDS + parameters.sleep_seconds,
                canary=parameters.canary,
            )
        return TasksFromResults(
            select={"number": "number", "greeting": "greeting"},
            common={"name": parameters.name, "sleep_seconds": parameters.sleep_seconds},
            on_failure=parameters.on_failure,
            expected_seconds=BRIEF_SECONDS + parameters.sleep_seconds,
        )

    def aggregate(
        self,
        parameters: HelloWorldParameters,  # noqa: ARG002
        stages: Sequence[StageResult],
        results: TaskResults,
    ) -> JsonObject:
        """Counts of both stages, and the first replies."""
        greetings, replies = stages[0], stages[1]
        completed = (
            task.result for task in results(2) if task.status is TaskStatus.COMPLETED and task.result
        )
        return {
            "greetings": greetings.successful_tasks,
            "failed_greetings": greetings.failed_tasks,
            "replies": replies.successful_tasks,
            "failed_replies": replies.failed_tasks,
            "first_replies": [result["reply"] for result in islice(completed, FIRST_REPLIES)],
        }


def _greetings(parameters: HelloWorldParameters) -> Iterator[dict[str, JsonValue]]:
    for index in range(parameters.n):
        yield {"number": index + 1, "fail": _fails(index, parameters.fail_fraction)}


def _fails(index: int, fraction: float) -> bool:
    """True for `fraction` of all indexes, evenly spread and the same each time."""
    return int((index + 1) * fraction) > int(index * fraction)
