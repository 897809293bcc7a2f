"""Looks into SQLite databases, GeoPackages among them, before GDAL does, by SQLite alone."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from interfaces import crs_references
from interfaces.errors import PermanentTaskError

from .chunking import MOST_FEATURES, TOGETHER, rows_of_largest
from .library import MAX_FEATURE_BYTES, TOO_LARGE
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
FEATURES = """
SELECT m.name FROM gpkg_geometry_columns g
JOIN sqlite_master m ON lower(m.name) = lower(g.table_name) AND m.type IN ('table', 'view')
"""
TABLES = """
SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'
AND name NOT GLOB 'sqlite_*'
"""
VIEWS = "SELECT name FROM sqlite_master WHERE type = 'view'"
LARGEST = "SELECT {sizes} FROM {table} NOT INDEXED ORDER BY 1 DESC LIMIT {rows:d}"
SIZE = (
    """CASE typeof({0}) WHEN 'text' THEN length(CAST({0} AS BLOB)) WHEN 'blob' THEN length({0}) ELSE 8 END"""
)
"""Bytes of a value. Of a blob SQLite knows it without reading it; of a text `length` counts characters, and
only up to the first that is zero."""
NULLS = "SELECT count(*) FROM {table} WHERE {column} IS NULL"
COUNTED = "SELECT count(*) FROM {table}"
ROWS = "SELECT * FROM {table}"
VIEW = re.compile(r"\s*CREATE\s+(?:TEMP\w*\s+)?VIEW\b", re.IGNORECASE)
TABLE = "SELECT 1 FROM sqlite_master WHERE name = ? AND type = 'table'"
GROUPED = 50
LEAST_LENGTH = 1_000_000
"""Of a limit, in bytes: SQL itself has to go through it."""
SQLITE_STEPS = 1_000_000
VIEW_STEPS = 100
"""Times as many, for all views together: some seconds."""
GROWING = re.compile(r"\b(zeroblob|randomblob|printf|format)[\"'`\]]?\s*\(", re.IGNORECASE)
MAY_GROW = re.compile(
    r"(\|\||\b(?:hex|quote|replace|concat\w*|group_concat|string_agg|json\w*|char)(?=[\"'`\]]?\s*\())",
    re.IGNORECASE,
)
"""By which a value may be larger than those that it is made of, and twice as large at each step."""
GENERATED = re.compile(r"\bAS\s*\(", re.IGNORECASE)
"""A column that is computed: it is not among those whose values `rows_at_a_time` looks at."""
UNKNOWN = re.compile("no such function|unknown function")
"""The second of a computed column, once it is asked for."""
FROM = re.compile(r"\bFROM\b(.*?)(\bWHERE\b|\bGROUP\b|\bORDER\b|\bLIMIT\b|$)", re.IGNORECASE | re.DOTALL)
SELECT = re.compile(r"\b(SELECT|VALUES|JOIN|UNION)\b", re.IGNORECASE)
WITH = re.compile(r"\b(WITH)\b", re.IGNORECASE)
"""SQLite takes such a clause for a recursive one whether it says so or not."""


def opened(path: Path) -> sqlite3.Connection:
    """For reading, by any thread; nothing is locked, or written beside the file."""
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False)


def screen_sqlite(path: Path) -> None:
    """Raise `PermanentTaskError` for a database whose tables or views would read something else."""
    try:
        with closing(opened(path)) as database:
            made = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            for name, sql in made:
                _refuse_growing(str(name), str(sql))
            _refuse_endless(database, {str(name): str(sql) for name, sql in made if _is_view(sql)})
            _refuse_crs_of_tables(database)
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


def _refuse_growing(name: str, sql: str) -> None:
    """What makes rows, or values, of nothing is more than the file is: neither need end."""
    if not _is_table(sql) and not _is_view(sql):
        return
    looked_at = sql.partition("(")[2] if _is_table(sql) else sql
    called = GROWING.search(looked_at) or (WITH.search(sql) if _is_view(sql) else None)
    if called is None and _is_table(sql) and GENERATED.search(looked_at):
        called = MAY_GROW.search(looked_at)
    if called is not None:
        raise PermanentTaskError(
            f"the database is refused: {name[:100]!r} has {called[1].upper()[:20]}, by which it may grow "
            "without end"
        )


def _refuse_endless(database: sqlite3.Connection, views: Mapping[str, str]) -> None:
    """Joins may have more rows than anybody can read, and expressions larger values."""
    left = VIEW_STEPS

    def step() -> bool:
        nonlocal left
        left -= 1
        return left < 0

    database.set_progress_handler(step, SQLITE_STEPS)
    before = database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_FEATURE_BYTES)
    for name, sql in views.items():
        try:
            database.execute(COUNTED.format(table=quoted(name))).fetchone()
            if MAY_GROW.search(sql):
                for _ in database.execute(ROWS.format(table=quoted(name))):
                    # Whose values are made one row at a time.
                    pass
        except sqlite3.DataError as error:
            raise PermanentTaskError(
                f"the database is refused: its view {name[:100]!r}: {TOO_LARGE}"
            ) from error
        except sqlite3.OperationalError as error:
            if left < 0:
                raise PermanentTaskError(
                    f"the database is refused: its view {name[:100]!r} takes too long to be read"
                ) from error
            if UNKNOWN.search(str(error)) and not _is_simple(sql):
                raise PermanentTaskError(
                    f"the database is refused: its view {name[:100]!r} cannot be looked through ({error}): "
                    "with functions that SQLite has not, only columns of one table are read"
                ) from error
    database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, before)


def _is_simple(view: str) -> bool:
    """Whether a view that SQLite alone cannot evaluate has no more rows than a table, nor larger values."""
    sources = FROM.search(view)
    return (
        not MAY_GROW.search(view) and len(SELECT.findall(view)) == 1 and "," not in (sources or [""] * 2)[1]
    )


def _refuse_crs_of_tables(database: sqlite3.Connection) -> None:
    """By value: in the file a text may lie in pieces, and a view may put it together."""
    steps = iter(range(VIEW_STEPS))
    # What is asked of a view is a stranger's program.
    database.set_progress_handler(lambda: next(steps, None) is None, SQLITE_STEPS)
    found = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    for name in (str(name) for (name,) in found if "spatial_ref_sys" in str(name).lower()):
        for row in database.execute(ROWS.format(table=quoted(name))):
            if any(crs_references.names_a_file(str(value).encode("utf-8", "replace")) for value in row):
                raise PermanentTaskError(NAMED_BY_CRS)


def unreadable_geometries(path: Path, layer: str, nulls: int, check: Callable[[], None]) -> int:
    """Of the geometries of a GeoPackage's layer that are read as null, how many are something else."""
    try:
        with closing(opened(path)) as database:
            database.set_progress_handler(check, SQLITE_STEPS)
            for table, column in database.execute(GEOMETRY_COLUMNS).fetchall():
                if str(table).lower() == layer.lower():
                    query = NULLS.format(table=quoted(table), column=quoted(column))
                    return nulls - int(database.execute(query).fetchone()[0])
    except sqlite3.Error:
        return 0
    return 0


