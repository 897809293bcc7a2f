"""GeoParquet by PyArrow: pyogrio's GDAL has no driver for it. https://geoparquet.org/releases/v1.1.0/"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from .chunking import joined
from .parts import Part

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

BUFFER_BYTES = 1024**2
"""Of each column."""


@dataclass
class Found:
    """A file's schema, where its geometries are, and its rows."""

    schema: pa.Schema
    geometry: int
    crs: str | None
    batches: Iterator[pa.RecordBatch]


@contextmanager
def opened(part: Part, batch: int, skip: int, geometry_only: bool) -> Iterator[Found]:
    """Rows from the row `skip` on, in batches. Raises `PermanentTaskError` for what is no GeoParquet."""
    import pyarrow

    with _file(part) as file:
        column, crs_ = _geometry(file)
        schema = file.schema_arrow
        names = None
        if geometry_only:
            names = [column]
        elif boxes := _boxes(file):
            names = [name for name in schema.names if name not in boxes]
        if names is not None:
            schema = pyarrow.schema([schema.field(name) for name in names])
        most = min(batch, part.together.rows if part.together else batch)
        rows = (
            joined(_rows(file, most, skip, names), batch) if most < batch else _rows(file, batch, skip, names)
        )
        yield Found(schema, schema.get_field_index(column), crs_, rows)


def crs(part: Part) -> str | None:
    """The CRS of the primary geometry column; None where it is unknown."""
    with _file(part) as file:
        return _geometry(file)[1]


@contextmanager
def _file(part: Part) -> Iterator[pq.ParquetFile]:
    with ExitStack() as stack:
        with _told():
            import pyarrow.parquet

            # Read in pieces: neither is the file mapped into memory, nor a row group fetched as a whole.
            opened_file = pyarrow.parquet.ParquetFile(part.path, buffer_size=BUFFER_BYTES, pre_buffer=False)
            file = stack.enter_context(opened_file)
        yield file


@contextmanager
def _told() -> Iterator[None]:
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise PermanentTaskError(f"the Parquet file cannot be read: {error}"[:400]) from error


def _rows(file: pq.ParquetFile, batch: int, skip: int, names: list[str] | None) -> Iterator[pa.RecordBatch]:
    """Row groups before the first row wanted are not read."""
    first = 0
    while first < file.num_row_groups and skip >= file.metadata.row_group(first).num_rows:
        skip -= file.metadata.row_group(first).num_rows
        first += 1
    groups = list(range(first, file.num_row_groups))
    for rows in _batches(file, batch, groups, names):
        if skip >= rows.num_rows:
            skip -= rows.num_rows
            continue
        yield rows.slice(skip) if skip else rows
        skip = 0


def _batches(
    file: pq.ParquetFile, batch: int, groups: list[int], names: list[str] | None
) -> Iterator[pa.RecordBatch]:
    with _told():
        yield from file.iter_batches(batch, row_groups=groups, columns=names)


def _geometry(file: pq.ParquetFile) -> tuple[str, str | None]:
    """Name and CRS of the primary geometry column."""
    # Of the file, not of its schema, where Arrow leaves out what was added to one that it keeps itself.
    text = (file.metadata.metadata or {}).get(b"geo")
    if text is None:
        return _native(file)
    try:
        described: dict[str, Any] = json.loads(text)
        column = described["primary_column"]
        about: dict[str, Any] = described["columns"][column]
    except (ValueError, KeyError, TypeError) as error:
        raise PermanentTaskError(f"the GeoParquet metadata cannot be read: {error!r}"[:300]) from error
    encoding = about.get("encoding")
    if encoding != "WKB":
        raise PermanentTaskError(f"geometries are encoded as {encoding!r}, and only WKB is read")
    place = file.schema_arrow.get_field_index(column)
    if place < 0 or not _is_binary(file.schema_arrow.field(place).type):
        raise PermanentTaskError(f"the geometry column {column!r} is missing, or not binary")
    # Without the key the CRS is OGC:CRS84; null says that it is not known.
    found = about.get("crs", "OGC:CRS84")
    return column, None if found is None else (found if isinstance(found, str) else json.dumps(found))


def _boxes(file: pq.ParquetFile) -> set[str]:
    """Columns that only repeat where the geometries are (`covering`), so that readers can skip some."""
    try:
        described = json.loads((file.metadata.metadata or {}).get(b"geo", b"{}"))
        return {
            path[0] for about in described["columns"].values() for path in about["covering"]["bbox"].values()
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return set()


def _native(file: pq.ParquetFile) -> tuple[str, str | None]:
    """A column of Parquet's own type GEOMETRY, whose CRS is OGC:CRS84 unless it names another."""
    schema = file.schema
    for place in range(len(schema.names)):
        column = schema.column(place)
        kind = str(column.logical_type)
        if kind.startswith("Geometry(") and "." not in column.path:
            named = kind.removeprefix("Geometry(crs=").removesuffix(")")
            return column.path, named or "OGC:CRS84"
    raise PermanentTaskError("the Parquet file has no geometry: neither `geo` metadata nor a GEOMETRY column")


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow.types as t

    return bool(t.is_binary(kind) or t.is_large_binary(kind))
