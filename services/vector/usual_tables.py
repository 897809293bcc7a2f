"""One quick look at a SQLite database's tables: of those that are as they declare, no more need be asked.

What is asked of the others takes four times as long: each value's size (`sqlite_screening.rows_at_a_time`),
which numbers are none (`losses.told`), and which dates are none (`dates.odd`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .chunking import MOST_FEATURES, TOGETHER
from .dates import TYPES
from .library import MAX_FEATURE_BYTES
from .sqlite_screening import (
    LEAST_LENGTH,
    SIZE,
    SQLITE_STEPS,
    TABLES,
    is_number,
    layers_of,
    opened,
    quoted,
)

AT_ONCE = 2
"""Parts of a table that are looked at by threads of their own."""
LARGEST = TOGETHER // MOST_FEATURES
"""Bytes of rows of which as many may be read together as of any."""
NUMBER_BYTES = 8
USUAL_DATE = "date({0}, '+0 days') IS {0} AND substr({0}, 1, 1) IS NOT '-'"
"""Of years before 0, `date` has a sign."""
USUAL_TIME = """
{0} IS NULL OR (date({0}, '+0 days') IS substr({0}, 1, 10) AND length(CAST({0} AS BLOB)) <= {1})
"""
"""With a modifier, since `date` leaves February 30th as it is else; of what is no time it makes nothing."""
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
    """A table whose numbers and dates are numbers and dates."""

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
    columns = database.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    keys = [str(name) for _, name, kind, *_, key in columns if key and kind.upper() == "INTEGER"]
    indexes = database.execute(f"PRAGMA index_list({quoted(table)})").fetchall()
    # A key that has an index is not what SQLite calls the row's id: it may be anything.
    if len(keys) != 1 or any(origin == "pk" for _, _, _, origin, _ in indexes):
        return None
    names = {"key": quoted(keys[0]), "table": quoted(table)}
    first, last = database.execute(ENDS.format(**names)).fetchone()
    if first is None or first > last:
        return None
    count = database.execute(COUNT.format(**names)).fetchone()[0]
    query = LOOK.format(**names, **_tests([one for one in columns if one[1] != keys[0]]))
    parts = list(_parts(first, last))
    with ThreadPoolExecutor(AT_ONCE, "look") as pool:
        answers = list(pool.map(partial(_asked, path, query, check), parts))
    # Where keys do not rise, as in a damaged table, whoever asks for a range of them does not get all rows.
    if sum(rows for rows, _, _ in answers) != count or any(unusual for _, _, unusual in answers):
        return None
    ranges = [Range(rows, *part) for part, (rows, _, _) in zip(parts, answers, strict=True) if rows]
    return Usual(ranges, small=not any(large for _, large, _ in answers))


def _parts(first: int, last: int) -> Iterator[tuple[int, int]]:
    step = (last - first) // AT_ONCE + 1
    for begin in range(first, last + 1, step):
        yield begin, min(begin + step - 1, last)


def _asked(
    path: Path, query: str, check: Callable[[], None], part: tuple[int, int]
) -> tuple[int, float, float]:
    with closing(opened(path)) as database:
        # What it raises ends the query, and whoever goes on asks again.
        database.set_progress_handler(check, SQLITE_STEPS)
        # A text is in memory as a whole, for its length or for what day it is; of larger ones others tell.
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(MAX_FEATURE_BYTES, LEAST_LENGTH))
        answer: tuple[int, float, float] = database.execute(query, part).fetchone()
        return answer


def _tests(columns: Sequence[tuple[object, ...]]) -> dict[str, str]:
    """SQL: the bytes of a usual row, and whether one is."""
    sizes, usual = [], []
    known = 0
    for _, name, declared, *_ in columns:
        column, kind = quoted(name), str(declared).upper()
        test = is_number(str(name), kind)
        if test is not None:
            known += NUMBER_BYTES
            usual.append(test)
        elif kind in TYPES:
            known += DATE_BYTES
            usual.append((USUAL_DATE if kind == "DATE" else USUAL_TIME).format(column, DATE_BYTES))
        else:
            sizes.append(SIZE.format(column))
    return {
        "size": " + ".join([*sizes, str(known)]),
        "largest": str(LARGEST),
        "usual": " AND ".join(f"({one})" for one in usual) or "1",
    }
