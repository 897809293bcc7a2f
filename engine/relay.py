"""Sends the outbox. Whoever committed dispatches drains them at once; a timer drains what is left."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from time import monotonic

from interfaces.errors import NotFound, OrchestratorError, ServiceUnavailable
from interfaces.queues import JobMessage, OutgoingMessage, QueueRepository, TaskMessage
from interfaces.settings import Settings
from repositories.outbox import Dispatch, OutboxRepository

from . import waking
from .redaction import describe

logger = logging.getLogger(__name__)

PAGE = 64
"""Dispatches taken at a time."""
SEND_SECONDS = 10.0
"""What a slow queue has not begun to take by then is let go of, to be taken again."""
HOLD = timedelta(seconds=20)
"""Until then nobody else sends what one took. Whoever took it may have died, and its work waits for so long:
longer than sending takes, and well within the minute in which everything must move again."""
DRAIN_SECONDS = 60.0
"""After so long whoever drains goes on with its own work; the timer sends what is left."""
PAUSE_SECONDS = 5.0
"""A queue that could not be reached is left to the timer for so long: nobody else waits for it meanwhile."""


class Relay:
    """Takes, sends, marks; a crash between any two of them only repeats a message."""

    def __init__(self, settings: Settings, outbox: OutboxRepository, queues: QueueRepository) -> None:
        self._outbox = outbox
        self._queues = queues
        self._names = {"jobs": settings.jobs_queue, "tasks": settings.tasks_queue}
        self._redelivery = timedelta(seconds=settings.redelivery_seconds)
        self._longest = timedelta(seconds=settings.redelivery_max_seconds)
        self._paused_until = 0.0

    def drain(self, job_id: str | None = None) -> int:
        """Send what is pending, of one job or of all, for a minute at most; returns how many were sent.

        A queue that cannot be reached is no error here: the dispatches stay, and the timer tries again.
        """
        if job_id is not None and monotonic() < self._paused_until:
            return 0
        sent = 0
        end = monotonic() + DRAIN_SECONDS
        while monotonic() < end:
            dispatches = self._outbox.take(job_id, PAGE, HOLD)
            if not dispatches:
                return sent
            messages = [self._message(dispatch) for dispatch in dispatches]
            failures = self._queues.send(messages, within=SEND_SECONDS)
            done = []
            for dispatch, message, failure in zip(dispatches, messages, failures, strict=True):
                if failure is None:
                    done.append(dispatch.dispatch_id)
                    if not message.delay_seconds:
                        waking.sent(dispatch.queue, message.body)
            if done:
                self._outbox.mark_sent(done, self._redelivery, self._longest)
            sent += len(done)
            failed = [failure for failure in failures if failure is not None]
            unreachable = any(isinstance(failure, ServiceUnavailable) for failure in failed)
            self._paused_until = monotonic() + PAUSE_SECONDS if unreachable else 0.0
            if failed:
                logger.warning(
                    "%d of %d messages not sent: %s", len(failed), len(failures), describe(failed[0])
                )
                self._outbox.release(sorted({d.dispatch_id for d in dispatches}.difference(done)))
                self._make_missing(messages, failures)
                return sent
            if len(dispatches) < PAGE:
                return sent
        return sent

    def _make_missing(
        self, messages: Sequence[OutgoingMessage], failures: Sequence[BaseException | None]
    ) -> None:
        """Make queues anew that were deleted: only hints were lost with them, and the timer sends again."""
        missing = {
            m.queue for m, failure in zip(messages, failures, strict=True) if isinstance(failure, NotFound)
        }
        for queue in missing:
            try:
                self._queues.ensure(queue)
                logger.warning("queue %s was missing and is made anew", queue)
            except OrchestratorError as error:
                logger.warning("queue %s is missing and cannot be made: %s", queue, describe(error))

    def _message(self, dispatch: Dispatch) -> OutgoingMessage:
        message: JobMessage | TaskMessage
        if dispatch.first is None or dispatch.last is None:
            message = JobMessage(
                job_id=dispatch.job_id,
                run=dispatch.run,
                stage=dispatch.stage,
                correlation_id=dispatch.correlation_id,
                traceparent=dispatch.traceparent,
            )
        else:
            message = TaskMessage(
                job_id=dispatch.job_id,
                run=dispatch.run,
                stage=dispatch.stage,
                correlation_id=dispatch.correlation_id,
                traceparent=dispatch.traceparent,
                first=dispatch.first,
                last=dispatch.last,
            )
        return OutgoingMessage(
            queue=self._names[dispatch.queue],
            body=message.model_dump_json(exclude_none=True),
            delay_seconds=dispatch.delay_seconds,
        )
