"""Writes FlatGeobuf and GeoPackage, by GDAL from a stream of Arrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import TaskError
from interfaces.layer_exports import ExportFormat

from . import library

if TYPE_CHECKING:
    import pyarrow as pa

DRIVERS: dict[ExportFormat, str] = {"flatgeobuf": "FlatGeobuf", "geopackage": "GPKG"}
COUNTED_AT_ONCE = 50_000
INDEXED = 1_000_000
"""Features of a FlatGeobuf with an index, of which GDAL keeps an entry each in memory until the end."""


def write(
    path: Path,
    driver: str,
    layer: str,
    schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    *,
    geometry_type: str,
    crs: str | None,
    options: dict[str, str],
) -> None:
    """Write batches, of which the first column is the geometry.

    Raises what `batches` raises, and `PermanentTaskError` with GDAL's reason.
    """
    import pyarrow as pa

    pyogrio = library.pyogrio()
    source = _Source(batches)
    plain = pa.schema([_told_to_gdal(field) for field in schema])
    reader = pa.RecordBatchReader.from_batches(plain, (_stored(batch, plain) for batch in source))
    try:
        with library.told(str(path), layer):
            pyogrio.raw.write_arrow(
                reader,
                path,
                layer=layer,
                driver=driver,
                geometry_name=schema.names[0],
                geometry_type=gdal_type(geometry_type),
                crs=crs,
                **options,
            )
    except TaskError:
        # What fails in the stream comes back as GDAL's.
        if source.error is not None:
            raise source.error from None
        raise


def read(path: Path) -> int:
    """How many features a file has, each of which is read; raises `PermanentTaskError`."""
    pyogrio = library.pyogrio()
    import pyarrow as pa

    with (
        library.told(str(path), "the file that was written"),
        pyogrio.raw.open_arrow(path, read_geometry=False, batch_size=COUNTED_AT_ONCE) as (_, stream),
    ):
        return sum(batch.num_rows for batch in pa.RecordBatchReader.from_stream(stream))


def gdal_type(kind: str) -> str:
    """What pyogrio, with `library.UNNAMED`, calls the type of a geometry column of PostGIS."""
    base = kind.removesuffix("M").removesuffix("Z")
    if base == "Geometry":
        return f"Unknown {kind.removeprefix(base)}".rstrip()
    if kind.endswith("ZM"):
        return f"Measured 3D {base}"
    if kind.endswith("M"):
        return "PointM" if base == "Point" else f"Measured {base}"
    return f"{base} Z" if kind.endswith("Z") else base


class _Source:
    """The batches, and what ended them too early."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self.error: Exception | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self._batches
        except Exception as error:
            self.error = error
            raise


def _told_to_gdal(field: pa.Field) -> Any:
    """JSON is text to Arrow's C interface, with a word beside it that GDAL knows; and so are times.

    Of times as Arrow has them GDAL makes a whole minute of the last second before one, before 1970.
    """
    import pyarrow as pa

    if pa.types.is_timestamp(field.type):
        return pa.field(field.name, pa.string(), metadata={"GDAL:OGR:type": "DateTime"})
    if not isinstance(field.type, pa.BaseExtensionType):
        return field
    about = {"ARROW:extension:name": field.type.extension_name, "ARROW:extension:metadata": ""}
    return pa.field(field.name, field.type.storage_type, metadata=about)


def _stored(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = [
        array.storage if isinstance(array, pa.ExtensionArray) else _timed(array) for array in batch.columns
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _timed(array: pa.Array) -> Any:
    """Times as text, with the milliseconds that they have; any other column as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_timestamp(array.type):
        return array
    cut = pc.floor_temporal(array, unit="millisecond").cast(pa.timestamp("ms", array.type.tz))
    return cut.cast(pa.string())
