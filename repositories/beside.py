"""Two things at a time that PostgreSQL does for one caller: one of them on a connection of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from typing import TypeVar

import psycopg

from interfaces.errors import Conflict, ServiceUnavailable

from .connection import Connection
from .database import Database
from .sql_files import queries

T = TypeVar("T")


class Hands:
    """A transaction, and another connection where there is one to spare at once."""

    def __init__(self, database: Database, connection: Connection) -> None:
        """`connection` is in a transaction, in which locks are waited for as `bounded` has it."""
        self._database = database
        self._connection = connection

    def both(self, helped: Callable[[Connection], T], own: Callable[[], None]) -> T:
        """Do both, at the same time if that can be; answers what `helped` does.

        What `helped` does is committed by itself, or is part of the transaction: it must be right either way,
        and need no lock that `own` takes.
        """
        with ThreadPoolExecutor(1, "beside") as pool:
            found = pool.submit(copy_context().run, self._elsewhere, helped)
            own()
            answers = found.result()
        return answers[0] if answers else helped(self._connection)

    def _elsewhere(self, helped: Callable[[Connection], T]) -> list[T]:
        """What it answers; nothing where it was not done."""
        begun = False
        try:
            with self._database.spare_transaction() as connection, bounded(connection):
                begun = True
                return [helped(connection)]
        except ServiceUnavailable:
            if begun:
                # What became of it is not known.
                raise
            return []


@contextmanager
def bounded(connection: Connection) -> Iterator[None]:
    """Wait for locks for some time only. Raises `Conflict` then.

    Inside the connection's block, which would take it for an outage of the database.
    """
    connection.execute(queries("feature_tables")["bound_lock_wait"])
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise Conflict("others use the table, or publish it, for too long; nothing was published") from error
