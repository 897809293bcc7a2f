"""Spreadsheets, whose sheets are tables: looked into before GDAL opens them, and given geometries after."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError
from services.budget import size_text

from . import archives, screening, texts
from .shared_texts import SharedTexts

if TYPE_CHECKING:
    import pyarrow as pa

DRIVERS = texts.WORKBOOKS
MAX_XML = 96 * 1024**2
"""Bytes of a workbook's XML: GDAL keeps its sheets in memory, in about twice as many."""
TIMES_ITS_SIZE = 2
MAX_MEMORY = 224 * 1024**2
"""Bytes that sheets may take, with a copy of each text for each cell of Excel's that shares it."""
SHARING = (".xlsx", ".xlsm")
WORKBOOK = "xl/workbook.xml"
FROM_1904 = 1462
"""Days between the two days from which Excel counts (ECMA-376, part 1, 18.17.4.1)."""
HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2})+")


def screen(path: Path, check: Callable[[], None]) -> None:
    """Raise `PermanentTaskError` for bombs, XML with entities, and workbooks too large to be read."""
    with path.open("rb") as file, archives.opened(file) as archive:
        members = archives.checked(archive, path.stat().st_size)
        parts = [member for member in members if member.filename.lower().endswith((".xml", ".rels"))]
        size = sum(member.file_size for member in parts)
        if size > MAX_XML:
            raise PermanentTaskError(
                f"the workbook is {size_text(size)} when it is unpacked, and at most "
                f"{size_text(MAX_XML)} can be read: save its sheets as CSV"
            )
        for member in parts:
            try:
                with archive.open(member) as part:
                    screening.screen_xml_of(part, check)
            except archives.WRONG_ZIP as error:
                name = member.filename[:200]
                raise PermanentTaskError(f"{name!r} of the workbook cannot be read: {error}"[:500]) from error
        if path.suffix in SHARING:
            shared = SharedTexts()
            for member in parts:
                with archive.open(member) as part:
                    shared.look(part, check)
            _refuse_copies(shared.copied, size)


def _refuse_copies(copied: int, size: int) -> None:
    if copied + TIMES_ITS_SIZE * size > MAX_MEMORY:
        raise PermanentTaskError(
            f"the workbook has {size_text(copied)} of texts, counted for each cell that has one, and its "
            f"sheets would take more than {size_text(MAX_MEMORY)} of memory: save them as CSV"
        )


def days_later(path: Path) -> int:
    """How many days to add to its dates, which GDAL counts from 1899-12-30 whatever a workbook says."""
    if not zipfile.is_zipfile(path):
        return 0
    with zipfile.ZipFile(path) as archive:
        if WORKBOOK not in archive.namelist():
            return 0
        return FROM_1904 if screening.has_attribute(archive.read(WORKBOOK), "workbookPr", "date1904") else 0


def placed(
    batches: Iterator[pa.RecordBatch], columns: Sequence[int], fid: int, days: int
) -> Iterator[pa.RecordBatch]:
    """Batches of a sheet with a last column of WKB, made of those of x and y or of the one of texts.

    Rows with nothing in them, which a sheet may have any number of, are left out.
    """
    import pyarrow as pa

    for given in batches:
        batch = _later(_filled(given, fid), days)
        taken = [batch.column(place) for place in columns]
        made = _from_texts(taken[0]) if len(taken) == 1 else _points(*taken)
        names = [*batch.schema.names, "geometry"]
        yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(made, pa.binary())], names)


def _filled(batch: pa.RecordBatch, fid: int) -> pa.RecordBatch:
    import pyarrow.compute as pc

    something = None
    for place, column in enumerate(batch.columns):
        if place != fid:
            valid = pc.is_valid(column)
            something = valid if something is None else pc.or_(something, valid)
    return batch if something is None else batch.filter(something)


def _later(batch: pa.RecordBatch, days: int) -> pa.RecordBatch:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if not days:
        return batch
    columns = []
    for column in batch.columns:
        if t.is_date32(column.type):
            moved = pc.add(column.cast(pa.int32()), pa.scalar(days, pa.int32())).cast(pa.date32())
        elif t.is_timestamp(column.type):
            moved = pc.add(column, pa.scalar(days * 86_400_000, pa.duration("ms"))).cast(column.type)
        else:
            moved = column
        columns.append(moved)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _points(x: pa.Array, y: pa.Array) -> list[bytes | None]:
    """Null where one of them is no number."""
    import numpy
    import shapely

    xs, ys = numpy.array(_numbers(x)), numpy.array(_numbers(y))
    there = numpy.isfinite(xs) & numpy.isfinite(ys)
    made = numpy.full(len(xs), None, dtype=object)
    made[there] = shapely.to_wkb(shapely.points(xs[there], ys[there]))
    found: list[bytes | None] = made.tolist()
    return found


def _numbers(column: pa.Array) -> list[float]:
    """NaN for what is none."""
    found = []
    for value in column.to_pylist():
        try:
            found.append(float(value))
        except (TypeError, ValueError):
            found.append(float("nan"))
    return found


def _from_texts(column: pa.Array) -> list[bytes | None]:
    return [_geometry(value.strip()) if isinstance(value, str) else None for value in column.to_pylist()]


def _geometry(text: str) -> bytes | None:
    """WKT, hexadecimal WKB or GeoJSON as WKB; None for anything else."""
    import shapely

    if HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    read: Callable[..., Any] = shapely.from_geojson if text.startswith("{") else shapely.from_wkt
    made = read(text, on_invalid="ignore")
    return None if made is None else bytes(shapely.to_wkb(made, flavor="iso"))
