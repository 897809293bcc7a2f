"""What the app did lately, and what waits, for charts."""

from __future__ import annotations

from math import ceil
from typing import Any

from .connection import Connection
from .database import Database
from .history import HistoryRepository
from .keyset import Document
from .sql_files import queries

MOST_EVENTS = 200_000
"""Events that are looked at, at 100 ms of the database for each hundred thousand; a span that has more begins
later, and the answer says so."""
WIDTHS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)
"""Seconds of a bucket."""
BUCKETS = 120
COUNTS = (
    "started",
    "completed",
    "failed",
    "cancelled",
    "retried",
    "deferred",
    "leases_lost",
    "planned",
    "jobs_completed",
    "jobs_failed",
)


class Activity:
    """Reads for charts. Raises `ServiceUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("activity")

    def lately(self, minutes: int) -> Document:
        """Counts of what happened to tasks in each bucket of the last minutes, and how many were unfinished.

        `times` are the buckets' beginnings, seconds since 1970; the last bucket is not over. `series` has a
        list of counts for each of `COUNTS`, and `unfinished`: tasks that waited or ran at the end of each
        bucket, counted back from how many do now.
        """
        width = next((one for one in WIDTHS if one * BUCKETS >= minutes * 60), WIDTHS[-1])
        buckets = ceil(minutes * 60 / width)
        with self._database.long_connection() as connection:
            now = self._one(connection, "clock")["now"]
            last = (int(now // width) + 1) * width
            first = last - buckets * width
            rows = connection.execute(
                self._sql["activity"],
                {"first": first, "last": last, "buckets": buckets, "most": MOST_EVENTS},
            ).fetchall()
            reach = self._one(connection, "reach", most=MOST_EVENTS)
            waiting = self._one(connection, "unfinished")
        by_bucket = {row["bucket"]: row for row in rows}
        series = {
            name: [by_bucket[n][name] if n in by_bucket else 0 for n in range(buckets)] for name in COUNTS
        }
        cut = reach["cut"] and reach["oldest"].timestamp() > first
        return {
            "bucket_seconds": width,
            "times": [first + n * width for n in range(buckets)],
            "series": {**series, "unfinished": _unfinished(series, sum(waiting.values()))},
            "queued": waiting["queued"],
            "processing": waiting["processing"],
            "complete_since": reach["oldest"] if cut else None,
        }

    def history(self, hours: float) -> Document:
        """What the last hours were like, by samples of each minute (`repositories.history`)."""
        with self._database.connection() as connection:
            now = self._one(connection, "clock")["now"]
        return HistoryRepository(self._database).since(hours, now)

    def _one(self, connection: Connection, query: str, **parameters: object) -> dict[str, Any]:
        (row,) = connection.execute(self._sql[query], parameters).fetchall()
        return row


def _unfinished(series: dict[str, list[int]], now: int) -> list[int]:
    """How many tasks were planned and not ended at the end of each bucket, from how many are now."""
    counts, left = [], now
    for n in range(len(series["planned"]) - 1, -1, -1):
        counts.append(max(left, 0))
        ended = series["completed"][n] + series["failed"][n] + series["cancelled"][n]
        left += ended - series["planned"][n]
    return counts[::-1]
