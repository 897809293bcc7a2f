"""Reads that people ask for and that may look at much: the server gives them up after seconds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from .connection import Connection
from .database import Database
from .sql_files import queries


@contextmanager
def bounded(database: Database) -> Iterator[Connection]:
    """A transaction whose statements take 5 s each at most; raises `ServiceUnavailable` for one that would.

    Whoever stops waiting does not end a statement: without a bound the server would go on with it.
    """
    with database.transaction() as connection:
        connection.execute(queries("diagnostics")["bound_statements"])
        yield connection
