"""The task queue's work: claim a batch, run its handlers, write what came of them, advance the job."""

from __future__ import annotations

import hashlib
import logging
import random
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pydantic import BaseModel, ValidationError

from interfaces.allow_lists import AllowLists
from interfaces.blobs import BlobRepository
from interfaces.contracts import JobId, JsonObject, Summarised
from interfaces.errors import (
    ContainerNotFound,
    DependencyUnavailable,
    Forbidden,
    InvalidRequest,
    LeaseLost,
    NotFound,
    OrchestratorError,
    PayloadTooLarge,
    PermanentTaskError,
    TaskCancelled,
    TaskTimedOut,
)
from interfaces.jobs import ClaimedTask, TaskReport
from interfaces.queues import TaskMessage
from interfaces.settings import Settings
from interfaces.states import TaskStatus
from interfaces.tracing import current_traceparent
from interfaces.workflows import RetryPolicy, TaskDefinition, TaskTypes
from repositories.json_text import to_json
from repositories.stages import SWEEP_PAGE, SWEEP_SECONDS, StageRepository
from repositories.tasks import TaskRepository

from . import reports, result_blobs
from .context import RunningTask
from .delays import backoff, deferral
from .leases import Batch, Held, LeaseKeeper
from .metering import Meter
from .observing import Observer
from .patience import patient
from .planning import Planner
from .redaction import describe
from .relay import Relay
from .task_logs import HANDLERS, TaskLog
from .turns import Turns
from .waiting import WaitingStages

logger = logging.getLogger(__name__)

FLUSH_SECONDS = 1.0
"""Outcomes of a batch are written at least this often, so that progress is live and a crash loses little."""
FLUSH_BYTES = 4 * 1024 * 1024
CONCURRENT_HANDLERS = 8
MANY = 100
"""A batch of more tasks waits for its turn, if those before it are as brief as they are expected to be."""
TURN_SECONDS = 0.25
PERMANENT = (
    PermanentTaskError,
    ValidationError,
    InvalidRequest,
    Forbidden,
    NotFound,
    PayloadTooLarge,
)
"""What no retry can mend, whatever the task type: wrong parameters, and what is missing or forbidden."""


