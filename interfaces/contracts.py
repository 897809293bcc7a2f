"""Contracts at the engine's boundaries, and the decorator that enforces them."""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar, ParamSpec, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationError,
    validate_call,
)

from .access import Role
from .errors import ContractViolation, FieldError, field_errors
from .states import StageStatus, TaskStatus

P = ParamSpec("P")
R = TypeVar("R")

JobId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 of what was asked, as 64 lower-case hex digits."""

JsonObject = dict[str, JsonValue]


def examples(*documents: JsonObject) -> ConfigDict:
    """The configuration of a model whose JSON Schema is to show these."""
    return ConfigDict(json_schema_extra={"examples": [*documents]})


class Contract(BaseModel):
    """Base of all boundary models: immutable, strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Summarised(Contract, ABC):
    """A result that may be too large for the database: then this much of it stays there."""

    @abstractmethod
    def summary(self) -> JsonObject:
        """What the job's result is made of, however large the whole is; fields as the whole has them."""


class JobParameters(BaseModel):
    """Base of every job type's parameters: unknown fields and coerced types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    needed_role: ClassVar[Role] = Role.SUBMITTER
    """The least role that may ask for such a job (docs/access.md)."""


class TaskParameters(BaseModel):
    """Base of every task type's parameters, as read back from the task's row."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskOutcome(Contract):
    """How one task ended. `result` is None for a failed task; of one that is kept out of line it is the
    summary, if its type has one (`Summarised`), else None."""

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

    Raises `ContractViolation` naming the function and the field: a parameter's name, or `returned`,
    and the path below it. Errors raised inside the function pass unchanged, also when they are
    validation errors of something else.
    """

    @functools.wraps(function)
    def shielded(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            answer = function(*args, **kwargs)
        except ValidationError as error:
            raise _RaisedInside(error) from error
        return returns(returned=answer)

    config = ConfigDict(arbitrary_types_allowed=True)
    checked = validate_call(config=config)(shielded)
    returns = _identity(function, config)
    names = list(inspect.signature(function).parameters)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return checked(*args, **kwargs)
        except _RaisedInside as inside:
            original = inside.error
        except ValidationError as error:
            fields = [_named(field, names) for field in field_errors(error)]
            listed = "; ".join(f"{e.field}: {e.reason}" for e in fields)
            raise ContractViolation(f"{function.__qualname__}: {listed}", errors=fields) from error
        raise original

    return call


class _RaisedInside(Exception):
    """Carries a function's own validation error past the validation of its arguments."""

    def __init__(self, error: ValidationError) -> None:
        super().__init__(str(error))
        self.error = error


def _identity(function: Callable[..., R], config: ConfigDict) -> Callable[..., R]:
    """Answers its argument `returned`, validated as what `function` is annotated to return."""

    def identity(returned: Any) -> Any:
        return returned

    # Resolved where the function was written.
    identity.__module__ = function.__module__
    identity.__annotations__ = {"returned": function.__annotations__.get("return", Any)}
    return validate_call(config=config)(identity)


def _named(error: FieldError, names: Sequence[str]) -> FieldError:
    """The error with its parameter's name, where Pydantic knows only a positional argument's place."""
    place, dot, rest = error.field.partition(".")
    if place.isdecimal() and int(place) < len(names):
        return FieldError(field=f"{names[int(place)]}{dot}{rest}", reason=error.reason)
    return error
