"""Names of what is made beside a table, and rows that are always there."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import sql

from interfaces.vectors import MAX_NAME_BYTES

from .connection import Connection


def fitting(name: str, end: str) -> str:
    """A name with this end, and as much of it before as fits."""
    return name.encode()[: MAX_NAME_BYTES - len(end.encode())].decode("utf-8", "ignore") + end


def first_row(
    connection: Connection, query: LiteralString | sql.Composed, **parameters: object
) -> dict[str, Any]:
    """The first row of a query that always has one."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row
