"""The database as an application asks it: brief transactions on the app's own kind of pool.

The libraries' own pools are asyncpg's, of which ADR 12 says why they are none of ours.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import TupleRow, tuple_row

from interfaces.errors import OrchestratorError
from repositories.connection import Connection
from repositories.database import Database

T = TypeVar("T")
Cursor = psycopg.RawCursor[TupleRow]
Work = Callable[[Cursor], T]
"""Executes statements, whose parameters are `$1`, `$2`, …, and takes what they answer."""
Told = Callable[[psycopg.Error], OrchestratorError | None]
"""The error of ours that says what went wrong; None where nobody foresaw it."""


class Statements:
    """Runs work on connections, as many at once as there are; who waits, waits here.

    `told` makes errors of ours of what the database says: nothing of it is told to a client by chance.
    """

    def __init__(self, database: Database, connections: int, name: str, told: Told) -> None:
        self._database = database
        self._told = told
        self._threads = ThreadPoolExecutor(connections, thread_name_prefix=name)

    async def run(
        self, prepare: LiteralString, values: Mapping[str, Any], work: Work[T], *, in_one_go: bool = True
    ) -> T:
        """What the work answers, in a transaction that `prepare` begins with settings of its own.

        `in_one_go` spares round trips: the work's one statement is sent with them. Without it the work may
        stream.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._run, prepare, values, work, in_one_go)

    def _run(self, prepare: LiteralString, values: Mapping[str, Any], work: Work[T], in_one_go: bool) -> T:
        with self._database.connection() as connection:
            try:
                if in_one_go:
                    # Behind the first round trip there is only the commit.
                    with connection.pipeline(), connection.transaction():
                        connection.execute(prepare, values)
                        return work(_cursor(connection))
                with connection.transaction():
                    connection.execute(prepare, values)
                    return work(_cursor(connection))
            except psycopg.Error as error:
                ours = self._told(error)
                if ours is None:
                    raise
                raise ours from error


def _cursor(connection: Connection) -> Cursor:
    return psycopg.RawCursor(connection, row_factory=tuple_row)
