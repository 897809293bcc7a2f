"""Spreadsheets, whose sheets are tables: looked into before GDAL opens them, and their rows after."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

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
EARLY = (-25_568, -25_509)
"""Excel's days from 1, January 1st of 1900, to before 60, a February 29th that there was not: as GDAL has
them, in days since 1970, one too early."""
DAYS = {"s": 86_400, "ms": 86_400 * 10**3, "us": 86_400 * 10**6, "ns": 86_400 * 10**9}


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


def days_later(path: Path) -> int | None:
    """How many days to add to its dates, which GDAL counts from 1899-12-30 whatever a workbook says.

    None for OpenDocument, whose dates are no counts.
    """
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        if WORKBOOK not in archive.namelist():
            return None
        return FROM_1904 if screening.has_attribute(archive.read(WORKBOOK), "workbookPr", "date1904") else 0


def filled(batches: Iterator[pa.RecordBatch], fid: int, days: int | None) -> Iterator[pa.RecordBatch]:
    """Batches of a sheet without rows with nothing in them, of which it may have any number."""
    for batch in batches:
        yield _later(_filled(batch, fid), days)


def _filled(batch: pa.RecordBatch, fid: int) -> pa.RecordBatch:
    import pyarrow.compute as pc

    something = None
    for place, column in enumerate(batch.columns):
        if place != fid:
            valid = pc.is_valid(column)
            something = valid if something is None else pc.or_(something, valid)
    return batch if something is None else batch.filter(something)


def _later(batch: pa.RecordBatch, days: int | None) -> pa.RecordBatch:
    """With its dates so many days later; where that is none, those before Excel's February 29th by one."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if days is None:
        return batch
    columns = []
    for column in batch.columns:
        if t.is_date32(column.type) or t.is_timestamp(column.type):
            width, day = (pa.int32(), 1) if t.is_date32(column.type) else (pa.int64(), DAYS[column.type.unit])
            numbers = column.cast(width)
            early = pc.and_(
                pc.greater_equal(numbers, pa.scalar(EARLY[0] * day, width)),
                pc.less(numbers, pa.scalar(EARLY[1] * day, width)),
            )
            added = (
                pa.scalar(days * day, width)
                if days
                else pc.multiply(early.cast(width), pa.scalar(day, width))
            )
            column = pc.add(numbers, added).cast(column.type)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)
