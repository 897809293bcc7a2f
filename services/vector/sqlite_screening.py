"""Looks into SQLite databases, GeoPackages among them, before GDAL does, by SQLite alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from interfaces.crs_references import names_a_file
from interfaces.errors import PermanentTaskError

from .screening import NAMED_BY_CRS

HARMLESS_MODULES = frozenset(
    {
        *("rtree", "rtree_i32", "fts3", "fts4", "fts5", "geopoly"),
        *("virtualspatialindex", "virtualelementary", "virtualknn", "virtualknn2", "virtualbbox"),
        *("virtualnetwork", "virtualrouting"),
    }
)
"""Of virtual tables that SQLite and SpatiaLite make of what is in the database. Others read files."""
VIRTUAL_TABLE = re.compile(
    r"\s*CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+[\"'`\[]?(\w+)", re.IGNORECASE | re.DOTALL
)
REACHING = re.compile(r"\b(load_extension|readfile|ogr_\w+|gdal_\w+)[\"'`\]]?\s*\(", re.IGNORECASE)
"""Functions that GDAL gives to SQL, of which some open files or ask web services."""


GEOMETRY_COLUMNS = """
SELECT g.table_name, g.column_name FROM gpkg_geometry_columns g
JOIN sqlite_master m ON lower(m.name) = lower(g.table_name) AND m.type = 'table'
"""
LARGER = "SELECT 1 FROM {table} WHERE length({column}) > ? LIMIT 1"
NULLS = "SELECT count(*) FROM {table} WHERE {column} IS NULL"
EVERY_ROW = "SELECT * FROM {table}"
COUNTED = "SELECT count(*) FROM {table}"
VIEW = re.compile(r"\s*CREATE\s+(?:TEMP\w*\s+)?VIEW\b", re.IGNORECASE)
SQLITE_STEPS = 1_000_000
VIEW_STEPS = 100
"""Times as many, for all views together: some seconds."""
GROWING = re.compile(r"\b(zeroblob|randomblob|printf|format)[\"'`\]]?\s*\(", re.IGNORECASE)
WITH = re.compile(r"\b(WITH)\b", re.IGNORECASE)
"""SQLite takes such a clause for a recursive one whether it says so or not."""


def screen_sqlite(path: Path) -> None:
    """Raise `PermanentTaskError` for a database whose tables or views would read something else."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as database:
            made = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            for name, sql in made:
                _refuse_growing(str(name), str(sql))
            _refuse_endless(database, [str(name) for name, sql in made if _is_view(sql)])
            _refuse_crs_of_files(database)
    except sqlite3.Error as error:
        raise PermanentTaskError(f"the SQLite database cannot be read: {error}") from error
    for name, sql in made:
        virtual = VIRTUAL_TABLE.match(str(sql))
        if virtual is not None and virtual[1].lower() not in HARMLESS_MODULES:
            raise PermanentTaskError(
                f"the database is refused: {str(name)[:100]!r} is a virtual table of {virtual[1][:50]}, "
                "which may read other files"
            )
        # Not the name of a table, which may be that of a function: the first parenthesis opens its columns.
        called = REACHING.search(str(sql).partition("(")[2] if _is_table(sql) else str(sql))
        if called is not None:
            raise PermanentTaskError(
                f"the database is refused: {str(name)[:100]!r} calls {called[1][:50]}, which may reach other "
                "files"
            )


def _refuse_crs_of_files(database: sqlite3.Connection) -> None:
    """By value: in the file a text may lie in pieces, and a view may put it together."""
    steps = iter(range(VIEW_STEPS))
    database.set_progress_handler(lambda: next(steps, None) is None, SQLITE_STEPS)
    found = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    for name in (str(name) for (name,) in found if "spatial_ref_sys" in str(name).lower()):
        for row in database.execute(EVERY_ROW.format(table=_quoted(name))):
            if any(names_a_file(str(value).encode("utf-8", "replace")) for value in row):
                raise PermanentTaskError(NAMED_BY_CRS)


def _refuse_growing(name: str, sql: str) -> None:
    """What makes rows, or values, of nothing is more than the file is: neither need end."""
    if not _is_table(sql) and not _is_view(sql):
        return
    looked_at = sql.partition("(")[2] if _is_table(sql) else sql
    called = GROWING.search(looked_at) or (WITH.search(sql) if _is_view(sql) else None)
    if called is not None:
        raise PermanentTaskError(
            f"the database is refused: {name[:100]!r} has {called[1].upper()[:20]}, by which it may grow "
            "without end"
        )


def _refuse_endless(database: sqlite3.Connection, views: Sequence[str]) -> None:
    """Joins may have more rows than anybody can read."""
    left = VIEW_STEPS

    def step() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    database.set_progress_handler(step, SQLITE_STEPS)
    for name in views:
        try:
            database.execute(COUNTED.format(table=_quoted(name))).fetchone()
        except sqlite3.OperationalError as error:
            if left < 0:
                raise PermanentTaskError(
                    f"the database is refused: its view {name[:100]!r} takes too long to be read"
                ) from error
            # It may call functions that GDAL brings.


def unreadable_geometries(path: Path, layer: str, nulls: int, check: Callable[[], None]) -> int:
    """Of the geometries of a GeoPackage's layer that are read as null, how many are something else."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as database:
            database.set_progress_handler(check, SQLITE_STEPS)
            for table, column in database.execute(GEOMETRY_COLUMNS).fetchall():
                if str(table).lower() == layer.lower():
                    query = NULLS.format(table=_quoted(table), column=_quoted(column))
                    return nulls - int(database.execute(query).fetchone()[0])
    except sqlite3.Error:
        return 0
    return 0


def has_larger_geometries(path: Path, size: int, check: Callable[[], None]) -> bool:
    """Whether a table of a GeoPackage has a geometry of more bytes. None is read, only how long they are."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as database:
            # What it raises ends the query, and whoever goes on asks again.
            database.set_progress_handler(check, SQLITE_STEPS)
            for table, column in database.execute(GEOMETRY_COLUMNS).fetchall():
                query = LARGER.format(table=_quoted(table), column=_quoted(column))
                if database.execute(query, [size]).fetchone():
                    return True
    except sqlite3.Error:
        # GDAL says what is wrong with it.
        return False
    return False


def _quoted(name: object) -> str:
    return '"' + str(name).replace('"', '""') + '"'


def _is_view(sql: object) -> bool:
    return VIEW.match(str(sql)) is not None


def _is_table(sql: object) -> bool:
    return str(sql).lstrip().upper().startswith("CREATE TABLE")
