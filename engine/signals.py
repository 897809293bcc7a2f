"""What the app tells of itself in numbers, for whoever asks: a scrape, or an exporter (docs/signals.md).

What all processes share comes from the database and the queues, and is the same whoever tells it. What only
this process knows has its name in the label `worker`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from threading import Lock
from time import monotonic
from typing import Any, Protocol, TypeVar

from interfaces import signals as names
from interfaces.breakers import BreakerState, BreakerStatus
from interfaces.errors import ServiceUnavailable
from interfaces.queues import QueueRepository
from interfaces.settings import Settings
from interfaces.signals import Family, Metric, Sample
from repositories.database import Database
from repositories.signals import Facts, SignalRepository, Total
from repositories.traffic import BLOB_TRAFFIC, Traffic

from .queue_states import QueueState, state_of
from .redaction import describe

logger = logging.getLogger(__name__)

KEEP_SECONDS = 5.0
"""However often it is asked, what all processes share is read once in this time."""
READ_SECONDS = 5.0
"""What has not been read by then is left out, and said to be down."""
CALLBACK_OUTCOMES = ("delivered", "retry", "dead")
POISON_ACTIONS = ("recorded", "raised", "dispatched_again", "failed")
_OPENNESS = {BreakerState.CLOSED: 0.0, BreakerState.HALF_OPEN: 0.5, BreakerState.OPEN: 1.0}

T = TypeVar("T")


class BreakerStates(Protocol):
    """The circuit breakers of this process (`repositories.breakers`)."""

    def status(self) -> list[BreakerStatus]:
        """Every breaker as it is now."""
        ...


class Signals:
    """Numbers of the fleet and of this process. What cannot be read is missing, and said to be."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        queues: QueueRepository,
        breakers: BreakerStates,
        worker: str,
        *,
        traffic: Traffic = BLOB_TRAFFIC,
        dropped: Callable[[], dict[str, int]] = dict,
    ) -> None:
        self._repository = SignalRepository(database)
        self._database = database
        self._queues = queues
        self._breakers = breakers
        self._worker = worker
        self._traffic = traffic
        self._dropped = dropped
        main = (settings.jobs_queue, settings.tasks_queue)
        self._queue_names = (*main, *(f"{name}-poison" for name in main))
        # Bounded: reads that hang use up these threads, and make later ones time out, not pile up.
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="signals")
        self._lock = Lock()
        self._kept: tuple[float, list[Family]] | None = None

    def all(self) -> list[Family]:
        """Everything that this process can tell."""
        return [*self.fleet(), *self.process()]

    def fleet(self) -> list[Family]:
        """What is the same whichever process tells it; a few seconds old at most."""
        with self._lock:
            if self._kept is None or monotonic() - self._kept[0] > KEEP_SECONDS:
                self._kept = monotonic(), self._read()
            return self._kept[1]

    def sent_by(self, send: Callable[[list[Family]], None]) -> Callable[[], None]:
        """Sends what is the same whichever process tells it."""
        return lambda: send(self.fleet())

    def process(self) -> list[Family]:
        """What only this process knows. Asks nobody."""
        pool = self._database.use()
        breakers = [
            _of(_OPENNESS[status.state], dependency=status.dependency) for status in self._breakers.status()
        ]
        connections = [
            _of(pool.in_use, state="in_use"),
            _of(pool.idle, state="idle"),
            _of(pool.most, state="most"),
        ]
        moved = [
            _of(self._traffic.read, direction="read"),
            _of(self._traffic.written, direction="written"),
        ]
        found: list[tuple[Metric, list[Sample]]] = [
            (names.BREAKER, breakers),
            (names.POOL_CONNECTIONS, connections),
            (names.POOL_WAITING, [_of(pool.waiting)]),
            (names.POOL_REQUESTS, [_of(pool.requests)]),
            (names.POOL_WAIT, [_of(pool.waited_seconds)]),
            (names.BLOB_BYTES, moved),
            (names.SIGNALS_DROPPED, [_of(n, signal=signal) for signal, n in self._dropped().items()]),
        ]
        return [
            Family(metric, [Sample({"worker": self._worker, **s.labels}, s.value) for s in samples])
            for metric, samples in found
        ]

    def _read(self) -> list[Family]:
        database = self._threads.submit(self._repository.facts)
        queues = [self._threads.submit(state_of, self._queues, name) for name in self._queue_names]
        reads: list[Future[Any]] = [database, *queues]
        wait(reads, timeout=READ_SECONDS)
        facts = _outcome("database", database)
        states = [state for state in (_outcome("queues", queue) for queue in queues) if state is not None]
        up = [
            _of(float(facts is not None), source="database"),
            _of(float(len(states) == len(queues)), source="queues"),
        ]
        told = [*_of_database(facts), self._poison(facts)] if facts is not None else []
        return [*told, *_of_queues(states), Family(names.SOURCE_UP, up)]

    def _poison(self, facts: Facts) -> Family:
        """Also what there was none of: that it grows from nothing is what an alert must see."""
        found = {(t.kind, t.outcome): t.count for t in facts.totals if t.signal == "poison"}
        found = {(queue, action): 0 for queue in self._queue_names for action in POISON_ACTIONS} | found
        return Family(
            names.POISON, [_of(n, queue=queue, action=action) for (queue, action), n in found.items()]
        )


