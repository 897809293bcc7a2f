"""What a controller answers when asked to plan a stage. The engine carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    SkipValidation,
    Tag,
)

from .states import FailurePolicy

_CHECKED = ConfigDict(strict=True, extra="forbid", revalidate_instances="always", allow_inf_nan=False)
"""How a plan is held to its contract: it is one of the classes below, and its fields are what they say."""

Fraction = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]


def _iterable(value: Any) -> Any:
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ValueError("should be an iterable of mappings")
    return value


TaskParameterSets = Annotated[SkipValidation[Iterable[Mapping[str, JsonValue]]], BeforeValidator(_iterable)]
"""Each set is looked at when it is written, not before: there may be a million of them."""


def _group_key(key: str) -> str:
    if key == "items":
        raise ValueError("items is where the task finds its group; group by another key")
    return key


GroupKey = Annotated[str, Field(min_length=1), AfterValidator(_group_key)]


@dataclass(frozen=True)
class StageDefinition:
    """A numbered step of a job type; its number is its place in the controller's list, from 1."""

    key: str
    task_type: str
    on_failure: FailurePolicy = FailurePolicy.FAIL_JOB
    max_failed_fraction: Fraction | None = None
    """With `continue`: a larger share of failed tasks than this fails the job after all."""


@dataclass(frozen=True, kw_only=True)
class _StageTasks:
    """What every fan-out may say of its stage."""

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    common: Mapping[str, JsonValue] = field(default_factory=dict)
    """Parameters every task of the stage shares; kept once, in the stage's row."""
    on_failure: FailurePolicy | None = None
    """Overrides the stage's own policy, where the job's parameters choose it."""
    max_failed_fraction: Fraction | None = None
    expected_seconds: Seconds | None = None
    """How long one task is likely to take, where the job's parameters tell better than the task type."""
    canary: Annotated[int, Field(ge=0)] = 0
    """So many tasks run first; the others only when all of these have completed, else the stage fails."""


@dataclass(frozen=True)
class Tasks(_StageTasks):
    """One task for each mapping, in this order. The iterable is consumed once and streamed."""

    parameters: TaskParameterSets


@dataclass(frozen=True)
class TasksFromItems(_StageTasks):
    """One task for each item that the previous stage discovered: the item is the task's parameters.

    With `group_by`, one task for each distinct value that the items have under that key, in the order in
    which they first appear: its parameters are `{key: value, "items": [every item with that value]}`, ordered
    by the task that discovered them and then as it did. An item that lacks the key, or has null there, fails
    the plan (docs/adr/0011).
    """

    group_by: GroupKey | None = None


@dataclass(frozen=True)
class TasksFromResults(_StageTasks):
    """One task for each completed task of the previous stage, built from its result in the database.

    `select` maps a parameter of the new task to the key of the previous task's result it is taken from.
    """

    select: Mapping[str, str]


@dataclass(frozen=True)
class CompleteJob:
    """Nothing is left to do: the job completes now, with this result."""

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    result: Mapping[str, JsonValue]


@dataclass(frozen=True)
class FailJob:
    """The job cannot go on, for this reason."""

    __pydantic_config__: ClassVar[ConfigDict] = _CHECKED

    reason: str


FanOut = Tasks | TasksFromItems | TasksFromResults


def _kind(answer: object) -> str:
    return type(answer).__name__


StagePlan = Annotated[
    Annotated[Tasks, Tag("Tasks")]
    | Annotated[TasksFromItems, Tag("TasksFromItems")]
    | Annotated[TasksFromResults, Tag("TasksFromResults")]
    | Annotated[CompleteJob, Tag("CompleteJob")]
    | Annotated[FailJob, Tag("FailJob")],
    Discriminator(
        _kind,
        custom_error_type="stage_plan",
        custom_error_message=(
            "should be one of Tasks, TasksFromItems, TasksFromResults, CompleteJob, FailJob"
        ),
    ),
]
"""A plan is named by its class, so that what is wrong with it is said about that class alone."""
