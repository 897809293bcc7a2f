"""The database as stac-fastapi-pgstac asks for it, on the app's own pool.

The library's own pool is asyncpg's. It wants the search path as a parameter of the session, which PgBouncer
refuses, and prepares statements; it knows nothing of the identity, of connections that fell silent, or of how
many connections a process may have. All that the library calls on a connection is `fetchval`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

import orjson
from fastapi import Request
from psycopg.adapt import Loader

from interfaces.settings import Settings
from repositories.asgi.statements import Cursor, Statements
from repositories.database import Database
from repositories.sql_files import queries

from .faults import told

Purpose = Literal["r", "w"]


class CatalogConnections:
    """Hands out what runs one statement a transaction; `get` is the library's `ConnectionGetter`."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._sql = queries("catalog")
        self._values = {"milliseconds": str(round(settings.catalog_search_seconds * 1000))}
        self._statements = Statements(database, settings.catalog_connections, "catalog", told)

    @asynccontextmanager
    async def get(self, _: Request, readwrite: Purpose = "r") -> AsyncIterator[CatalogConnection]:
        """A connection that reads, or one that may write."""
        yield CatalogConnection(self, readwrite)

    async def run(self, purpose: Purpose, statement: str, arguments: tuple[object, ...]) -> Any:
        """The first column of the first row; None without a row."""

        def value(cursor: Cursor) -> Any:
            for name in ("json", "jsonb"):
                cursor.adapters.register_loader(name, _FastJson)
            row = cursor.execute(statement.encode(), arguments).fetchone()
            return None if row is None else row[0]

        prepare = self._sql["reading" if purpose == "r" else "writing"]
        return await self._statements.run(prepare, self._values, value)


class CatalogConnection:
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
