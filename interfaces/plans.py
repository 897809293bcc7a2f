"""What a controller answers when asked to plan a stage. The engine carries it out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import JsonValue

from .states import FailurePolicy


@dataclass(frozen=True)
class StageDefinition:
    """A numbered step of a job type; its number is its place in the controller's list, from 1."""

    key: str
    task_type: str
    on_failure: FailurePolicy = FailurePolicy.FAIL_JOB
    max_failed_fraction: float | None = None
    """With `continue`: a larger share of failed tasks than this fails the job after all."""


@dataclass(frozen=True)
class Tasks:
    """One task for each mapping, in this order. The iterable is consumed once and streamed."""

    parameters: Iterable[Mapping[str, JsonValue]]
    common: Mapping[str, JsonValue] = field(default_factory=dict)
    """Parameters every task of the stage shares; kept once, in the stage's row."""
    on_failure: FailurePolicy | None = None
    """Overrides the stage's own policy, where the job's parameters choose it."""
    max_failed_fraction: float | None = None


@dataclass(frozen=True)
class TasksFromItems:
    """One task for each item that the previous stage discovered: the item is the task's parameters."""

    common: Mapping[str, JsonValue] = field(default_factory=dict)
    on_failure: FailurePolicy | None = None
    """Overrides the stage's own policy, where the job's parameters choose it."""
    max_failed_fraction: float | None = None


@dataclass(frozen=True)
class TasksFromResults:
    """One task for each completed task of the previous stage, built from its result in the database.

    `select` maps a parameter of the new task to the key of the previous task's result it is taken from.
    """

    select: Mapping[str, str]
    common: Mapping[str, JsonValue] = field(default_factory=dict)
    on_failure: FailurePolicy | None = None
    """Overrides the stage's own policy, where the job's parameters choose it."""
    max_failed_fraction: float | None = None


@dataclass(frozen=True)
class CompleteJob:
    """Nothing is left to do: the job completes now, with this result."""

    result: Mapping[str, JsonValue]


@dataclass(frozen=True)
class FailJob:
    """The job cannot go on, for this reason."""

    reason: str


FanOut = Tasks | TasksFromItems | TasksFromResults
StagePlan = FanOut | CompleteJob | FailJob
