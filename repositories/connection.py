"""A connection to PostgreSQL that does not wait for ever."""

from __future__ import annotations

import select
from time import monotonic
from typing import TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.rows import DictRow
from psycopg.waiting import Ready

T = TypeVar("T")

LOOK_SECONDS = 0.1
"""Between two looks at the clock while nothing comes."""


class Silence(psycopg.OperationalError):
    """The server, or what is between, did not say or take a byte for too long."""


class Connection(psycopg.Connection[DictRow]):
    """Breaks itself off when a statement waits for the network and nothing moves for `patience` seconds.

    A connection can fall silent for good without being closed: behind a PgBouncer whose server vanished, TCP
    itself finds nothing wrong, and a limit that the server keeps helps nobody who does not hear from it. All
    that psycopg does on a connection passes `wait`, so the thread that waits is the one that gives up: no
    other closes a socket that may be somebody else's by then. What became of the statement is not known.

    The time is that of silence, not of the statement: rows that come, or that the server takes, are progress.
    A statement that works for long before it answers needs more patience.
    """

    patience = 60.0

    def wait(self, gen: PQGen[T], interval: float = LOOK_SECONDS, timeout: float | None = None) -> T:
        """As psycopg's; raises `Silence`."""
        try:
            return super().wait(_heard(gen, self.patience), min(interval, LOOK_SECONDS), timeout)
        except Silence:
            # Closed before anybody else can take it for one that works.
            self.close()
            raise

    def has_word(self) -> bool:
        """Whether something came by itself: on an idle connection, the server's farewell."""
        waiting = select.poll()
        waiting.register(self.fileno(), select.POLLIN)
        return bool(waiting.poll(0))


def _heard(gen: PQGen[T], patience: float) -> PQGen[T]:
    """The same steps, until nothing was heard for too long."""
    try:
        wanted = next(gen)
        last = monotonic()
        while True:
            ready = yield wanted
            if ready != Ready.NONE:
                last = monotonic()
            elif monotonic() - last > patience:
                raise Silence(f"no word from the database for {patience:g} s")
            wanted = gen.send(ready)
    except StopIteration as done:
        answer: T = done.value
        return answer
