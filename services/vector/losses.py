"""Features that a file says it has, and that GDAL leaves out without a word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from interfaces.errors import PermanentTaskError

from .reading import Layer, described
from .surplus import is_open_at_end

BLOCK = 1024**2
TELLING = frozenset({"FlatGeobuf", "ESRI Shapefile", "OpenFileGDB"})
"""Formats that say how many features they have, apart from the features."""
DELETED = ord("*")


@dataclass(frozen=True)
class Told:
    """What a file says of a layer."""

    features: int | None = None
    """How many it has; None where it does not say so."""


def told(layer: Layer, check: Callable[[], None]) -> Told:
    """Ask the file, which is no database: of such `sqlite_values` tells."""
    path, driver = layer.part.path, layer.part.driver
    if driver == "MapInfo File" and path.suffix == ".mif":
        records = path.with_suffix(".mid")
        return Told(_lines(records) if records.exists() else None)
    if driver not in TELLING:
        return Told()
    features = int(described(layer)["features"])
    return Told(
        features - _deleted(path.with_suffix(".dbf"), check) if driver == "ESRI Shapefile" else features
    )


def refuse_incomplete(layer: Layer, features: int, said: Told, check: Callable[[], None]) -> None:
    """Raise `PermanentTaskError` where fewer features can be read than the file says, of a whole layer."""
    if layer.part.driver == "CSV":
        lines = _unquoted_lines(layer.part.path, check)
        if lines is not None and lines - 1 > features and is_open_at_end(layer.part.path, check):
            raise PermanentTaskError(
                f"a quote is never closed: of {lines - 1} lines after the first, {features} can be read"
            )
    if said.features is not None and said.features > features:
        raise PermanentTaskError(
            f"the file is damaged, or ends early: it tells of {said.features} features, and "
            f"{features} can be read"
        )


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
    """That have anything in them, and end as GDAL has them end: by CR, LF or both.

    However long they are, none is in memory as a whole.
    """
    found, said = 0, False
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            first, *others = block.replace(b"\r", b"\n").split(b"\n")
            said = said or bool(first.strip())
            if others:
                found += said + sum(1 for line in others[:-1] if line.strip())
                said = bool(others[-1].strip())
    return found + said
