"""Rows of a table of text with more values than it has columns, which GDAL leaves out without a word."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .library import MAX_FEATURE_BYTES
from .texts import delimiter

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHOWN = 100
NUMBERED = "field_1"
"""How GDAL calls the first column of a table whose first row is no row of names."""


@dataclass
class Surplus:
    """Goes through the rows beside GDAL, which numbers them from 1."""

    rows_: Iterator[list[str]]
    columns: int
    number: int = 0
    """Of the row that was read last."""

    def rows(self, ids: NDArray[Any]) -> dict[int, str]:
        """By place among the feature ids, which rise, the reason, of rows with values too many."""
        places = {number: place for place, number in enumerate(ids.tolist())}
        last = max(places, default=0)
        found: dict[int, str] = {}
        while self.number < last and (row := next(self.rows_, None)) is not None:
            self.number += 1
            over = row[self.columns :]
            if self.number in places and any(over):
                found[places[self.number]] = (
                    f"the row has {len(row)} values for {self.columns} columns, and there is none for "
                    f"{next(filter(None, over))[:SHOWN]!r}"
                )
        return found


@contextmanager
def surplus(path: Path, names: Sequence[str]) -> Iterator[Surplus]:
    """What finds such rows of a table in UTF-8 with these columns, while the block runs."""
    csv.field_size_limit(MAX_FEATURE_BYTES)
    # A quote that no quote closes, or another sign, is as GDAL has it.
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = (row for row in csv.reader(file, delimiter=delimiter(path)) if row)
        if names[:1] != [NUMBERED]:
            next(rows, None)
        yield Surplus(rows, len(names))
