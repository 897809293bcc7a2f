"""Rows that are always there."""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import sql

from .connection import Connection


def first_row(
    connection: Connection, query: LiteralString | sql.Composed, **parameters: object
) -> dict[str, Any]:
    """The first row of a query that always has one."""
    row = connection.execute(query, parameters).fetchone()
    assert row is not None
    return row
