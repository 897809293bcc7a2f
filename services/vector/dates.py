"""Columns of dates of a SQLite database, GeoPackages among them, with something else in them.

SQLite takes any value into any column. Of a text that is no date GDAL makes 1970-01-01, or null, and of
February 30th the first of March, all without a word.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.layers import ColumnType

from .sqlite_screening import SQLITE_STEPS, opened, quoted

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS: frozenset[ColumnType] = frozenset({"date", "timestamp", "timestamptz"})
TYPES = frozenset({"DATE", "DATETIME", "TIMESTAMP"})
ODD = """({0} IS NOT NULL AND (typeof({0}) <> 'text'
OR {0} NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*'
OR date(substr({0}, 1, 10), '+0 days') IS NOT substr({0}, 1, 10)
OR (length({0}) > 10 AND datetime({0}) IS NULL)))"""
"""Of a value: it is not written as the standard wants it (OGC 12-128r19, table 1), and is worth a look."""
GEOPACKAGE = "SELECT 1 FROM sqlite_master WHERE name = 'gpkg_contents'"
COUNTED = "SELECT {sums} FROM {table}"
MISREAD = "SELECT {key}, {columns} FROM {table} WHERE {key} BETWEEN ? AND ? AND ({tests})"
WRITTEN = re.compile(
    r"\s*(\d{4})[-/](\d\d)[-/](\d\d)"
    r"(?:[T ]([01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d*)?)?)?\s*(?:Z|[+-]\d\d(?::?\d\d)?)?\s*"
)
"""What GDAL reads rightly."""
DAY = re.compile(r"\s*(\d{4})[-/](\d\d)[-/](\d\d)")
SHOWN = 100


@dataclass(frozen=True)
class Misread:
    """Finds the values of a layer that GDAL makes other dates of."""

    database: sqlite3.Connection
    layer: str
    key: str
    """The column of feature ids."""
    columns: Sequence[str]
    julian: bool
    """Whether a number with a fraction is a day, as SQLite counts them."""

    def rows(self, ids: NDArray[Any]) -> dict[int, str]:
        """By place among the feature ids the reason, of features with such a value."""
        if not len(ids):
            return {}
        query = MISREAD.format(
            key=quoted(self.key),
            columns=", ".join(map(quoted, self.columns)),
            table=quoted(self.layer),
            tests=" OR ".join(ODD.format(quoted(name)) for name in self.columns),
        )
        places = {number: place for place, number in enumerate(ids.tolist())}
        found: dict[int, str] = {}
        for number, *values in self.database.execute(query, [int(ids.min()), int(ids.max())]):
            place = places.get(number)
            for name, value in zip(self.columns, values, strict=True):
                if place is not None and not self._is_date(value):
                    shown = value.hex() if isinstance(value, bytes) else str(value)
                    found[place] = f"column {name!r}: {shown[:SHOWN]!r} is no date"
        return found

    def _is_date(self, value: object) -> bool:
        if isinstance(value, float) and self.julian:
            return True
        return is_date(value) if isinstance(value, str) else value is None


def is_no_day(text: str) -> bool:
    """Whether it begins with a day that no calendar has, of which GDAL makes one of the next month."""
    written = DAY.match(text)
    if written is None:
        return False
    try:
        date(*map(int, written.groups()))
    except ValueError:
        return True
    return False


def is_date(text: str) -> bool:
    """Whether it is a date, or a time of one, that GDAL reads rightly."""
    written = WRITTEN.fullmatch(text)
    if written is None:
        return False
    try:
        date(*map(int, written.groups()[:3]))
    except ValueError:
        return False
    return True


@contextmanager
def misread(
    path: Path, layer: str, key: str, columns: Sequence[str], check: Callable[[], None] | None = None
) -> Iterator[Misread]:
    """What finds such values, while the block runs. `check` is called in between, and ends it by raising."""
    with closing(opened(path)) as database:
        database.set_progress_handler(check, SQLITE_STEPS)
        julian = database.execute(GEOPACKAGE).fetchone() is None
        yield Misread(database, layer, key, columns, julian)


def odd(path: Path, layer: str, names: Sequence[str], check: Callable[[], None]) -> dict[str, int]:
    """How many values are not written as dates are, of those of a layer's columns of dates that have some.

    Only columns of these names. Of what cannot be asked, nothing: GDAL says what is wrong with it.
    """
    try:
        with closing(opened(path)) as database:
            database.set_progress_handler(check, SQLITE_STEPS)
            every = database.execute(f"PRAGMA table_info({quoted(layer)})").fetchall()
            columns = [str(one[1]) for one in every if str(one[2]).upper() in TYPES and one[1] in names]
            if not columns:
                return {}
            sums = ", ".join(f"sum({ODD.format(quoted(name))})" for name in columns)
            counts = database.execute(COUNTED.format(sums=sums, table=quoted(layer))).fetchone()
    except sqlite3.Error:
        return {}
    return {name: count for name, count in zip(columns, counts, strict=True) if count}
