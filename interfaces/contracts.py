"""Contracts at the engine's boundaries, and the decorator that enforces them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, ParamSpec, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    validate_call,
)

from .errors import ContractViolation, field_errors
from .states import StageStatus, TaskStatus

P = ParamSpec("P")
R = TypeVar("R")

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of what was asked, as 64 lower-case hex digits."""

JsonObject = dict[str, JsonValue]


class Contract(BaseModel):
    """Base of all boundary models: immutable, strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JobParameters(BaseModel):
    """Base of every job type's parameters: unknown fields and coerced types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TaskParameters(BaseModel):
    """Base of every task type's parameters, as read back from the task's row."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskOutcome(Contract):
    """How one task ended. `result` is None for a failed task, and for one kept out of line."""

    task_index: Annotated[int, Field(ge=0)]
    status: TaskStatus
    result: JsonObject | None = None
    result_url: str | None = None
    error: str | None = None


class StageResult(Contract):
    """What a finished stage hands to the next stage's plan and to the job's result."""

    stage_number: Annotated[int, Field(ge=1)]
    stage_key: str
    status: StageStatus
    task_count: Annotated[int, Field(ge=0)]
    successful_tasks: Annotated[int, Field(ge=0)]
    failed_tasks: Annotated[int, Field(ge=0)]
    success_rate: Annotated[float, Field(ge=0, le=1)]
    first_task_results: list[TaskOutcome]
    completed_at: datetime
    metadata: JsonObject = Field(default_factory=dict)


def enforce_contract(function: Callable[P, R]) -> Callable[P, R]:
    """Validate a function's arguments and its return value against their annotations.

    Raises `ContractViolation` naming the function and the field. Errors raised inside the function
    pass unchanged, also when they are validation errors of something else.
    """
    checked = validate_call(config=ConfigDict(arbitrary_types_allowed=True), validate_return=True)(function)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return checked(*args, **kwargs)
        except ValidationError as error:
            if error.title != getattr(function, "__name__", "") and error.title not in str(function):
                raise
            fields = field_errors(error)
            listed = "; ".join(f"{e.field}: {e.reason}" for e in fields)
            raise ContractViolation(f"{function.__qualname__}: {listed}", errors=fields) from error

    return call
