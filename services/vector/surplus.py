"""Rows of a table of text with more values than it has columns, or with days that are in no calendar, or
numbers among truth values.

GDAL leaves out the ones, and makes others of the others, without a word.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from . import casting, dates
from .library import MAX_FEATURE_BYTES
from .texts import delimiter

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 100
TRUTHS = casting.TRUE | casting.FALSE
ROWS = 10_000
"""Between two calls of a check."""
END = "\x03"
"""A line after the last."""
NUMBERED = "field_1"
"""How GDAL calls the first column of a table whose first row is no row of names."""


@dataclass
class Surplus:
    """Goes through the rows beside GDAL, which numbers them from 1."""

    rows_: Iterator[list[str]]
    columns: int
    days: Mapping[int, str]
    """The names of columns of dates and times, by place."""
    truths: Mapping[int, str]
    """Those of columns of truth values, among which GDAL takes any number for one."""
    compared: Mapping[int, str]
    """Those of columns whose numbers GDAL takes for null with a blank after them, and a condition may leave
    out then."""
    number: int = 0
    """Of the row that was read last."""

    def rows(self, ids: NDArray[Any]) -> dict[int, str]:
        """By place among the feature ids, which rise, the reason, of rows with values too many."""
        places = {number: place for place, number in enumerate(ids.tolist())}
        last = max(places, default=0)
        found: dict[int, str] = {}
        while self.number < last and (row := next(self.rows_, None)) is not None:
            self._next(row)
            reason = self._wrong(row) if self.number in places else None
            if reason is not None:
                found[places[self.number]] = reason
        return found

    def end(self) -> None:
        """Look at the rows that are left."""
        for row in self.rows_ if self.compared else ():
            self._next(row)

    def _next(self, row: list[str]) -> None:
        self.number += 1
        for place, name in self.compared.items():
            value = row[place] if place < len(row) else ""
            if value.strip() and value[-1].isspace():
                raise PermanentTaskError(
                    f"where: column {name!r} has {value[:SHOWN]!r} in row {self.number}, and GDAL compares "
                    "no number with a blank after it where semicolons separate: remove it"
                )

    def _wrong(self, row: list[str]) -> str | None:
        over = next(filter(None, row[self.columns :]), None)
        if over is not None:
            return (
                f"the row has {len(row)} values for {self.columns} columns, and there is none for "
                f"{over[:SHOWN]!r}"
            )
        for place, name in self.days.items():
            if place < len(row) and dates.is_no_day(row[place]):
                return f"column {name!r}: {row[place][:SHOWN]!r} is no date"
        for place, name in self.truths.items():
            value = row[place].strip().lower() if place < len(row) else ""
            if value and value not in TRUTHS:
                return f"column {name!r}: {row[place][:SHOWN]!r} is no boolean"
        return None


@contextmanager
def surplus(
    path: Path,
    names: Sequence[str],
    days: Mapping[int, str],
    truths: Mapping[int, str],
    compared: Mapping[int, str],
) -> Iterator[Surplus]:
    """What finds such rows of a table in UTF-8 with these columns, while the block runs.

    Raises `PermanentTaskError` for one with a number that cannot be `compared`, whether or not it is chosen.
    """
    # A quote that no quote closes, or another sign, is as GDAL has it.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = (row for row in _rows(file, path) if row)
        if names[0] != NUMBERED:
            next(rows, None)
        found = Surplus(rows, len(names), days, truths, compared)
        yield found
        found.end()


def is_open_at_end(path: Path, check: Callable[[], None]) -> bool:
    """Whether a quote that begins a value is never closed: what follows it, of any number of lines, is in it.

    A quote within a value that none began is one of its text, and closes nothing.
    """
    last: list[str] = []
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        try:
            for number, row in enumerate(_rows(chain(file, [END]), path)):
                last = row
                if number % ROWS == 0:
                    check()
        except csv.Error:
            # The value is larger than any that may be read.
            return True
    return last != [END]


def _rows(lines: Iterable[str], path: Path) -> Iterator[list[str]]:
    csv.field_size_limit(MAX_FEATURE_BYTES)
    return csv.reader(lines, delimiter=delimiter(path))