def _outcome(source: str, future: Future[T]) -> T | None:
    if not future.done():
        future.cancel()
        logger.warning("signals: the %s did not answer within %g s", source, READ_SECONDS)
        return None
    error = future.exception()
    if error is None:
        return future.result()
    if not isinstance(error, ServiceUnavailable):
        # An operator who looks at what is left finds the cause here.
        logger.error("signals: the %s cannot be read: %s", source, describe(error))
    return None


def _of_database(facts: Facts) -> list[Family]:
    totals = {
        signal: [t for t in facts.totals if t.signal == signal] for signal in {t.signal for t in facts.totals}
    }
    attempts, jobs = totals.get("attempts", []), totals.get("jobs", [])
    reconciled, told = totals.get("reconciled", []), totals.get("callbacks", [])
    by_state = [
        _of(row[status], task_type=row["task_type"], status=status)
        for row in facts.tasks
        for status in ("queued", "processing")
    ]
    live = [(row, {"job_type": row["job_type"], "status": row["status"]}) for row in facts.jobs]
    waiting = [_of(row["messages"], queue=row["queue"], state="pending") for row in facts.outbox]
    return [
        Family(names.JOBS, [Sample(labels, float(row["jobs"])) for row, labels in live]),
        Family(names.JOB_WAIT, [Sample(labels, _positive(row["oldest_seconds"])) for row, labels in live]),
        Family(
            names.JOB_DURATION,
            [Sample({"job_type": t.kind, "status": t.outcome}, t.durations) for t in jobs],
        ),
        Family(names.TASKS, by_state),
        Family(names.ATTEMPTS, [_of(t.count, task_type=t.kind, outcome=t.outcome) for t in attempts]),
        Family(
            names.TASK_DURATION,
            [
                Sample({"task_type": t.kind, "outcome": t.outcome}, t.durations)
                for t in attempts
                if t.durations.count
            ],
        ),
        Family(names.OUTBOX, [*waiting, *_parked(facts)]),
        Family(
            names.OUTBOX_AGE,
            [_of(_positive(row["oldest_seconds"]), queue=row["queue"]) for row in _both_queues(facts)],
        ),
        *_of_callbacks(told, facts),
        Family(names.RECONCILED, [_of(t.count, rule=t.kind) for t in reconciled if t.kind != "run"]),
        Family(names.RECONCILE_TIME, [_of(t.at) for t in reconciled if t.kind == "run"]),
        Family(names.STUCK, [_of(row["n"], reason=row["reason"]) for row in facts.stuck]),
    ]


def _of_callbacks(told: Sequence[Total], facts: Facts) -> list[Family]:
    """Also outcomes that there were none of: that they grow from nothing is what an alert must see."""
    counts = dict.fromkeys(CALLBACK_OUTCOMES, 0) | {total.outcome: total.count for total in told}
    pending = [row for row in facts.callbacks if row["state"] == "pending"]
    return [
        Family(names.CALLBACK_ATTEMPTS, [_of(n, outcome=outcome) for outcome, n in counts.items()]),
        Family(names.CALLBACKS, [_of(row["n"], state=row["state"]) for row in facts.callbacks]),
        Family(names.CALLBACK_AGE, [_of(_positive(row["oldest_seconds"])) for row in pending]),
    ]


def _parked(facts: Facts) -> list[Sample]:
    """By the queue that they are for: what is limited is `job:TYPE` or `task:TYPE`."""
    return [
        _of(
            sum(row["messages"] for row in facts.parked if row["parked"].startswith(kind)),
            queue=queue,
            state="parked",
        )
        for kind, queue in (("job:", "jobs"), ("task:", "tasks"))
    ]


def _both_queues(facts: Facts) -> Iterable[dict[str, object]]:
    found = {row["queue"]: row for row in facts.outbox}
    return [found.get(queue, {"queue": queue, "oldest_seconds": None}) for queue in ("jobs", "tasks")]


def _of_queues(states: Sequence[QueueState]) -> list[Family]:
    return [
        Family(names.QUEUE_DEPTH, [_of(state.messages, queue=state.name) for state in states]),
        Family(names.QUEUE_AGE, [_of(state.oldest_seconds, queue=state.name) for state in states]),
    ]


def _of(value: float, /, **labels: object) -> Sample:
    return Sample({name: str(label) for name, label in labels.items()}, float(value))


def _positive(seconds: object) -> float:
    return max(float(seconds), 0.0) if isinstance(seconds, int | float) else 0.0
