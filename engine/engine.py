"""The engine as triggers see it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from uuid import uuid4

from interfaces.blobs import BlobRepository
from interfaces.callbacks import CallbackRequest, CallbackSender
from interfaces.contracts import JobId, enforce_contract
from interfaces.costs import DryRun
from interfaces.follow_ups import Then
from interfaces.jobs import Changed, JobTypeInfo, Submitted
from interfaces.queues import JobMessage, QueueRepository, TaskMessage
from interfaces.retention import Leavings
from interfaces.settings import Settings
from interfaces.tracing import NO_TRACING, Tracing
from interfaces.workflows import JobTypes, TaskTypes
from repositories.callbacks import CallbackRepository, HttpCallbackSender
from repositories.costs import CostRepository
from repositories.database import Database
from repositories.follow_ups import FollowerRepository, ScheduleRepository
from repositories.history import HistoryRepository
from repositories.jobs import JobRepository
from repositories.limits import LimitRepository
from repositories.outbox import OutboxRepository
from repositories.recovery import RecoveryRepository
from repositories.retention import RetentionRepository
from repositories.schema import Readiness, Schema
from repositories.signals import SignalRepository
from repositories.stages import StageRepository
from repositories.tasks import TaskRepository

from .boundary import Arrival, Boundary
from .callbacks import Callbacks
from .chains import Chains
from .execution import Executor
from .foreseeing import Foresight
from .history import History
from .leases import LeaseKeeper
from .limits import Limits
from .metering import Meter
from .observing import Observer
from .planning import Planner
from .reconciliation import Reconciler
from .relay import Relay
from .replay import Replay
from .retention import Retention
from .schedules import Schedules
from .submission import Submission


class Engine:
    """Submit, fan out, run, complete, relay, reconcile. One per process; safe to use from many threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        queues: QueueRepository,
        blobs: BlobRepository,
        job_types: JobTypes,
        task_types: TaskTypes,
        leavings: Sequence[Leavings] = (),
        tracing: Tracing = NO_TRACING,
        callback_sender: CallbackSender | None = None,
    ) -> None:
        self.worker = f"{os.getpid()}-{uuid4().hex[:8]}"
        self._settings = settings
        self._readiness = Readiness(Schema(database))
        jobs, stages, tasks = JobRepository(database), StageRepository(database), TaskRepository(database)
        recovery = RecoveryRepository(database)
        observer = Observer(tracing, stages, tells=settings.log_format == "json")
        heartbeat = database.reserved()
        leases = LeaseKeeper(
            settings, TaskRepository(heartbeat), JobRepository(heartbeat), rest=heartbeat.close
        )
        self._relay = Relay(settings, OutboxRepository(database), queues)
        self._planner = Planner(
            settings, job_types, task_types, jobs, stages, self._relay, leases, observer, self.worker
        )
        self._executor = Executor(
            settings,
            task_types,
            tasks,
            stages,
            blobs,
            self._relay,
            self._planner,
            leases,
            Meter(),
            observer,
            self.worker,
        )
        sender = callback_sender or HttpCallbackSender(settings)
        self.callbacks = Callbacks(settings, CallbackRepository(database), sender, job_types)
        foresight = Foresight(settings, CostRepository(database))
        self._submission = Submission(
            settings, job_types, jobs, stages, self._relay, self._planner, foresight, self.callbacks
        )
        self.schedules = Schedules(ScheduleRepository(database), self._submission, self._relay)
        self._chains = Chains(FollowerRepository(database), self._submission, self._relay)
        self._boundary = Boundary(recovery, jobs, stages, self._relay, self._planner, observer)
        self._replay = Replay(recovery, self._submission, self._relay)
        self.limits = Limits(LimitRepository(database), job_types, task_types, self._relay)
        self._reconciler = Reconciler(
            settings, recovery, stages, queues, SignalRepository(database), observer, self.worker
        )
        self.history = History(settings, HistoryRepository(database), queues)
        self.retention = Retention(settings, RetentionRepository(database), blobs, leavings)

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
        """Write the job down and wake the workers.

        Raises `UnknownJobType`, `InvalidParameters`, `PayloadTooLarge`, `ServiceUnavailable`, and
        `InvalidRequest` for the callback and for what is to follow.
        """
        return self._submission.submit(
            job_type, parameters, rerun=rerun, correlation_id=correlation_id, callback=callback, then=then
        )

    def dry_run(
        self,
        job_type: str,
        parameters: object,
        *,
        rerun: bool = False,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> DryRun:
        """What `submit` would do and is likely to take. Writes nothing; raises as `submit` does."""
        return self._submission.dry_run(job_type, parameters, rerun=rerun, callback=callback, then=then)

    @enforce_contract
    def cancel(self, job_id: JobId) -> Changed:
        """Stop a job. Raises `JobNotFound`, or `Conflict` when it has ended."""
        return self._submission.cancel(job_id)

    @enforce_contract
    def retry(self, job_id: JobId, *, correlation_id: str) -> Changed:
        """Queue an ended job's failed tasks again. Raises `JobNotFound`, `Conflict`."""
        return self._submission.retry(job_id, correlation_id=correlation_id)

    @enforce_contract
    def rerun(
        self,
        job_id: JobId,
        *,
        correlation_id: str,
        callback: CallbackRequest | None = None,
        then: Then | None = None,
    ) -> Submitted:
        """Start a new run of an ended job. Raises `JobNotFound`, `Conflict`, and as `submit` does."""
        return self._submission.rerun(job_id, correlation_id=correlation_id, callback=callback, then=then)

    @enforce_contract
    def replay(self, poison_id: int, *, correlation_id: str) -> Changed:
        """Take up again what a recorded poison message was about. Raises `NotFound`, `Conflict`."""
        return self._replay.replay(poison_id, correlation_id=correlation_id)

    def job_types(self) -> list[JobTypeInfo]:
        """Every job type with the JSON Schema of its parameters."""
        return self._submission.types()

    @enforce_contract
    def process_job_message(self, arrival: Arrival) -> None:
        """A message of the jobs queue arrived. It goes back where the database is not of this release yet."""
        self._readiness.require()
        self._boundary.receive(arrival, JobMessage, lambda message: self._run(self._planner.process(message)))

    @enforce_contract
    def process_task_message(self, arrival: Arrival) -> None:
        """A message of the tasks queue arrived. It goes back as one of the jobs queue does."""
        self._readiness.require()
        self._boundary.receive(arrival, TaskMessage, self._run)

    @enforce_contract
    def process_poison_message(self, arrival: Arrival) -> None:
        """The host gave up on a message and put it into a poison queue."""
        self._readiness.require()
        is_job = arrival.queue == f"{self._settings.jobs_queue}-poison"
        self._boundary.given_up(arrival, JobMessage if is_job else TaskMessage)

    def _run(self, batch: TaskMessage | None) -> None:
        """Run a batch, and those of later stages that need no message of their own."""
        while batch is not None:
            batch = self._executor.process(batch)

    def relay(self) -> int:
        """Send what is pending in the outbox; answers how many messages were sent."""
        self._readiness.require()
        return self._relay.drain()

    def follow_up(self) -> int:
        """Submit what the clock and the ends of runs ask for; answers how much that was."""
        self._readiness.require()
        return self.schedules.fire() + self._chains.follow()

    def reconcile(self) -> dict[str, int]:
        """Make every stuck thing move again; answers how much each rule moved."""
        self._readiness.require()
        return self._reconciler.run()
