"""One quick look at a GeoPackage's tables: of those that are as they declare, no more need be asked.

What is asked of the others takes four times as long: each value's size (`sqlite_screening.rows_at_a_time`),
and which of their columns have no room for them (`sqlite_values.looked_over`).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .chunking import MOST_FEATURES, TOGETHER
from .dates import TYPES
from .library import MAX_FEATURE_BYTES
from .sqlite_screening import (
    LEAST_LENGTH,
    SIZE,
    SQLITE_STEPS,
    TABLES,
    chained,
    layers_of,
    opened,
    quoted,
)
from .sqlite_values import FLOAT, HAS_NUL, SINGLE

AT_ONCE = 2
"""Parts of a table that are looked at by threads of their own."""
LARGEST = TOGETHER // MOST_FEATURES
"""Bytes of rows of which as many may be read together as of any."""
NUMBER_BYTES = 8
WHOLE = "{{0}} BETWEEN {least} AND {most} AND typeof({{0}}) <> 'real'"
NUMBERS = {
    "BOOLEAN": WHOLE.format(least=0, most=1),
    **dict.fromkeys(("TINYINT", "SMALLINT"), WHOLE.format(least=-(2**15), most=2**15 - 1)),
    "MEDIUMINT": WHOLE.format(least=-(2**31), most=2**31 - 1),
    **dict.fromkeys(("INT", "INTEGER"), "{0} < '' AND typeof({0}) <> 'real'"),
    "FLOAT": f"{{0}} BETWEEN -{FLOAT} AND {FLOAT} AND {SINGLE}",
    **dict.fromkeys(("DOUBLE", "REAL"), "{0} < ''"),
}
"""By type (OGC 12-128r19, table 1), SQL: a value is one of those, or null. To SQLite any number is less than
any text, which is less than any bytes; and this is what it finds out soonest."""
GEOMETRIES = re.compile(
    r"GEOMETRY|GEOMCOLLECTION|GEOMETRYCOLLECTION|(MULTI)?(POINT|LINESTRING|POLYGON|CURVE|SURFACE)"
    r"|COMPOUNDCURVE|CIRCULARSTRING|CURVEPOLYGON|POLYHEDRALSURFACE|TIN|TRIANGLE"
)
OTHERS = re.compile(rf"|(TEXT|BLOB)\b.*|{GEOMETRIES.pattern}")
"""Types of which almost any value is one."""
USUAL_DATE = "date({0}, '+0 days') IS {0} AND ({0} > '/')"
"""Of years before 0, `date` has a sign, which is less than a slash, as figures are not."""
USUAL_TIME = """
{0} IS NULL OR (date({0}, '+0 days') IS substr({0}, 1, 10) AND length(CAST({0} AS BLOB)) <= {1}
AND ({0} GLOB '??????????[T ][0-2]*Z' OR length({0}) = 10))
"""
"""With a modifier, since `date` leaves February 30th as it is else; of what is no time it makes nothing. In
UTC, since zones need not be such as GDAL reads."""
DATE_BYTES = 24
LOOK = """
SELECT count(*), total({size} > {largest}), total(NOT ({usual})) FROM {table} NOT INDEXED
WHERE {key} BETWEEN ? AND ?
"""
ENDS = "SELECT (SELECT min({key}) FROM {table}), (SELECT max({key}) FROM {table})"
"""Each by itself, which SQLite finds at once; of both together it would look at all rows."""
COUNT = "SELECT count({key}) FROM {table} NOT INDEXED"
"""Not of *, which is one step however many rows there are: no check would end it."""


@dataclass(frozen=True)
class Range:
    """Rows that follow one another."""

    rows: int
    first: int
    """Keys between which they are, inclusive."""
    last: int


@dataclass(frozen=True)
class Usual:
    """A table whose values are all of their columns' types."""

    ranges: Sequence[Range]
    """All of it, in parts of much the same size, where its keys lie close together."""
    small: bool
    """No row is so large that fewer may be read together for it."""

    @property
    def rows(self) -> int:
        """Of all of it."""
        return sum(one.rows for one in self.ranges)