class Executor:
    """Runs handlers. What they raise becomes an outcome; only an unreachable database is raised."""

    def __init__(
        self,
        settings: Settings,
        task_types: TaskTypes,
        tasks: TaskRepository,
        stages: StageRepository,
        blobs: BlobRepository,
        relay: Relay,
        planner: Planner,
        leases: LeaseKeeper,
        meter: Meter,
        observer: Observer,
        worker: str,
    ) -> None:
        self._settings = settings
        self._allowed = AllowLists(settings)
        self._task_types = task_types
        self._tasks = tasks
        self._stages = stages
        self._blobs = blobs
        self._relay = relay
        self._planner = planner
        self._leases = leases
        self._meter = meter
        self._observer = observer
        self._worker = worker
        self._waiting = WaitingStages()
        self._turns = Turns(TURN_SECONDS)

    def process(self, message: TaskMessage) -> TaskMessage | None:
        """Run the tasks of the message that are due; answers a batch to be run next, as the planner does.

        Raises `ServiceUnavailable` when outcomes could not be written; their leases end then.
        """
        if message.last - message.first < MANY:
            return self._process(message)
        with self._turns.turn():
            return self._process(message)

    def _process(self, message: TaskMessage) -> TaskMessage | None:
        if self._put_off(message):
            return None
        claimed = self._tasks.claim(
            message.job_id,
            message.run,
            message.stage,
            message.first,
            message.last,
            worker=self._worker,
            lease=self._settings.lease,
        )
        if not claimed:
            return self._nothing_claimed(message)
        try:
            definition = self._task_types.get(claimed[0].task_type)
        except PermanentTaskError as error:
            unknown = [reports.failed(task, describe(error)) for task in claimed]
            return self._advance(claimed[0], self._write(claimed[0], unknown))
        with self._leases.holding(claimed, definition.timeout.total_seconds(), self._report_timeout) as batch:
            outcomes = _Outcomes(self, batch)
            batch.flush_due = outcomes.flush_due
            self._run_all(batch, definition, message.correlation_id, outcomes)
            outcomes.flush()
        return self._advance(claimed[0], outcomes.accepted)

    def _nothing_claimed(self, message: TaskMessage) -> TaskMessage | None:
        """A repeat, in most cases. Else go on with the sweep of its stage, or let others run in its place."""
        logger.info("job %s tasks %d-%d: nothing to do", message.job_id, message.first, message.last)
        after = self._tasks.after_no_claim(message)
        if after.unparked:
            self._relay.drain()
        if not after.to_sweep:
            return None
        place = (message.job_id, message.run, message.stage)
        self._sweep(*place)
        return self._planner.advance(*place)

    def _sweep(self, job_id: JobId, run: int, stage: int, within: float = SWEEP_SECONDS) -> None:
        if self._stages.sweep(job_id, run, stage, within=within) >= SWEEP_PAGE:
            # There may be more, which a message goes on with.
            self._relay.drain(job_id)

    def _run_all(
        self, batch: Batch, definition: TaskDefinition[Any], correlation_id: str, outcomes: _Outcomes
    ) -> None:
        led_by = current_traceparent()

        def run(held: Held) -> None:
            with (
                self._observer.attempt(held.task, correlation_id, led_by) as attempt,
                self._meter.attempt() as held.reading,
                TaskLog(self._settings.task_log_lines) as held.log,
            ):
                report = self._run(held, definition, correlation_id, batch.spread)
                attempt.ended(report)
            if report is not None:
                outcomes.add(held.measured(report))

        if definition.waits_for_io and len(batch.held) > 1:
            with ThreadPoolExecutor(min(CONCURRENT_HANDLERS, len(batch.held)), "handler") as pool:
                list(pool.map(run, batch.held))
        else:
            for held in batch.held:
                run(held)

    def _run(
        self, held: Held, definition: TaskDefinition[Any], correlation_id: str, spread: float
    ) -> TaskReport | None:
        """One attempt; None when somebody else has reported, or will report, this task."""
        task = held.task
        try:
            held.check()
            held.start()
            parameters = definition.parameters_model.model_validate_json(task.parameters)
            self._allowed.check(parameters)
            context = RunningTask(held, self._tasks, correlation_id, self._settings.discover_page_items)
            report = self._completed(task, definition.handler(parameters, context))
        except TaskCancelled as error:
            report = reports.ended(task, TaskStatus.CANCELLED, describe(error))
        except (LeaseLost, TaskTimedOut) as error:
            if not held.timed_out and isinstance(error, TaskTimedOut):
                # The handler noticed before the clock did.
                report = self._failure(held, error, definition.retry)
            else:
                logger.warning("job %s task %d: %s", task.job_id, task.task_index, error)
                return None
        except DependencyUnavailable as error:
            report = self._deferral(task, error, spread)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is the task's outcome
            report = self._failure(held, error, definition.retry)
        finally:
            held.deadline = None
        return None if held.timed_out else report

    def _completed(self, task: ClaimedTask, answer: object) -> TaskReport:
        try:
            result = answer.model_dump(mode="json") if isinstance(answer, BaseModel) else answer
            if not isinstance(result, Mapping):
                kind = type(answer).__name__
                raise PermanentTaskError(
                    f"{task.task_type}: a handler returns a model or an object, not {kind}"
                )
            text = to_json(dict(result))
        except ValueError as error:
            raise PermanentTaskError(f"{task.task_type}: the result is not JSON: {error}") from error
        location, kept = None, text if self._fits(text) else None
        if kept is None:
            location = self._store(task, text.encode())
            if isinstance(answer, Summarised):
                short = to_json(answer.summary())
                kept = short if self._fits(short) else None
        return TaskReport(
            task_index=task.task_index,
            fence=task.fence,
            outcome=TaskStatus.COMPLETED,
            result=kept,
            location=location,
        )

    def _fits(self, text: str) -> bool:
        return len(text.encode()) <= self._settings.max_inline_result_bytes

    def _store(self, task: ClaimedTask, data: bytes) -> JsonObject:
        """A large result goes to blob storage under a name of this attempt's own."""
        name = result_blobs.name(task.job_id, task.run, task.stage, task.task_index, task.fence)
        container = self._settings.results_container
        try:
            url = self._blobs.write(container, name, data, content_type="application/json")
        except ContainerNotFound:
            # No fault of the task.
            self._blobs.ensure_container(container)
            url = self._blobs.write(container, name, data, content_type="application/json")
        return {"url": url, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    def _failure(self, held: Held, error: Exception, policy: RetryPolicy) -> TaskReport:
        task = held.task
        text = describe(error, self._settings.max_error_characters)
        permanent = isinstance(error, (*PERMANENT, *policy.permanent))
        if held.log is not None and not permanent and not isinstance(error, OrchestratorError):
            held.log.raised(error, f"{HANDLERS}.{task.task_type}")
        if permanent or task.attempt >= task.max_attempts:
            logger.warning("job %s task %d failed: %s", task.job_id, task.task_index, text)
            return reports.failed(task, text)
        delay = backoff(policy, task.attempt)
        logger.warning(
            "job %s task %d attempt %d failed, again in %.1f s: %s",
            task.job_id,
            task.task_index,
            task.attempt,
            delay,
            text,
        )
        return reports.retried(task, text, delay)

    def _deferral(self, task: ClaimedTask, error: DependencyUnavailable, spread: float) -> TaskReport:
        """The task waits for what it depends on, and the attempt is not counted."""
        self._waiting.put_off(task, error.retry_after)
        text = describe(error, self._settings.max_error_characters)
        return reports.deferred(
            task, text, deferral(error.retry_after, self._settings.breaker_pause_seconds, spread)
        )

    def _put_off(self, message: TaskMessage) -> bool:
        """Whether the message was sent again for later, because its stage waits for what fails."""
        remaining = self._waiting.remaining(message)
        if not remaining:
            return False
        delay = deferral(remaining, self._settings.breaker_pause_seconds, random.random())
        if not self._tasks.postpone(message, delay):
            return False
        self._relay.drain(message.job_id)
        return True

    def _report_timeout(self, batch: Batch, held: Held) -> None:
        """Called by the clock while the handler still runs: give its task, and those behind it, away.

        What ended before it is not lost with it: that is written by the clock, too.
        """
        definition = self._task_types.get(held.task.task_type)
        failure = self._failure(held, TaskTimedOut(_ran_too_long(held)), definition.retry)
        given = [held.measured(failure)]
        for waiting in batch.unstarted():
            waiting.lost = True
            reason = "given back: an earlier task of the same message ran too long"
            given.append(reports.deferred(waiting.task, reason, 0.0))
        task = held.task
        accepted = self._write(task, given)
        if TaskStatus.FAILED in accepted:
            self._sweep(task.job_id, task.run, task.stage, within=0)
        # Other batches wait for the clock, which must not plan a stage: that is left to the job's message.
        if self._stages.finish(task.job_id, task.run, task.stage, self._worker):
            self._observer.stage_ended(task.job_id, task.run, task.stage)
        self._relay.drain(task.job_id)

    def _write(self, task: ClaimedTask, given: list[TaskReport], tries: int | None = None) -> set[TaskStatus]:
        """Write outcomes, again and again while the leases last; answers the states that resulted."""
        write = patient(self._settings, tries)
        try:
            accepted = write(self._tasks.finish, task.job_id, task.run, task.stage, self._worker, given)
        except PermanentTaskError as error:
            if len(given) > 1:
                # One of them, which is the loss of that one alone.
                return set().union(*(self._write(task, [report], tries) for report in given))
            given = [reports.unwritable(given[0], describe(error))]
            accepted = write(self._tasks.finish, task.job_id, task.run, task.stage, self._worker, given)
        if deferred := [report for report in given if report.deferred]:
            # One line, not one for each of thousands of tasks at every try.
            logger.warning("job %s: %d tasks put off: %s", task.job_id, len(deferred), deferred[-1].error)
        overtaken = len(given) - len(accepted)
        if overtaken:
            logger.warning("job %s: %d outcomes came too late and were dropped", task.job_id, overtaken)
        return set(accepted.values())

    def _advance(self, task: ClaimedTask, accepted: set[TaskStatus]) -> TaskMessage | None:
        """After the commit: sweep a failing stage, and advance the job if these were its last tasks."""
        place = (task.job_id, task.run, task.stage)
        judged = task.canary and self._stages.judge_canary(*place, self._worker)
        if TaskStatus.FAILED in accepted:
            self._sweep(*place)
        following = self._planner.advance(*place)
        if TaskStatus.QUEUED in accepted or judged:
            self._relay.drain(task.job_id)
        if task.limited and self._tasks.unpark(task.task_type):
            self._relay.drain()
        return following


class _Outcomes:
    """Collects a batch's outcomes and writes them when there are enough, or it is time.

    The batch's own thread may be in a handler for long when it is time: then the clock's thread writes them.
    """

    def __init__(self, executor: Executor, batch: Batch) -> None:
        self._executor = executor
        self._batch = batch
        self._lock = threading.Lock()
        self._reports: list[TaskReport] = []
        self._bytes = 0
        self._since = time.monotonic()
        self.accepted: set[TaskStatus] = set()

    def add(self, report: TaskReport) -> None:
        with self._lock:
            self._reports.append(report)
            self._bytes += len(report.result or "")
            if self._bytes > FLUSH_BYTES or time.monotonic() - self._since > FLUSH_SECONDS:
                self._flush()

    def flush(self) -> None:
        with self._lock:
            self._flush()

    def flush_due(self) -> None:
        """Called by the clock, which must wait neither for a write that goes on nor to try again."""
        self._executor._meter.look()
        if self._lock.acquire(blocking=False):
            try:
                if self._reports and time.monotonic() - self._since > FLUSH_SECONDS:
                    self._flush(tries=1)
            finally:
                self._lock.release()

    def _flush(self, tries: int | None = None) -> None:
        if self._reports:
            self.accepted |= self._executor._write(self._batch.held[0].task, self._reports, tries)
            self._batch.settled.update(report.task_index for report in self._reports)
        self._reports, self._bytes, self._since = [], 0, time.monotonic()


def _ran_too_long(held: Held) -> str:
    return f"the attempt ran longer than {held.timeout:g} s"
