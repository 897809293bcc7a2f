"""What each minute was like: samples that are written once a minute, and read as buckets of time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from math import ceil

from .bounded import bounded
from .database import Database
from .keyset import Document
from .sql_files import queries

KEPT = timedelta(days=7)
SAMPLE_SECONDS = 60
BUCKETS = 400
"""At most so many points: a chart is no wider."""
WIDTHS = (60, 120, 300, 600, 900, 1800, 3600)
"""Seconds of a bucket."""
SERIES = (
    "jobs_messages",
    "jobs_oldest_seconds",
    "tasks_messages",
    "tasks_oldest_seconds",
    "poison_messages",
    "outbox_messages",
    "outbox_oldest_seconds",
    "queued",
    "processing",
    "unfinished",
    "completed",
    "failed",
    "cancelled",
    "retried",
    "deferred",
    "leases_lost",
    "jobs_completed",
    "jobs_failed",
)


@dataclass(frozen=True, slots=True)
class QueueSample:
    """A queue at a moment: about how many messages, the age of the oldest visible one, poison messages."""

    messages: int
    oldest_seconds: float
    poison: int


class HistoryRepository:
    """Raises `ServiceUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("history")

    def add(self, *, jobs: QueueSample | None, tasks: QueueSample | None) -> bool:
        """Write this minute's sample, and remove what is too old; false: the minute has one.

        None stands for a queue that could not be looked at.
        """
        values: dict[str, object] = {"kept": KEPT}
        for kind, sample in (("jobs", jobs), ("tasks", tasks)):
            values[f"{kind}_messages"] = sample and sample.messages
            values[f"{kind}_oldest_seconds"] = sample and sample.oldest_seconds
            values[f"{kind}_poison"] = sample and sample.poison
        with self._database.connection() as connection:
            return connection.execute(self._sql["take_sample"], values).fetchone() is not None

    def since(self, hours: float, now: float) -> Document:
        """The last hours before `now` (Unix time) as buckets, the oldest first; at most those of a week.

        `times` are the buckets' beginnings, seconds since 1970, and `series` has for each of `SERIES` a list
        of the most that was seen in a bucket, or of how often something happened; null without a sample.
        """
        width = next((one for one in WIDTHS if one * BUCKETS >= hours * 3600), WIDTHS[-1])
        count = ceil(hours * 3600 / width)
        last = (int(now // width) + 1) * width
        first = last - count * width
        with bounded(self._database) as connection:
            rows = connection.execute(
                self._sql["history"], {"first": first, "last": last, "width": width}
            ).fetchall()
        found = {row["bucket"]: row for row in rows}
        return {
            "sample_seconds": SAMPLE_SECONDS,
            "bucket_seconds": width,
            "kept_hours": int(KEPT.total_seconds() // 3600),
            "times": [first + n * width for n in range(count)],
            "series": {
                name: [found[n][name] if n in found else None for n in range(count)] for name in SERIES
            },
        }
