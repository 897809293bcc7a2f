"""Dispatches: taken, sent by somebody else, marked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from .database import Database
from .sql_files import queries


@dataclass(frozen=True)
class Dispatch:
    """A message that must reach a queue. `queue` is `jobs` or `tasks`."""

    dispatch_id: int
    queue: str
    job_id: str
    run: int
    stage: int
    first: int | None
    last: int | None
    delay_seconds: int
    correlation_id: str
    traceparent: str | None = None


class OutboxRepository:
    """No connection is held while messages are sent: a hold on the rows ends by time."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("engine")

    def take(self, job_id: str | None, limit: int, hold: timedelta) -> list[Dispatch]:
        """Take pending dispatches, of one job or of all, oldest first."""
        with self._database.connection() as connection:
            rows = connection.execute(
                self._sql["take_dispatches"], {"job_id": job_id, "limit": limit, "hold": hold}
            ).fetchall()
        return [Dispatch(**row) for row in rows]

    def mark_sent(self, dispatch_ids: Sequence[int], redelivery: timedelta, longest: timedelta) -> None:
        """Note that these were sent, and when to look whether anybody took up their work."""
        with self._database.connection() as connection:
            connection.execute(
                self._sql["mark_sent"],
                {"dispatch_ids": list(dispatch_ids), "redelivery": redelivery, "longest": longest},
            )

    def release(self, dispatch_ids: Sequence[int]) -> None:
        """Let go of dispatches that could not be sent."""
        with self._database.connection() as connection:
            connection.execute(self._sql["release_dispatches"], {"dispatch_ids": list(dispatch_ids)})
