"""What the app tells of itself in numbers: every metric, its unit and its labels (docs/signals.md).

One list for all readers: `/api/metrics`, the OpenTelemetry exporters, the documents and the alert rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

PREFIX = "orchestrator_"


class Kind(StrEnum):
    """A `counter` only grows, a `gauge` goes up and down, a `histogram` counts durations below bounds."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Scope(StrEnum):
    """`fleet`: the same whichever process tells it. `process`: of that one, named by the label `worker`."""

    FLEET = "fleet"
    PROCESS = "process"


@dataclass(frozen=True)
class Metric:
    """A metric as it is called everywhere. `unit` is a UCUM code, as OpenTelemetry has it."""

    name: str
    kind: Kind
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    scope: Scope = Scope.FLEET

    @property
    def exposed(self) -> str:
        """Its name in Prometheus' text format."""
        return f"{PREFIX}{self.name}{'_total' if self.kind is Kind.COUNTER else ''}"


@dataclass(frozen=True)
class Distribution:
    """Durations in seconds: how many are between each bound and the one before, then how many above all."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many in all."""
        return sum(self.counts)


@dataclass(frozen=True)
class Sample:
    """One series of a metric, now."""

    labels: Mapping[str, str]
    value: float | Distribution


@dataclass(frozen=True)
class Family:
    """A metric with all of its series."""

    metric: Metric
    samples: Sequence[Sample]


def _of_process(name: str, kind: Kind, unit: str, description: str, *labels: str) -> Metric:
    return Metric(name, kind, unit, description, ("worker", *labels), Scope.PROCESS)


JOBS = Metric("jobs", Kind.GAUGE, "{job}", "Jobs that have not ended", ("job_type", "status"))
JOB_WAIT = Metric(
    "job_oldest_seconds",
    Kind.GAUGE,
    "s",
    "Since the first of the jobs that have not ended was queued",
    ("job_type", "status"),
)
JOB_DURATION = Metric(
    "job_duration_seconds",
    Kind.HISTOGRAM,
    "s",
    "From start to end, of jobs that ended",
    ("job_type", "status"),
)
TASKS = Metric("tasks", Kind.GAUGE, "{task}", "Tasks of stages that have not ended", ("task_type", "status"))
ATTEMPTS = Metric(
    "task_attempts",
    Kind.COUNTER,
    "{attempt}",
    "Attempts at tasks that ended; lease_lost are those whose worker stopped renewing",
    ("task_type", "outcome"),
)
TASK_DURATION = Metric(
    "task_duration_seconds",
    Kind.HISTOGRAM,
    "s",
    "Time in the handler, of attempts whose end their worker told",
    ("task_type", "outcome"),
)
OUTBOX = Metric(
    "outbox_messages",
    Kind.GAUGE,
    "{message}",
    "Messages to be sent, and those that a limit holds back",
    ("queue", "state"),
)
OUTBOX_AGE = Metric(
    "outbox_oldest_seconds", Kind.GAUGE, "s", "Since the first unsent message was due", ("queue",)
)
QUEUE_DEPTH = Metric(
    "queue_messages", Kind.GAUGE, "{message}", "Messages in the queue, about; delayed ones too", ("queue",)
)
QUEUE_AGE = Metric(
    "queue_oldest_seconds", Kind.GAUGE, "s", "Since the oldest visible message was put; 0 without", ("queue",)
)
POISON = Metric(
    "poison_messages",
    Kind.COUNTER,
    "{message}",
    "Messages recorded because they could not be processed",
    ("queue", "action"),
)
CALLBACK_ATTEMPTS = Metric(
    "callback_attempts",
    Kind.COUNTER,
    "{attempt}",
    "Attempts to send a callback: delivered, to be tried again, or given up",
    ("outcome",),
)
CALLBACKS = Metric(
    "callbacks",
    Kind.GAUGE,
    "{callback}",
    "Callbacks that wait to be sent, and those that were given up and are still kept",
    ("state",),
)
CALLBACK_AGE = Metric(
    "callback_oldest_seconds", Kind.GAUGE, "s", "Since the oldest event happened that is still to be told"
)
RECONCILED = Metric(
    "reconcile_actions", Kind.COUNTER, "{action}", "What the reconciler moved, by its rules", ("rule",)
)
RECONCILE_TIME = Metric(
    "reconcile_last_timestamp_seconds",
    Kind.GAUGE,
    "s",
    "When the reconciler last ran, in Unix time",
)
STUCK = Metric(
    "stuck",
    Kind.GAUGE,
    "{item}",
    "What the timers should have moved more than half a minute ago",
    ("reason",),
)
SOURCE_UP = Metric(
    "source_up",
    Kind.GAUGE,
    "1",
    "1 where what is told of this source could be read, else 0",
    ("source",),
)
BREAKER = _of_process(
    "breaker_open", Kind.GAUGE, "1", "1 while calls of the dependency are refused, 0.5 while one tries it",
    "dependency",
)  # fmt: skip
POOL_CONNECTIONS = _of_process(
    "pool_connections", Kind.GAUGE, "{connection}", "Connections of the database pool", "state"
)
POOL_WAITING = _of_process("pool_waiting", Kind.GAUGE, "{thread}", "Threads that wait for a connection")
POOL_REQUESTS = _of_process(
    "pool_requests", Kind.COUNTER, "{request}", "Times that a connection was asked for"
)
POOL_WAIT = _of_process(
    "pool_wait_seconds", Kind.COUNTER, "s", "Time waited for a connection, by all threads"
)
BLOB_BYTES = _of_process(
    "blob_bytes", Kind.COUNTER, "By", "Bytes of blobs read and written, GDAL's reads by range among them",
    "direction",
)  # fmt: skip
SIGNALS_DROPPED = _of_process(
    "signals_dropped",
    Kind.COUNTER,
    "{export}",
    "Exports of signals that their collector did not take",
    "signal",
)

METRICS = (
    *(JOBS, JOB_WAIT, JOB_DURATION),
    *(TASKS, ATTEMPTS, TASK_DURATION),
    *(OUTBOX, OUTBOX_AGE, QUEUE_DEPTH, QUEUE_AGE),
    *(CALLBACK_ATTEMPTS, CALLBACKS, CALLBACK_AGE),
    *(POISON, RECONCILED, RECONCILE_TIME, STUCK, SOURCE_UP),
    *(BREAKER, POOL_CONNECTIONS, POOL_WAITING, POOL_REQUESTS, POOL_WAIT, BLOB_BYTES, SIGNALS_DROPPED),
)