def usual_tables(path: Path, check: Callable[[], None]) -> dict[str, Usual]:
    """Those of a large database that have features, by name.

    Nothing is said of others, nor of what is damaged.
    """
    if path.stat().st_size <= TOGETHER:
        return {}
    found: dict[str, Usual] = {}
    try:
        with closing(opened(path)) as database:
            database.set_progress_handler(check, SQLITE_STEPS)
            tables = {str(name) for (name,) in database.execute(TABLES)}
            for name in tables.intersection(layers_of(database)):
                look = _look_at(database, path, name, check)
                if look is not None:
                    found[name] = look
    except sqlite3.Error:
        # Whoever asks for more is told what is wrong.
        return found
    return found


def _look_at(database: sqlite3.Connection, path: Path, table: str, check: Callable[[], None]) -> Usual | None:
    """None for a table that has something unusual, is empty, or has no numbers for keys."""
    # Those that are computed too, as GDAL reads them.
    columns = database.execute(f"PRAGMA table_xinfo({quoted(table)})").fetchall()
    keys = [str(name) for _, name, kind, *_, key, _ in columns if key and kind.upper() == "INTEGER"]
    indexes = database.execute(f"PRAGMA index_list({quoted(table)})").fetchall()
    # A key that has an index is not what SQLite calls the row's id: it may be anything.
    if len(keys) != 1 or any(origin == "pk" for _, _, _, origin, _ in indexes):
        return None
    names = {"key": quoted(keys[0]), "table": quoted(table)}
    first, last = database.execute(ENDS.format(**names)).fetchone()
    if first is None or first > last:
        return None
    tests = _tests([one for one in columns if one[1] != keys[0]])
    if tests is None:
        return None
    query, count_query = LOOK.format(**names, **tests), COUNT.format(**names)
    parts = list(_parts(first, last))
    with ThreadPoolExecutor(AT_ONCE, "look") as pool:
        asked = [pool.submit(_asked, path, query, check, part) for part in parts]
        [count] = _asked(path, count_query, check)
        answers = [one.result() for one in asked]
    # Where keys do not rise, as in a damaged table, whoever asks for a range of them does not get all rows.
    if sum(rows for rows, _, _ in answers) != count or any(unusual for _, _, unusual in answers):
        return None
    ranges = [Range(rows, *part) for part, (rows, _, _) in zip(parts, answers, strict=True) if rows]
    return Usual(ranges, small=not any(large for _, large, _ in answers))


def _parts(first: int, last: int) -> Iterator[tuple[int, int]]:
    step = (last - first) // AT_ONCE + 1
    for begin in range(first, last + 1, step):
        yield begin, min(begin + step - 1, last)


def _asked(path: Path, query: str, check: Callable[[], None], part: Sequence[int] = ()) -> Sequence[Any]:
    with closing(opened(path)) as database:
        # What it raises ends the query, and whoever goes on asks again.
        database.set_progress_handler(check, SQLITE_STEPS)
        # A text is in memory as a whole, for its length or for what day it is; of larger ones others tell.
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(MAX_FEATURE_BYTES, LEAST_LENGTH))
        answer: Sequence[Any] = database.execute(query, part).fetchone()
        return answer


def _tests(columns: Sequence[tuple[object, ...]]) -> dict[str, str] | None:
    """SQL: the bytes of a usual row, and whether one is; None where a type is not known."""
    sizes, usual = [], []
    known = 0
    for _, name, declared, *_ in columns:
        column, kind = quoted(name), str(declared).upper()
        if kind in NUMBERS:
            known += NUMBER_BYTES
            usual.append(NUMBERS[kind].format(column))
        elif kind in TYPES:
            known += DATE_BYTES
            usual.append((USUAL_DATE if kind == "DATE" else USUAL_TIME).format(column, DATE_BYTES))
        elif OTHERS.fullmatch(kind):
            sizes.append(SIZE.format(column))
            if kind.startswith("TEXT") or not kind:
                usual.append(f"NOT {HAS_NUL.format(column)}")
            elif kind.startswith("BLOB"):
                usual.append(f"typeof({column}) NOT IN ('integer', 'real')")
        else:
            return None
    return {
        "size": chained(" + ", [*sizes, str(known)]),
        "largest": str(LARGEST),
        "usual": chained(" AND ", [f"({one})" for one in usual]) or "1",
    }
