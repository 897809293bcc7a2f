"""The heartbeat: one thread a process renews every lease that the process holds, in one statement.

It does nothing else, and has a connection of its own: nothing that other threads wait for can stop it. What
else is to be done by the clock, and may have to wait, is a second thread's.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from interfaces.costs import Usage
from interfaces.errors import LeaseLost, ServiceUnavailable, TaskCancelled, TaskTimedOut
from interfaces.jobs import AttemptLog, ClaimedPlan, ClaimedTask, TaskReport
from interfaces.settings import Settings
from interfaces.states import JobStatus
from repositories.jobs import JobRepository
from repositories.tasks import TaskRepository

from .metering import Reading
from .redaction import describe, trace
from .task_logs import TaskLog

logger = logging.getLogger(__name__)

TICK = 0.5
"""Seconds between two looks at deadlines, and at least between two tries to renew."""
IDLE_SECONDS = 120.0
"""After so long without a lease to renew, the heartbeat's connection is closed."""


def _nothing() -> None:
    """Nothing is collected."""


@dataclass
class Held:
    """A claimed task in this process, and what the heartbeat learned of it."""

    task: ClaimedTask
    timeout: float
    """Seconds that the handler may run."""
    deadline: float | None = None
    """Monotonic time at which the handler has run too long; None while it does not run."""
    started: bool = False
    lost: bool = False
    cancelled: bool = False
    timed_out: bool = False
    reading: Reading | None = None
    """What it takes, from the moment that its handler is about to begin."""

    log: TaskLog | None = None
    """What it logs, from the same moment on."""

    def start(self) -> None:
        """The handler begins now."""
        self.started = True
        self.deadline = time.monotonic() + self.timeout

    def usage(self) -> Usage | None:
        """What it took so far; None before it began."""
        return None if self.reading is None else self.reading.usage()

    def logged(self) -> AttemptLog | None:
        """What it logged so far; None where that is nothing."""
        return None if self.log is None else self.log.kept(self.task)

    def measured(self, report: TaskReport) -> TaskReport:
        """The same report, with what the attempt took and logged."""
        report.usage, report.log = self.usage(), self.logged()
        return report

    def check(self) -> None:
        """Raise when there is no point in going on."""
        if self.timed_out or (self.deadline is not None and time.monotonic() > self.deadline):
            raise TaskTimedOut(f"the attempt ran longer than {self.timeout:g} s")
        if self.cancelled:
            raise TaskCancelled("the job was cancelled")
        if self.lost:
            raise LeaseLost("another attempt owns this task now")


@dataclass
class Batch:
    """The claimed tasks of one message that are not reported yet."""

    held: list[Held]
    on_timeout: Callable[[Batch, Held], None]
    settled: set[int] = field(default_factory=set)
    """Task indexes that were reported; their leases are nobody's business any more."""
    flush_due: Callable[[], None] = field(default=_nothing)
    """Writes the outcomes that have waited long enough, in one try."""
    spread: float = field(default_factory=random.random)
    """Where the whole batch lies in a range of random delays: what is put off together returns together."""

    def open(self) -> list[Held]:
        """The tasks whose leases are to be renewed."""
        return [h for h in self.held if not (h.lost or h.timed_out or h.task.task_index in self.settled)]

    def unstarted(self) -> list[Held]:
        """The tasks whose handlers did not begin."""
        return [h for h in self.open() if not h.started]


class LeaseKeeper:
    """Renews leases from a thread of its own, so that a handler that blocks cannot stop it.

    `tasks` and `jobs` are on a connection that nobody else uses, which `rest` closes.
    """

    def __init__(
        self, settings: Settings, tasks: TaskRepository, jobs: JobRepository, rest: Callable[[], None]
    ) -> None:
        self._tasks = tasks
        self._jobs = jobs
        self._rest = rest
        self._lease = settings.lease
        self._period = settings.heartbeat_seconds
        self._batches: list[Batch] = []
        self._plans: list[ClaimedPlan] = []
        self._changed = threading.Condition()
        self._threads: dict[str, threading.Thread] = {}

    @contextmanager
    def holding(
        self, tasks: Sequence[ClaimedTask], timeout: float, on_timeout: Callable[[Batch, Held], None]
    ) -> Iterator[Batch]:
        """Keep these claims alive. `on_timeout` is called, once, for a handler that runs too long."""
        batch = Batch([Held(task, timeout) for task in tasks], on_timeout)
        with self._changed:
            self._batches.append(batch)
            self._wake()
        try:
            yield batch
        finally:
            with self._changed:
                self._batches.remove(batch)

    @contextmanager
    def planning(self, plan: ClaimedPlan) -> Iterator[None]:
        """Keep the right to plan alive."""
        with self._changed:
            self._plans.append(plan)
            self._wake()
        try:
            yield
        finally:
            with self._changed:
                self._plans.remove(plan)

    def _wake(self) -> None:
        for name, work in (("lease-keeper", self._renew_by_the_clock), ("batch-clock", self._watch_batches)):
            thread = self._threads.get(name)
            if thread is None or not thread.is_alive():
                self._threads[name] = thread = threading.Thread(target=work, name=name, daemon=True)
                thread.start()
        self._changed.notify_all()

    def _renew_by_the_clock(self) -> None:
        due = time.monotonic() + self._period
        while True:
            with self._changed:
                if not self._batches and not self._plans:
                    if not self._changed.wait(IDLE_SECONDS):
                        self._rest()
                        self._changed.wait()
                    due = time.monotonic() + self._period
                elif (left := due - time.monotonic()) > 0:
                    self._changed.wait(left)
                batches, plans = list(self._batches), list(self._plans)
            if (began := time.monotonic()) >= due:
                # After a failure again soon, and at once if it took its time: a lease has room for two tries.
                due = began + (self._period if self._renew(batches, plans) else TICK)

    def _watch_batches(self) -> None:
        while True:
            with self._changed:
                self._changed.wait(TICK if self._batches else None)
                batches = list(self._batches)
            self._expire(batches)
            self._flush(batches)

    def _renew(self, batches: list[Batch], plans: list[ClaimedPlan]) -> bool:
        held = [h for batch in batches for h in batch.open()]
        try:
            states = self._tasks.extend([h.task for h in held], self._lease) if held else {}
            if plans:
                self._jobs.extend_plans(plans, self._lease)
        except ServiceUnavailable as error:
            logger.warning("leases not renewed: %s", describe(error))
            return False
        except Exception as error:  # noqa: BLE001 - this thread must live; the leases end by themselves
            logger.error("leases not renewed: %s", trace(error))
            return False
        for h in held:
            status = states.get((h.task.job_id, h.task.run, h.task.stage, h.task.task_index))
            h.lost = h.lost or status is None
            h.cancelled = h.cancelled or status is JobStatus.CANCELLING
        return True

    def _flush(self, batches: list[Batch]) -> None:
        """By the clock: the handler that runs may run for long, and what ended before it is to be seen."""
        for batch in batches:
            try:
                batch.flush_due()
            except Exception as error:  # noqa: BLE001 - the batch itself writes them when it ends
                logger.warning("outcomes not written yet: %s", describe(error))

    def _expire(self, batches: list[Batch]) -> None:
        now = time.monotonic()
        for batch in batches:
            for h in batch.open():
                if h.deadline is not None and now > h.deadline:
                    h.timed_out = True
                    try:
                        batch.on_timeout(batch, h)
                    except Exception as error:  # noqa: BLE001 - its lease ends by itself then
                        logger.warning("timeout of a task not reported: %s", describe(error))
