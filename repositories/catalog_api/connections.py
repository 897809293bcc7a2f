"""The database as stac-fastapi-pgstac asks for it, on the app's own pool.

The library's own pool is asyncpg's. It wants the search path as a parameter of the session, which PgBouncer
refuses, and prepares statements; it knows nothing of the identity, of connections that fell silent, or of how
many connections a process may have. All that the library calls on a connection is `fetchval`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Literal

import orjson
import psycopg
from fastapi import Request
from psycopg.adapt import Loader
from psycopg.rows import tuple_row

from interfaces.settings import Settings
from repositories.database import Database
from repositories.sql_files import queries

from .faults import told

Purpose = Literal["r", "w"]


class CatalogConnections:
    """Hands out what runs one statement a transaction; `get` is the library's `ConnectionGetter`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._sql = queries("catalog")
        self._milliseconds = str(round(settings.catalog_search_seconds * 1000))
        # As many as there are connections: who waits, waits here.
        self._threads = ThreadPoolExecutor(settings.catalog_connections, thread_name_prefix="catalog")

    @asynccontextmanager
    async def get(self, _: Request, readwrite: Purpose = "r") -> AsyncIterator[Statements]:
        """Statements that read, or that may write."""
        yield Statements(self, readwrite)

    async def run(self, purpose: Purpose, statement: str, arguments: tuple[object, ...]) -> Any:
        """The first column of the first row; None without a row."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, self._value, purpose, statement, arguments)

    def _value(self, purpose: Purpose, statement: str, arguments: tuple[object, ...]) -> Any:
        prepare = self._sql["reading" if purpose == "r" else "writing"]
        with self._database.connection() as connection:
            try:
                # In one go: behind the first round trip there is only the commit.
                with connection.pipeline(), connection.transaction():
                    connection.execute(prepare, {"milliseconds": self._milliseconds})
                    cursor = psycopg.RawCursor(connection, row_factory=tuple_row)
                    for name in ("json", "jsonb"):
                        cursor.adapters.register_loader(name, _FastJson)
                    row = cursor.execute(statement.encode(), arguments).fetchone()
            except psycopg.Error as error:
                ours = told(error)
                if ours is None:
                    raise
                raise ours from error
        return None if row is None else row[0]


class Statements:
    """As much of asyncpg's connection as the library uses."""

    def __init__(self, connections: CatalogConnections, purpose: Purpose) -> None:
        self._connections = connections
        self._purpose: Purpose = purpose

    async def fetchval(self, statement: str, *arguments: object) -> Any:
        """The first column of the first row; None without a row. Parameters are `$1`, `$2`, …"""
        return await self._connections.run(self._purpose, statement, arguments)


class _FastJson(Loader):
    """Pages of items are megabytes."""

    def load(self, data: Any) -> Any:
        return orjson.loads(bytes(data))
