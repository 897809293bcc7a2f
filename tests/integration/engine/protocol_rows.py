"""The rows of the model: what the protocol decides by, of a task, a stage and a job."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

UNFINISHED = {"queued", "processing"}


@dataclass
class Task:
    """A task's row, as far as the protocol decides by it."""

    status: str = "queued"
    attempt: int = 0
    fence: int | None = None
    lease_over: bool = False
    due: bool = True
    worker: str = ""
    suspicion: int = 0
    """docs/adr/0004; a task with 2 is a suspect."""
    history: list[str] = field(default_factory=list)


@dataclass
class Stage:
    """A stage's row with its tasks. `fraction` is None where one failure fails the job."""

    tasks: list[Task]
    fraction: float | None
    status: str = "processing"

    def count(self, status: str) -> int:
        return sum(task.status == status for task in self.tasks)

    @property
    def unfinished(self) -> bool:
        return any(task.status in UNFINISHED for task in self.tasks)

    @property
    def broken(self) -> bool:
        allowed = 0 if self.fraction is None else floor(self.fraction * len(self.tasks))
        return self.count("failed") > allowed


@dataclass
class Job:
    """A job's row."""

    status: str = "queued"
    run: int = 1
    stage: int = 1
    plan_fence: int | None = None
    plan_over: bool = False
    plan_attempts: int = 0
    plan_worker: str = ""
    plan_shared: bool = False
    """Something else that the planner held was lost."""
    plan_spared: int = 0
    plan_interruptions: int = 0

    def release_plan(self) -> None:
        self.plan_fence, self.plan_over = None, False
