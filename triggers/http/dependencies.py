"""What the HTTP API needs, as it sees it. The composition root hands it in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from interfaces.blobs import BlobRepository
from interfaces.breakers import BreakerStatus
from interfaces.callbacks import CallbackRequest
from interfaces.costs import DryRun, JobCost
from interfaces.explanations import JobFacts
from interfaces.follow_ups import Then
from interfaces.jobs import Changed, ConcurrencyLimit, JobTypeInfo, Submitted
from interfaces.queues import QueueRepository
from interfaces.retention import Cleanup
from interfaces.settings import Settings
from interfaces.signals import Family
from interfaces.states import JobStatus
from interfaces.tracing import NO_TRACING, Tracing
from interfaces.web_requests import WebAnswer, WebRequest

from .access_dependencies import Audit, Identities
from .answer_types import Document, Page, Position
from .follow_up_dependencies import Callbacks, Schedules
from .view_dependencies import Activity, Coverage, JobViews

__all__ = ["Document", "HttpDependencies", "Page", "Position", "StageScope", "WebApi"]


class Jobs(Protocol):
    """The part of the engine that accepts and steers jobs (`engine.Engine`)."""

    def submit(
        self,
        job_type: str,
        parameters: object,
        *,
        rerun: bool = False,
        correlation_id: str,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> Submitted:
        """Write a job down and wake the workers."""
        ...

    def cancel(self, job_id: str) -> Changed:
        """Stop a job."""
        ...

    def retry(self, job_id: str, *, correlation_id: str) -> Changed:
        """Queue an ended job's failed tasks again."""
        ...

    def rerun(
        self,
        job_id: str,
        *,
        correlation_id: str,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> Submitted:
        """Start a new run of an ended job."""
        ...

    def dry_run(
        self,
        job_type: str,
        parameters: object,
        *,
        rerun: bool = False,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> DryRun:
        """What a submission would do and is likely to take."""
        ...

    def replay(self, poison_id: int, *, correlation_id: str) -> Changed:
        """Take up again what a recorded poison message was about."""
        ...

    def job_types(self) -> list[JobTypeInfo]:
        """Every job type."""
        ...


class Limits(Protocol):
    """Limits of concurrency (`engine.Engine.limits`)."""

    def all(self) -> list[ConcurrencyLimit]:
        """Every limit, with what runs and waits now."""
        ...

    def set(self, kind: str, name: str, at_most: int | None) -> None:
        """Set a limit, or remove it with None."""
        ...


class Retention(Protocol):
    """Removal of what ended long ago (`engine.Engine.retention`)."""

    def cleanup(self, older_than_days: int | None, *, dry_run: bool, limit: int) -> Cleanup:
        """Remove old runs, or count them."""
        ...


class Inspection(Protocol):
    """Jobs, tasks and their history (`repositories.inspection`)."""

    def job_status(self, job_id: str) -> JobStatus:
        """The job's state, cheaply."""
        ...

    def progress(self, job_id: str) -> Document:
        """State, stages, progress, result and times."""
        ...

    def job(self, job_id: str) -> Document:
        """A job's row with its stages."""
        ...

    def jobs(
        self,
        *,
        statuses: Sequence[str],
        job_type: str | None,
        stage: int | None,
        hours: float | None,
        search: str | None,
        contains: str | None,
        parameter: tuple[str, str] | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Jobs, newest first."""
        ...

    def tasks(
        self,
        *,
        statuses: Sequence[str],
        task_type: str | None,
        stage: int | None,
        hours: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Tasks of all jobs' current runs."""
        ...

    def job_tasks(
        self,
        job_id: str,
        *,
        run: int | None,
        statuses: Sequence[str],
        task_type: str | None,
        stage: int | None,
        hours: float | None,
        after: Position | None,
        limit: int,
    ) -> Page:
        """Tasks of one run of a job."""
        ...

    def events(self, job_id: str, *, after: Position | None, limit: int) -> Page:
        """A job's history."""
        ...

    def poison(self, newest: int) -> Document:
        """Recorded poison messages."""
        ...


class JobExplanation(Protocol):
    """What explains where a job is (`repositories.explanation`)."""

    def facts(self, job_id: str) -> JobFacts:
        """What the database knows of the job's current run."""
        ...


class Costs(Protocol):
    """What runs took (`repositories.costs`)."""

    def cost(self, job_id: str, run: int | None = None) -> JobCost:
        """What a run took, the current one by default."""
        ...


class Watch(Protocol):
    """Who waits for jobs (`repositories.job_watch`)."""

    async def ended(self, job_id: str, seconds: float) -> None:
        """Return when the job has ended, or when the time is over."""
        ...


class StageScope(Protocol):
    """The tasks of one stage of one run; `stage` is None while no stage has tasks."""

    @property
    def run(self) -> int:
        """The run."""
        ...

    @property
    def stage(self) -> int | None:
        """The stage."""
        ...


class Results(Protocol):
    """Outcomes of tasks (`repositories.results`); `result` is JSON text in their documents."""

    def scope(
        self, job_id: str, *, run: int | None, stage: int | None, statuses: Sequence[str]
    ) -> StageScope:
        """What is asked for, with defaults filled in."""
        ...

    # A scope is handed back to whoever gave it, so its own type does not matter here.
    def page(self, scope: Any, *, after: Position | None, limit: int) -> Page:
        """A page of outcomes."""
        ...

    def rows(self, scope: Any, *, after: Position | None, limit: int | None) -> Iterator[Document]:
        """All outcomes, streamed."""
        ...

    def keys(self, scope: Any, limit: int) -> list[str] | None:
        """The keys that occur in the results; None when there are too many."""
        ...


class Diagnostics(Protocol):
    """The whole app's state (`repositories.diagnostics`)."""

    def stats(self) -> Document:
        """Counts and sizes."""
        ...

    def recent(self, limit: int) -> Document:
        """What lives, failed, waits and happened last."""
        ...

    def outbox(self) -> Document:
        """What waits to be sent."""
        ...

    def server_version(self) -> str:
        """The version of PostgreSQL."""
        ...

    def enums(self) -> Document:
        """The schema's enums compared with Python's."""
        ...

    def functions(self) -> Document:
        """Whether every SQL function exists and works."""
        ...


class Invariants(Protocol):
    """The views that must be empty (`repositories.invariants`)."""

    def violations(self) -> Document:
        """Every invariant with its violations."""
        ...

    def counts(self) -> dict[str, int]:
        """The number of violations of each."""
        ...


class Schema(Protocol):
    """The schema as an operator handles it (`repositories.schema`)."""

    def state(self) -> Document:
        """What is applied and what is pending."""
        ...

    def pending(self) -> list[str]:
        """What is pending."""
        ...

    def migrate(self) -> Document:
        """Apply what is pending."""
        ...

    def redeploy(self) -> Document:
        """Drop everything and make it anew."""
        ...

    def nuke(self) -> Document:
        """Drop everything."""
        ...


class Catalog(Protocol):
    """The STAC catalog in the database (`repositories.pgstac_schema`)."""

    def installed(self) -> str | None:
        """The version of pgstac; None where it is not set up."""
        ...


class WebApi(Protocol):
    """A web application of a library's (`repositories.catalog_api`, `repositories.features_api`)."""

    async def answer(self, request: WebRequest) -> WebAnswer:
        """What it answers; raises the errors that are to become problems."""
        ...


class Breakers(Protocol):
    """The circuit breakers of this process (`repositories.breakers`)."""

    def status(self) -> list[BreakerStatus]:
        """Every breaker as it is now."""
        ...


class Signals(Protocol):
    """The app in numbers (`engine.signals`)."""

    def all(self) -> list[Family]:
        """Every metric that this process can tell."""
        ...


@dataclass(frozen=True)
class HttpDependencies:
    """Everything the endpoints call."""

    settings: Settings
    jobs: Jobs
    limits: Limits
    callbacks: Callbacks
    schedules: Schedules
    retention: Retention
    inspection: Inspection
    views: JobViews
    coverage: Coverage
    activity: Activity
    explanation: JobExplanation
    costs: Costs
    watch: Watch
    results: Results
    diagnostics: Diagnostics
    invariants: Invariants
    schema: Schema
    queues: QueueRepository
    blobs: BlobRepository
    breakers: Breakers
    signals: Signals
    catalog: Catalog
    catalog_api: WebApi
    features_api: WebApi
    audit: Audit
    tracing: Tracing = NO_TRACING
    identities: Identities | None = None
    """None: the host has looked at its keys."""
