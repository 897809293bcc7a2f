"""The two things a workflow is made of: a controller that plans, and handlers that work."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel, JsonValue

from .contracts import JobParameters, JsonObject, StageResult, TaskOutcome, TaskParameters
from .plans import StageDefinition, StagePlan

J = TypeVar("J", bound=JobParameters)
T = TypeVar("T", bound=TaskParameters)

TaskResults = Callable[[int], Iterator[TaskOutcome]]
"""Streams the outcomes of one stage's tasks, ordered by task index, without holding them in memory."""


class JobController(Protocol[J]):
    """One workflow: what its stages are, how each fans out, what the job answers. Pure: no I/O."""

    job_type: str
    description: str
    parameters_model: type[J]
    stages: Sequence[StageDefinition]

    def __hash__(self) -> int:
        """By identity, as every object has it: what is made once for a controller is kept by it."""
        ...

    def plan(self, stage: int, parameters: J, previous: StageResult | None) -> StagePlan:
        """The tasks of stage `stage` (from 1), given how the previous stage ended."""
        ...

    def aggregate(self, parameters: J, stages: Sequence[StageResult], results: TaskResults) -> JsonObject:
        """The job's result, once its last stage has ended."""
        ...


class TaskContext(Protocol):
    """What a handler may ask of the engine while it runs."""

    job_id: str
    run: int
    stage: int
    task_index: int
    attempt: int
    fence: int
    """Tells this attempt from all others; what it writes counts only while its task has this fence."""
    correlation_id: str

    def discover(self, items: Iterable[Mapping[str, JsonValue]]) -> int:
        """Hand items to the next stage, a page at a time; they count only if this attempt completes.

        Returns how many were handed over. Consumes `items` lazily.
        """
        ...

    def scratch_name(self, suffix: str) -> str:
        """A name in the container of scratch blobs that no other attempt uses.

        What is there is removed some time after the run has ended, however it ended.
        """
        ...

    def check(self) -> None:
        """Raise `TaskCancelled`, `LeaseLost` or `TaskTimedOut` when there is no point in going on."""
        ...


Handler = Callable[[T, TaskContext], BaseModel | Mapping[str, JsonValue]]


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with full jitter: attempt n waits random(0, min(cap, base * 2 ** (n - 1)))."""

    max_attempts: int = 4
    base_delay: timedelta = timedelta(seconds=2)
    max_delay: timedelta = timedelta(minutes=5)
    permanent: tuple[type[BaseException], ...] = ()
    """Exceptions that no retry can mend, besides those that never can: `PermanentTaskError`, parameters
    that do not fit, and what is missing or forbidden (`NotFound`, `Forbidden`, `InvalidRequest`)."""


@dataclass(frozen=True)
class TaskDefinition(Generic[T]):
    """A task type: its parameters, its handler, and how it is run."""

    task_type: str
    parameters_model: type[T]
    handler: Handler[T]
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: timedelta = timedelta(minutes=8)
    """Must stay below `functionTimeout` of host.json: that one kills the whole process."""
    expected_duration: timedelta = timedelta(seconds=1)
    """How long a task is likely to take: tasks of milliseconds travel together, long ones alone."""
    max_batch: int = 1
    """Largest number of tasks that one message may carry; 1 for anything that takes seconds."""
    waits_for_io: bool = False
    """True when tasks of a batch gain from running concurrently."""


class JobTypes(Protocol):
    """Looks up controllers; raises `UnknownJobType` naming what is known."""

    def get(self, job_type: str) -> JobController[Any]:
        """The controller of this job type."""
        ...

    def all(self) -> Sequence[JobController[Any]]:
        """Every registered controller, by name."""
        ...


class TaskTypes(Protocol):
    """Looks up task definitions; raises `PermanentTaskError` for an unregistered type."""

    def get(self, task_type: str) -> TaskDefinition[Any]:
        """The definition of this task type."""
        ...
