"""Features that a file says it has, and that GDAL leaves out without a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interfaces.errors import PermanentTaskError

from . import sqlite_screening
from .parts import DATABASES
from .reading import Layer, described

BLOCK = 1024**2
TELLING = frozenset({"FlatGeobuf", "ESRI Shapefile", "OpenFileGDB"})
"""Formats that say how many features they have, apart from the features."""
DELETED = ord("*")


def refuse_incomplete(layer: Layer, features: int, check: Callable[[], None]) -> list[str]:
    """Raise `PermanentTaskError` where fewer features can be read than the file says, of a whole layer.

    Answers notes on values that are read as others.
    """
    path, driver = layer.part.path, layer.part.driver
    if driver == "CSV":
        lines = _unquoted_lines(path, check)
        if lines is not None and lines - 1 > features:
            raise PermanentTaskError(
                f"a quote is never closed: of {lines - 1} lines after the first, {features} can be read"
            )
        return []
    notes: list[str] = []
    told = _told(layer, notes, check)
    if told is not None and told > features:
        raise PermanentTaskError(
            f"the file is damaged, or ends early: it tells of {told} features, and {features} can be read"
        )
    return notes


def _told(layer: Layer, notes: list[str], check: Callable[[], None]) -> int | None:
    """How many features a file says that a layer has; None where it does not say so."""
    path, driver = layer.part.path, layer.part.driver
    if driver in DATABASES:
        found = sqlite_screening.looked_over(path, layer.name, check)
        if found is None:
            return None
        rows, others = found
        notes += [
            f"column {name!r} is of numbers, and {count} values are something else, read as numbers"
            for name, count in others.items()
        ]
        return rows
    if driver == "MapInfo File" and path.suffix == ".mif":
        records = path.with_suffix(".mid")
        return _lines(records) if records.exists() else None
    if driver not in TELLING:
        return None
    told = int(described(layer)["features"])
    return told - _deleted(path.with_suffix(".dbf"), check) if driver == "ESRI Shapefile" else told


def _deleted(table: Path, check: Callable[[], None]) -> int:
    """Records of a dBASE file that are marked as deleted, which GDAL leaves out rightly."""
    import numpy

    if not table.exists():
        return 0
    found = 0
    with table.open("rb") as file:
        head = file.read(32)
        header, record = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
        if record == 0:
            return 0
        file.seek(header)
        while block := file.read(record * max(1, BLOCK // record)):
            check()
            marks = numpy.frombuffer(block, numpy.uint8)[::record]
            found += int((marks == DELETED).sum())
    return found


def _unquoted_lines(path: Path, check: Callable[[], None]) -> int | None:
    """Lines with anything in them, of a table of text with an odd number of quotes; else None."""
    quotes = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            quotes += block.count(b'"')
    if quotes % 2 == 0:
        return None
    return _lines(path)


def _lines(path: Path) -> int:
    """That have anything in them; however long they are, none is in memory as a whole."""
    found, said = 0, False
    with path.open("rb") as file:
        while piece := file.readline(BLOCK):
            said = said or bool(piece.strip())
            if piece.endswith(b"\n"):
                found, said = found + said, False
    return found + said