def rows_at_a_time(path: Path, check: Callable[[], None], small: Collection[str] = ()) -> int | None:
    """How many rows of any layer may be read together, in whatever order; None for a small file.

    As many as if the largest ones followed one another: a condition, an index or a view may bring them
    together. Rows of the tables `small` are known to be. Raises `PermanentTaskError` for one that would not
    be read within bounds of memory.
    """
    try:
        with closing(opened(path)) as database:
            # A view may have a row of a table any number of times.
            if path.stat().st_size <= TOGETHER and not database.execute(VIEWS).fetchone():
                return None
            # What it raises ends the query, and whoever goes on asks again.
            database.set_progress_handler(check, SQLITE_STEPS)
            # Of a text SQLite must read all to tell its length: then it says that it may not.
            database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(MAX_FEATURE_BYTES, LEAST_LENGTH))
            layers = layers_of(database)
            if not layers:
                return None
            others = (name for name in layers if name not in small)
            return min((_rows_of(database, name) for name in others), default=MOST_FEATURES)
    except sqlite3.DataError as error:
        raise PermanentTaskError(TOO_LARGE) from error
    except sqlite3.Error:
        # GDAL says what is wrong with it.
        return None


def layers_of(database: sqlite3.Connection) -> list[str]:
    """What has features in a GeoPackage; else all tables and views."""
    try:
        found = database.execute(FEATURES).fetchall()
    except sqlite3.OperationalError:
        found = database.execute(TABLES).fetchall() + database.execute(VIEWS).fetchall()
    return [str(name) for (name,) in found]


def _rows_of(database: sqlite3.Connection, layer: str) -> int:
    try:
        found = _largest(database, layer)
    except sqlite3.OperationalError:
        tables = [str(name) for (name,) in database.execute(TABLES)]
        if layer in tables:
            raise
        # A view that asks GDAL has the columns of one table, and its rows (`_is_simple`). For one that nobody
        # can read the bound of others must not be lost.
        return min((_rows_of(database, table) for table in tables), default=MOST_FEATURES)
    if found and found[0] > MAX_FEATURE_BYTES:
        raise PermanentTaskError(TOO_LARGE)
    return rows_of_largest(found)


def _largest(database: sqlite3.Connection, layer: str) -> list[int]:
    """Bytes of the largest rows of a table or view, falling."""
    columns = database.execute(f"PRAGMA table_info({quoted(layer)})").fetchall()
    # An id is nothing but a number, whatever there is in its place.
    counted = [str(name) for _, name, kind, *_, key in columns if not (key and kind.upper() == "INTEGER")]
    sizes = chained(" + ", [SIZE.format(quoted(name)) for name in counted])
    query = LARGEST.format(sizes=sizes or 0, table=quoted(layer), rows=MOST_FEATURES)
    return [int(size) for (size,) in database.execute(query)]


def chained(operator: str, terms: Sequence[str]) -> str:
    """SQL: terms with an operator between them, in groups: SQLite takes no expression of 1,000 levels."""
    groups = [operator.join(terms[first : first + GROUPED]) for first in range(0, len(terms), GROUPED)]
    return operator.join(f"({group})" for group in groups)


def quoted(name: object) -> str:
    """As SQL has the name of a table or a column."""
    return '"' + str(name).replace('"', '""') + '"'


def _is_view(sql: object) -> bool:
    return VIEW.match(str(sql)) is not None


def _is_table(sql: object) -> bool:
    return str(sql).lstrip().upper().startswith("CREATE TABLE")
