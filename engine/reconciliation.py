"""Finds what stopped moving and moves it. Run by a timer, and once when a process starts."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from time import monotonic

from interfaces.errors import NotFound, ServiceUnavailable
from interfaces.queues import QueueRepository
from interfaces.settings import Settings
from repositories.recovery import RecoveryRepository
from repositories.signals import SignalRepository
from repositories.stages import SWEEP_SECONDS, StageRepository

from .observing import Observer
from .redaction import describe

logger = logging.getLogger(__name__)

PAGE = 1000


class Reconciler:
    """One statement per rule; each may run at any time, beside anything, any number of times."""

    def __init__(
        self,
        settings: Settings,
        recovery: RecoveryRepository,
        stages: StageRepository,
        queues: QueueRepository,
        signals: SignalRepository,
        observer: Observer,
        worker: str,
    ) -> None:
        # The leases of a process that died end within a heartbeat, and the time that one takes.
        self._patience = timedelta(seconds=1.25 * settings.heartbeat_seconds)
        self._lease = settings.lease
        # Clocks differ, and what a worker has just received is not taken up yet.
        self._margin = timedelta(seconds=settings.redelivery_seconds)
        self._longest = timedelta(seconds=settings.redelivery_max_seconds)
        self._queue_names = {"jobs": settings.jobs_queue, "tasks": settings.tasks_queue}
        self._queues = queues
        self._recovery = recovery
        self._stages = stages
        self._signals = signals
        self._observer = observer
        self._worker = worker

    def run(self) -> dict[str, int]:
        """Apply every rule once; answers how much each of them moved.

        Nothing is sent or planned here: a slow queue or a large stage must not keep the rules waiting. The
        relay's timer sends what became pending.
        """
        moved = {
            # Planners first: what else a dead one held can be told only while it is not given to others.
            "planners_died": len(self._recovery.dead_planners()),
            "leases_ended": self._ended_leases(),
            **self._stalled_stages(),
            "undispatched": len(self._recovery.undispatched()),
            "limits_freed": self._recovery.freed_limits(),
            "counters_drifted": len(self._recovery.drifted_counters()),
            # Last, since it asks the queues, which may be slow.
            "messages_passed": self._passed_messages(),
            "messages_vanished": self._vanished_messages(),
        }
        if any(moved.values()):
            logger.info("reconciled: %s", ", ".join(f"{rule} {n}" for rule, n in moved.items() if n))
        self._signals.add_reconciled(moved)
        return moved

    def _ended_leases(self) -> int:
        total = 0
        while lost := self._recovery.ended_leases(self._patience, self._lease, PAGE):
            total += len(lost)
        return total

    def _stalled_stages(self) -> dict[str, int]:
        swept = advanced = judged = 0
        end = monotonic() + SWEEP_SECONDS
        for stalled in self._recovery.stalled_stages():
            place = (stalled.job_id, stalled.run, stalled.stage)
            if stalled.rule == "canary":
                judged += self._stages.judge_canary(*place, self._worker)
            if stalled.rule != "advance":
                # A canary that failed leaves tasks to be swept; nothing is swept of a stage that goes on.
                swept += self._stages.sweep(*place, within=end - monotonic())
            if self._stages.finish(*place, self._worker):
                advanced += 1
                self._observer.stage_ended(*place)
        return {"tasks_swept": swept, "canaries_judged": judged, "stages_advanced": advanced}

    def _passed_messages(self) -> int:
        """Messages that their queue does not hold any more, although nobody took up their work."""
        total = 0
        for queue, name in self._queue_names.items():
            front = datetime.now(UTC)
            try:
                front = min((message.inserted_at for message in self._queues.peek(name)), default=front)
            except NotFound:
                logger.warning("queue %s does not exist; what was in it is sent again", name)
            except ServiceUnavailable as error:
                logger.warning("queue %s: its front cannot be seen: %s", name, describe(error))
                continue
            total += self._recovery.passed_messages(queue, front, self._margin)
            # Not moved: a backlog must not be multiplied by what it keeps waiting.
            self._recovery.waiting_messages(queue, front, self._margin, self._longest)
        return total

    def _vanished_messages(self) -> int:
        # Settled dispatches are removed by the same rule, so a short answer does not mean the end.
        return sum(len(self._recovery.vanished_messages(PAGE)) for _ in range(10))
