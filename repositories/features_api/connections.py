"""The database as tipg asks for it, on the app's own pool: it only reads, and not for ever.

All that tipg calls on its pool is `acquire`, and on a connection `fetch` and `fetchval`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from interfaces.errors import InvalidRequest, PayloadTooLarge
from interfaces.settings import Settings
from repositories.asgi.statements import Cursor, Statements
from repositories.database import Database
from repositories.sql_files import queries

from .faults import told
from .values import adapt, size

Row = dict[str, Any]
FIRST = "\0"
"""Behind the name of the first of two columns: no column's name has it."""


class FeatureConnections:
    """As much of asyncpg's pool, and of its connections, as tipg uses."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._sql = queries("features")
        milliseconds = str(round(settings.features_query_seconds * 1000))
        self._role = settings.features_role
        self._values = {"milliseconds": milliseconds, "role": self._role}
        self._most_bytes = int(settings.features_max_answer_bytes)
        self._statements = Statements(database, settings.features_connections, "features", told)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[FeatureConnections]:
        """A connection; each statement takes one of its own."""
        yield self

    async def fetch(self, statement: str, *arguments: object) -> list[Row]:
        """All rows. Raises `PayloadTooLarge` before they fill the memory."""
        query = _sound(statement)

        def rows(cursor: Cursor) -> list[Row]:
            adapt(cursor)
            found, taken, names = [], 0, None
            for values in cursor.stream(query, arguments):
                names = names or _names(cursor)
                taken += size(values)
                if taken > self._most_bytes:
                    raise PayloadTooLarge(f"limit: so many features take more than {self._most_bytes} bytes")
                found.append(dict(zip(names, values, strict=True)))
            return found

        return await self._statements.run(self._sql["reading"], self._values, rows, in_one_go=False)

    async def fetchval(self, statement: str, *arguments: object) -> Any:
        """The first column of the first row; None without a row. Parameters are `$1`, `$2`, …"""
        query = _sound(statement)

        def value(cursor: Cursor) -> Any:
            row = cursor.execute(query, arguments).fetchone()
            return None if row is None else row[0]

        return await self._statements.run(self._sql["reading"], self._values, value)

    async def layers(self, schema: str | None, table: str | None) -> list[Row]:
        """What is known of the layers that may be read, or of one. Asked as the app, not as the role."""

        def found(cursor: Cursor) -> list[Row]:
            rows = cursor.execute(self._sql["layers"], (schema, table, self._role)).fetchall()
            return [dict(zip(_names(cursor), values, strict=True)) for values in rows]

        values = {**self._values, "role": ""}
        return await self._statements.run(self._sql["reading"], values, found)


def _names(cursor: Cursor) -> list[str]:
    """Of the columns; where there are two of a name, the first is another one, so that neither is hidden."""
    names = [column.name for column in cursor.description or ()]
    if len(set(names)) < len(names):
        names = [name + FIRST * (name in names[n + 1 :]) for n, name in enumerate(names)]
    return names


def _sound(statement: str) -> bytes:
    if "\x00" in statement:
        # The driver would send what is before it.
        raise InvalidRequest("text with U+0000 is in no column")
    return statement.encode()
