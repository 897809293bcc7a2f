"""Tables, from the catalog of a migrated database, and what `sql/comments` says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from repositories.sql_files import queries

from .markdown import code, table

HEAD = """# Tables

Made of the database's own catalog: `sql/migrations` makes the tables, `sql/comments` says what they are
for, which `\\d+ app.jobs` in psql shows too. `app` is the engine's; `geo` says what was published, and
outlives the jobs that made it; `audit` says who did what, and outlives the schema's other parts. Tables of
features are in `features`, or where a job put them; the STAC catalog is in `pgstac`. Who may read and write
them: [database roles](../database-roles.md).

States change by the functions in `sql/functions` only ([states](states.md)). Whoever reads for reports uses
`GET /api/db/…` ([api.md](../api.md#database)) or a role that only reads.
"""


@dataclass(frozen=True)
class Column:
    """A column as the catalog has it."""

    table: str
    name: str
    type: str
    required: bool
    default: str | None
    comment: str | None


def document(connection: psycopg.Connection[Any]) -> str:
    """The page."""
    return "\n".join([HEAD, *_sections(connection)])


def undescribed(connection: psycopg.Connection[Any]) -> list[str]:
    """Tables and columns that nothing is said of."""
    bare = [name for name, comment in _tables(connection) if not comment]
    return bare + [f"{column.table}.{column.name}" for column in _columns(connection) if not column.comment]


def _sections(connection: psycopg.Connection[Any]) -> Iterator[str]:
    columns = _columns(connection)
    with connection.cursor(row_factory=dict_row) as cursor:
        indexes = cursor.execute(queries("reference")["indexes"]).fetchall()
    for name, comment in _tables(connection):
        rows = [
            (
                code(c.name),
                f"{c.type}{' not null' if c.required else ''}",
                code(c.default or ""),
                c.comment or "",
            )
            for c in columns
            if c.table == name
        ]
        made = [f"* `{index['definition']}`" for index in indexes if index["of_table"] == name]
        yield f"## {name}\n\n{comment or ''}\n\n{table(('column', 'type', 'default', ''), rows)}\n"
        if made:
            yield "\n".join(made) + "\n"


def _tables(connection: psycopg.Connection[Any]) -> list[tuple[str, str | None]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(queries("reference")["tables"]).fetchall()
    return [(str(row["name"]), row["comment"]) for row in rows]


def _columns(connection: psycopg.Connection[Any]) -> list[Column]:
    with connection.cursor(row_factory=class_row(Column)) as cursor:
        return cursor.execute(queries("reference")["columns"]).fetchall()
