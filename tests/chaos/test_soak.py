"""Half an hour of mixed jobs and random faults with the default settings, and a report of it.

SOAK_MINUTES changes how long. The oldest worker is never killed or frozen: its memory is compared between
the end of the first minutes, when everything has been loaded, and the end.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import AzureError
from azure.storage.queue import QueueClient

from local.stack.azurite import AzuriteServer
from local.stack.postgres import PostgresServer
from tests.fix_app import App, MakeApp, until

from . import mixed_jobs
from .checks import BARE, Load, audit, check, report

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
WARM_UP = 0.15
"""The part of the time after which a worker has loaded all that it will."""
GROWTH = 1.05
TWICE_INTERRUPTED = 120.0
"""Seconds. A fault strikes every few seconds, so that a recovery is often struck itself and begins anew, with
a lease to wait for again. How long one takes that is left alone, `test_crashes.py` measures."""
API_VERSION = "2025-11-05"

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(MINUTES * 60 + 900)]

RECOVERIES = """
SELECT extract(epoch FROM min(e.at) - f.at)::float8 AS seconds
FROM unnest(%s::timestamptz[]) AS f (at)
JOIN app.jobs j ON j.created_at < f.at AND j.completed_at > f.at
JOIN app.job_events e ON e.job_id = j.job_id AND e.at > f.at
GROUP BY f.at, j.job_id
"""
"""From each fault to the next step of every job that lived then."""

LEFT_OVER = """
SELECT (SELECT count(*) FROM app.outbox) AS dispatches,
       (SELECT count(*) FROM app.tasks WHERE status IN ('queued', 'processing')) AS unfinished_tasks,
       (SELECT count(*) FROM app.jobs WHERE completed_at IS NULL) AS live_jobs,
       (SELECT count(*) FROM app.jobs WHERE plan_lease_until IS NOT NULL) AS plan_leases,
       (SELECT count(*) FROM app.poison_messages) AS poison_messages
"""

BY_TYPE = "SELECT job_type, count(*) AS n FROM app.jobs GROUP BY job_type"


@dataclass
class Soak:
    """The faults, and when they struck."""

    app: App
    postgres: PostgresServer
    azurite: AzuriteServer
    chance: random.Random
    kept: int
    """The worker that is left alone."""
    struck: list[Any] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)

    def strike(self) -> None:
        """One fault, of a kind picked by its weight."""
        kinds: dict[Callable[[], None], int] = {
            self.kill: 6,
            self.freeze: 2,
            self.cut_connections: 4,
            self.empty_queues: 3,
            self.restart_postgres: 2,
            self.restart_azurite: 1,
        }
        [kind] = self.chance.choices(list(kinds), weights=list(kinds.values()))
        # Each kind once, to begin with: what a worker keeps after its first outage it keeps for good.
        kind = next((one for one in kinds if not self.faults[one.__name__]), kind)
        kind()
        # By the database's clock, and after the fault: while a server is away nothing can move.
        self.struck.append(self.app.rows("SELECT clock_timestamp() AS now")[0]["now"])
        self.faults[kind.__name__] += 1

    def _victim(self) -> int:
        return self.chance.choice([pid for pid in self.app.workers() if pid != self.kept])

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._victim(), signal.SIGKILL)

    def freeze(self) -> None:
        """Longer than a lease: what the worker writes afterwards must not count."""
        pid = self._victim()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(35)
            os.kill(pid, signal.SIGCONT)

    def cut_connections(self) -> None:
        self.app.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )

    def empty_queues(self) -> None:
        for name in (self.app.jobs_queue, self.app.tasks_queue):
            with (
                QueueClient.from_connection_string(self.app.storage, name, api_version=API_VERSION) as queue,
                suppress(AzureError),
            ):
                queue.clear_messages()

    def restart_postgres(self) -> None:
        self.postgres.stop(signal.SIGQUIT)
        self.postgres.start()

    def restart_azurite(self) -> None:
        self.azurite.stop()
        time.sleep(self.chance.uniform(1, 20))
        self.azurite.start()


def _resident(pid: int) -> float:
    """Resident memory of a process, MiB."""
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line
    )
    return int(fields["VmRSS"].split()[0]) / 1024


def _seconds(minutes: float) -> Iterator[float]:
    """What part of the time is over, now and again, until it is."""
    began = time.monotonic()
    while (part := (time.monotonic() - began) / (minutes * 60)) < 1:
        yield part


def test_half_an_hour_of_everything(
    make_app: MakeApp, postgres_server: PostgresServer, azurite: AzuriteServer
) -> None:
    app = make_app("--workers", "3", LEASE_SECONDS="30", HEARTBEAT_SECONDS="10", REDELIVERY_SECONDS="30")
    audit(app)
    chance = random.Random(7)
    soak = Soak(app, postgres_server, azurite, chance, kept=app.workers()[0])
    mixed_jobs.upload(app.storage)
    load = Load(app, seed=7, wish=mixed_jobs.a_job, pause_seconds=0.6)
    memory: list[tuple[float, float]] = []
    with load.going_on():
        for part in _seconds(MINUTES):
            time.sleep(chance.uniform(2, 8))
            memory.append((part, _resident(soak.kept)))
            soak.strike()
    assert soak.kept in app.workers()
    states = check(app, load.expected, seconds=300)
    until(lambda: all(count == 0 for count in app.rows(LEFT_OVER)[0].values()), 60, app.tail)
    until(lambda: _messages(app) == 0, 120, app.tail)
    cogs = mixed_jobs.check_results(app)

    recoveries = sorted(row["seconds"] for row in app.rows(RECOVERIES, soak.struck))
    percentile = statistics.quantiles(recoveries, n=100)
    before = statistics.median(mib for part, mib in memory if WARM_UP < part < 2 * WARM_UP)
    after = statistics.median(mib for part, mib in memory if part > 1 - WARM_UP)
    [tasks] = app.rows("SELECT count(*) AS n, sum(attempt) AS attempts FROM app.tasks")
    report(
        "soak",
        cogs=cogs,
        jobs_by_type={row["job_type"]: row["n"] for row in app.rows(BY_TYPE)},
        faults=soak.faults,
        jobs=states,
        minutes=MINUTES,
        tasks=tasks["n"],
        attempts=int(tasks["attempts"]),
        answers=dict(load.answers),
        recoveries=len(recoveries),
        recovery_seconds={
            "p50": round(percentile[49], 2),
            "p95": round(percentile[94], 2),
            "p99": round(percentile[98], 2),
            "longest": round(recoveries[-1], 2),
        },
        memory_mib={
            "start": round(before, 1),
            "end": round(after, 1),
            "each_minute": [round(mib) for mib in _each_minute(memory)],
        },
        left_over=0,
    )
    mixed_jobs.check_cleaned_up(app)
    assert load.wrong == []
    assert load.answers[BARE] <= soak.faults["restart_azurite"]
    assert percentile[49] < 15
    assert percentile[98] < TWICE_INTERRUPTED
    assert after < GROWTH * before, memory


def _each_minute(memory: list[tuple[float, float]]) -> Iterator[float]:
    """Medians of what was measured in each minute."""
    for _, found in groupby(memory, lambda measured: int(measured[0] * MINUTES)):
        yield statistics.median(mib for _, mib in found)


def _messages(app: App) -> int:
    """What waits in the queues. What a killed worker had received stays out of sight for ten minutes."""
    total = 0
    for name in (app.jobs_queue, app.tasks_queue):
        with QueueClient.from_connection_string(app.storage, name, api_version=API_VERSION) as queue:
            total += len(queue.peek_messages(max_messages=32))
    return total
