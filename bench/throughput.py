"""Two stages of n no-op tasks with durable results: how long, how much CPU, how many transactions."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

import psycopg

from local.stack.progress import Progress

from .cpu import cpu_seconds
from .servers import BenchServers
from .sides import NotInTime, Run, Side

STAGES = 2
_STATISTICS_FLUSHED = 11.0
"""Seconds after which an idle backend has reported its transactions: PGSTAT_IDLE_INTERVAL is 10."""


@dataclass
class Throughput:
    """The runs of each side at each size, and the sizes that a side did not finish in time."""

    runs: dict[str, dict[int, list[Run]]] = field(default_factory=dict)
    given_up: dict[str, list[int]] = field(default_factory=dict)

    def add(self, side: str, n: int, run: Run) -> None:
        """Keep one run."""
        self.runs.setdefault(side, {}).setdefault(n, []).append(run)

    def give_up(self, side: str, n: int) -> None:
        """Keep that `side` does not finish n in time."""
        self.given_up.setdefault(side, []).append(n)

    def wanted(self, side: str, n: int) -> bool:
        """Whether n is worth another try: nothing as large was given up."""
        return not any(tried <= n for tried in self.given_up.get(side, []))


def measure(side: Side, n: int, limit: float, jobs: int = 1) -> Run:
    """One run. Raises `NotInTime`."""
    before = cpu_seconds(side.processes())
    seconds = side.run(n, jobs, limit)
    after = cpu_seconds(side.processes())
    return Run(seconds, {name: round(after[name] - before[name], 3) for name in after})


def compare(
    sides: Sequence[tuple[Side, Sequence[int]]], rounds: int, limit: float, progress: Progress
) -> Throughput:
    """Every side at every size, in turns, so that what else the machine does meets all of them."""
    found = Throughput()
    for number in range(1, rounds + 1):
        for side, sizes in sides:
            with progress.step(f"Round {number} of {rounds}: {side.name}"):
                _round(side, sizes, limit, found, progress)
    return found


def _round(side: Side, sizes: Sequence[int], limit: float, found: Throughput, progress: Progress) -> None:
    n = 0
    try:
        side.start()
        for n in sizes:
            if not found.wanted(side.name, n):
                continue
            progress.detail(f"n = {n:,}")
            # Short runs are cheap to repeat and vary most.
            for _ in range(3 if n <= 100 else 1):
                found.add(side.name, n, measure(side, n, limit))
    except NotInTime:
        found.give_up(side.name, n)
        progress.say(f"{side.name}: n = {n:,} takes more than {limit:.0f} s")
    except RuntimeError as error:
        # The others are measured all the same; the table shows what is missing.
        progress.say(f"{side.name}: {error}")
    finally:
        side.stop()


def transactions_per_task(side: Side, servers: BenchServers, n: int, limit: float) -> float:
    """Committed transactions for each task of one run, less those of the same time without work."""
    try:
        side.start()
        time.sleep(_STATISTICS_FLUSHED)
        idle_from = _commits(servers, side.database)
        time.sleep(_STATISTICS_FLUSHED)
        idle = (_commits(servers, side.database) - idle_from) / _STATISTICS_FLUSHED
        before = _commits(servers, side.database)
        began = time.monotonic()
        side.run(n, 1, limit)
        time.sleep(_STATISTICS_FLUSHED)
        committed = _commits(servers, side.database) - before
        return max(0.0, committed - idle * (time.monotonic() - began)) / (STAGES * n)
    finally:
        side.stop()


def _commits(servers: BenchServers, database: str) -> int:
    with psycopg.connect(servers.postgres.url(), autocommit=True) as connection:
        query = "SELECT xact_commit FROM pg_stat_database WHERE datname = %s"
        row = connection.execute(query, [database]).fetchone()
    assert row is not None
    return int(row[0])


def as_json(found: Throughput) -> Mapping[str, object]:
    """For the results file."""
    runs = {
        side: {str(n): [asdict(run) for run in runs] for n, runs in by_n.items()}
        for side, by_n in found.runs.items()
    }
    return {"runs": runs, "given_up": found.given_up}
