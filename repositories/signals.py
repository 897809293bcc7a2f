"""What the database knows of the whole app in numbers, in one snapshot, at a bounded cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interfaces.signals import Distribution

from .database import Database
from .sql_files import queries

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Total:
    """What was counted of one kind, by all processes since the beginning; `at`: last, in Unix time."""

    signal: str
    kind: str
    outcome: str
    count: int
    durations: Distribution
    at: float


@dataclass(frozen=True)
class Facts:
    """One snapshot: totals, and rows as sql/queries/signals.sql has them."""

    totals: list[Total]
    jobs: Rows
    tasks: Rows
    outbox: Rows
    parked: Rows
    callbacks: Rows
    stuck: Rows


class SignalRepository:
    """Reads numbers, and adds to totals. Raises `ServiceUnavailable` when the database cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("signals")
        self._bounds = queries("diagnostics")["bound_statements"]
        self._add = queries("engine")["add_reconciled"]

    def facts(self) -> Facts:
        """Everything, as of one moment."""
        with self._database.transaction() as connection:
            connection.execute(self._sql["snapshot"])
            connection.execute(self._bounds)
            found = {
                name: connection.execute(self._sql[name]).fetchall()
                for name in ("bounds", "totals", "jobs", "tasks", "outbox", "parked", "callbacks", "stuck")
            }
        bounds = tuple(float(bound) for bound in found.pop("bounds")[0]["bounds"])
        return Facts(totals=_summed(found.pop("totals"), bounds), **found)

    def add_reconciled(self, moved: Mapping[str, int]) -> None:
        """Count a run of the reconciler, and what each of its rules moved."""
        counts = {"run": 1} | {rule: n for rule, n in moved.items() if n}
        with self._database.connection() as connection:
            connection.execute(
                self._add,
                {
                    "rules": list(counts),
                    "outcomes": ["" for _ in counts],
                    "counts": list(counts.values()),
                },
            )


def _summed(rows: Rows, bounds: tuple[float, ...]) -> list[Total]:
    """One total of the rows among which workers spread it."""
    grouped: dict[tuple[str, str, str], Rows] = {}
    for row in rows:
        grouped.setdefault((row["signal"], row["kind"], row["outcome"]), []).append(row)
    return [
        Total(
            *key,
            count=sum(row["n"] for row in same),
            durations=Distribution(
                bounds,
                tuple(
                    sum(row["buckets"][i] for row in same if i < len(row["buckets"]))
                    for i in range(len(bounds) + 1)
                ),
                sum(row["seconds"] for row in same),
            ),
            at=max(row["at"] for row in same),
        )
        for key, same in sorted(grouped.items())
    ]
