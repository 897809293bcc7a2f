"""Limits of concurrency: how many jobs of a type, or tasks of a type, may run at once."""

from __future__ import annotations

from time import monotonic

from interfaces.jobs import ConcurrencyLimit

from .audit import caller
from .database import Database
from .sql_files import queries

UNPARKED_AT_ONCE = 10_000
"""Messages that `app.unpark` lets go at most, since all claims of their type wait for it."""
UNPARK_SECONDS = 20.0


class LimitRepository:
    """Limits are rows, so that they hold for every process at once and change while jobs run."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("engine")

    def all(self) -> list[ConcurrencyLimit]:
        """Every limit, with what runs and waits now."""
        with self._database.connection() as connection:
            rows = connection.execute(self._sql["limits"]).fetchall()
        limits = []
        for row in rows:
            kind, _, name = row.pop("limited_type").partition(":")
            limits.append(ConcurrencyLimit(kind=kind, name=name, **row))
        return limits

    def set(self, kind: str, name: str, at_most: int | None) -> None:
        """Set a limit, or remove it with None; lets go what may run now, a page at a time.

        What was not let go after `UNPARK_SECONDS` is by the reconciler, which goes on.
        """
        limit = {"limited_type": f"{kind}:{name}", "at_most": at_most, "caller": caller()}
        end = monotonic() + UNPARK_SECONDS
        with self._database.connection() as connection:
            connection.execute(self._sql["set_limit"], limit)
            # The first page went with the limit itself.
            while monotonic() < end:
                row = connection.execute(self._sql["unpark"], limit).fetchone()
                if row is None or row["unparked"] < UNPARKED_AT_ONCE:
                    return
