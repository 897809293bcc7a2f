"""Workers as the database sees them: sessions, and the rights to write that claims hand out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from interfaces.jobs import ClaimedPlan, ClaimedTask
from interfaces.settings import Settings
from repositories.connection import Connection
from repositories.database import Database
from repositories.jobs import JobRepository
from repositories.recovery import RecoveryRepository
from repositories.stages import StageRepository
from repositories.tasks import TaskRepository

from .protocol_model import StageKey


class HeldDatabase(Database):
    """A session whose transaction stays open, as between a statement and its commit."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._held: Connection | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        if self._held is not None:
            yield self._held
        else:
            with super().connection() as connection:
                yield connection

    @contextmanager
    def holding(self) -> Iterator[Connection]:
        """Everything until the end is one transaction, which the caller ends."""
        with super().connection() as connection:
            connection.execute("BEGIN")
            self._held = connection
            try:
                yield connection
            finally:
                self._held = None
                connection.rollback()


class Session:
    """A worker as the database sees it."""

    def __init__(self, settings: Settings, name: str) -> None:
        self.name = name
        self.database = HeldDatabase(settings)
        self.jobs = JobRepository(self.database)
        self.stages = StageRepository(self.database)
        self.tasks = TaskRepository(self.database)
        self.recovery = RecoveryRepository(self.database)
        self.claimed: list[ClaimedTask | ClaimedPlan] = []
        """What the last step claimed."""


@dataclass(frozen=True)
class Token:
    """The right to write one task's outcome, or to plan one stage: ours, and as the database knows it."""

    fence: int
    real: ClaimedTask | ClaimedPlan


@dataclass
class Tokens:
    """Every right that was ever handed out, most of them worth nothing any more."""

    batches: list[list[Token]] = field(default_factory=list)
    plans: list[Token] = field(default_factory=list)


def stage_of(claim: ClaimedTask | ClaimedPlan) -> StageKey:
    return claim.job_id, claim.run, claim.stage


def key_of(claim: ClaimedTask | ClaimedPlan) -> object:
    """The model's name of what was claimed: a stage or a task."""
    return (*stage_of(claim), claim.task_index) if isinstance(claim, ClaimedTask) else stage_of(claim)


def fence_of(claim: ClaimedTask | ClaimedPlan) -> int:
    """The database's fence of a claim."""
    return claim.fence if isinstance(claim, ClaimedTask) else claim.plan_fence
