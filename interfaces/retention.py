"""What retention answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from .contracts import Contract


class Cleanup(Contract):
    """What was removed, or with `dry_run` would be."""

    older_than_days: int
    dry_run: bool
    jobs: int
    runs: int
    """Those of the jobs, and earlier runs of jobs that live on."""
    tasks: int
    items: int
    events: int
    blobs: int
    """Results of the runs, and scratch blobs of all runs that have ended."""
    more: bool
    """Whether anything is left that is as old: the time or the limit was used up."""


@dataclass(frozen=True, slots=True)
class OldRun:
    """A run that ended; `completed_at` tells whether it is still as it was found."""

    job_id: str
    run: int
    completed_at: datetime
    is_current: bool
    """Whether it is its job's current run, so that the job goes with it."""


@dataclass(frozen=True, slots=True)
class EndedStage:
    """A stage in which attempts that did not complete may have left something behind."""

    job_id: str
    run: int
    stage: int
    completed_at: datetime
    listing: bool
    """Whether there may be results in blob storage that no task refers to."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at a task of a stage."""

    task_index: int
    fence: int


@dataclass(frozen=True, slots=True)
class ArchivedTask:
    """A task as a line of JSON; `elsewhere` says that its result is in blob storage."""

    stage: int
    task_index: int
    fence: int | None
    elsewhere: bool
    line: str


class Leavings(Protocol):
    """What handlers leave unfinished outside the engine's own tables when they die."""

    def clean(self, age: timedelta, check: Callable[[], None]) -> int:
        """Finish or remove what was left so long ago; answers how much.

        No handler that began before can still be at work then. Any number of these may run at the same time,
        and each may end anywhere. `check` is called now and then, and may raise.
        """
        ...
