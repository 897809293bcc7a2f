"""What log lines and spans say of the work at hand: which job, stage, task, attempt; and how it ended."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType

from interfaces.contracts import JobId
from interfaces.errors import ServiceUnavailable
from interfaces.jobs import ClaimedPlan, ClaimedTask, TaskReport
from interfaces.queues import QueueMessage
from interfaces.tracing import NO_SPAN, Span, SpanKind, TraceContext, Tracing, Value
from repositories.stages import StageRepository

from .redaction import describe

logger = logging.getLogger(__name__)

PREFIX = "orchestrator."
"""Of the names of attributes; the rest is the field's name in log lines and in the API."""

_at_hand: ContextVar[Mapping[str, Value]] = ContextVar("at_hand", default=MappingProxyType({}))


def at_hand() -> Mapping[str, Value]:
    """Of the work that this code runs for, by the names of the API."""
    return _at_hand.get()


@contextmanager
def about(**known: Value) -> Iterator[None]:
    """The block works on this, too."""
    token = _at_hand.set({**_at_hand.get(), **known})
    try:
        yield
    finally:
        _at_hand.reset(token)


def attributes(known: Mapping[str, Value]) -> dict[str, Value]:
    """As spans and exported log lines have them."""
    return {f"{PREFIX}{name}": value for name, value in known.items()}


@dataclass
class Attempt:
    """The span of an attempt."""

    span: Span

    def ended(self, report: TaskReport | None) -> None:
        """Tell how; None: somebody else reports this task."""
        if self.span is NO_SPAN:
            return
        if report is None:
            self.span.set(attributes({"outcome": "given_up"}))
            return
        self.span.set(attributes({"outcome": outcome_of(report)}))
        if report.error is not None:
            self.span.failed(report.error)


_UNTOLD = nullcontext(Attempt(NO_SPAN))


def outcome_of(report: TaskReport) -> str:
    """As metrics call it."""
    return str(report.outcome or ("deferred" if report.deferred else "retry"))


class Observer:
    """Opens what logs and traces say, around each piece of work.

    `tells`: whether log lines have it, too; where neither has, an attempt costs nothing here.
    """

    def __init__(self, tracing: Tracing, stages: StageRepository, *, tells: bool = True) -> None:
        self._tracing = tracing
        self._stages = stages
        self._tells = tells or tracing.on

    @contextmanager
    def message(
        self, queue: str, message_id: str, dequeue_count: int, message: QueueMessage
    ) -> Iterator[None]:
        """A message of the queue is processed; below the request that led to it, where it says so."""
        known: dict[str, Value] = {
            "job_id": message.job_id,
            "run": message.run,
            "stage": message.stage,
            "correlation_id": message.correlation_id,
        }
        with about(**known):
            if not self._tracing.on or message.traceparent is None:
                yield
                return
            carried: dict[str, Value] = {
                "messaging.system": "azure_storage_queue",
                "messaging.destination.name": queue,
                "messaging.message.id": message_id,
                "messaging.delivery_attempt": dequeue_count,
            }
            with self._tracing.span(
                f"process {queue}", message.traceparent, carried | attributes(known), kind=SpanKind.CONSUMER
            ):
                yield

    @contextmanager
    def planning(self, plan: ClaimedPlan) -> Iterator[Span]:
        """A stage is planned, or the job's result made."""
        known: dict[str, Value] = {
            "job_id": plan.job_id,
            "job_type": plan.job_type,
            "run": plan.run,
            "stage": plan.stage,
            "correlation_id": plan.correlation_id,
        }
        name = f"plan {plan.job_type}" if plan.stage <= plan.total_stages else f"finish {plan.job_type}"
        with about(**known), self._tracing.span(name, plan.traceparent, attributes(known)) as span:
            yield span

    def attempt(
        self, task: ClaimedTask, correlation_id: str, led_by: str | None
    ) -> AbstractContextManager[Attempt]:
        """An attempt at a task, below its stage. `led_by`: the span in which its message is processed."""
        return self._attempt(task, correlation_id, led_by) if self._tells else _UNTOLD

    @contextmanager
    def _attempt(self, task: ClaimedTask, correlation_id: str, led_by: str | None) -> Iterator[Attempt]:
        known: dict[str, Value] = {
            "job_id": task.job_id,
            "job_type": task.job_type,
            "task_type": task.task_type,
            "run": task.run,
            "stage": task.stage,
            "task_index": task.task_index,
            "attempt": task.attempt,
            "correlation_id": correlation_id,
        }
        run = TraceContext.parse(task.traceparent) if self._tracing.on else None
        parent = str(run.stage(task.run, task.stage)) if run else task.traceparent
        with (
            about(**known),
            self._tracing.span(f"task {task.task_type}", parent, attributes(known), link=led_by) as span,
        ):
            yield Attempt(span)

    def stage_ended(self, job_id: JobId, run: int, stage: int) -> None:
        """Make the span of a stage that was just ended; its tasks are below it already."""
        if not self._tracing.on:
            return
        try:
            ended = self._stages.span(job_id, run, stage)
        except ServiceUnavailable as error:
            logger.info("job %s stage %d: its span is missing: %s", job_id, stage, describe(error))
            return
        request = TraceContext.parse(ended.traceparent) if ended else None
        if ended is None or request is None:
            return
        known: dict[str, Value] = {
            "job_id": job_id,
            "job_type": ended.job_type,
            "task_type": ended.task_type,
            "run": run,
            "stage": stage,
            "stage_key": ended.stage_key,
            "tasks": ended.task_count,
            "outcome": ended.status,
        }
        self._tracing.ended(
            f"stage {ended.stage_key}",
            request.stage(run, stage),
            request,
            (ended.created_at, ended.completed_at),
            attributes(known),
            ended.error if ended.status == "failed" else None,
        )
