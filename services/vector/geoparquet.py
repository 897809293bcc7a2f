"""Writes GeoParquet 1.1: https://geoparquet.org/releases/v1.1.0/"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from . import wkb
from .arrow_rows import Seen
from .naming import distinct

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = "1.1.0"
GROUP_ROWS = 65_536
GROUP_BYTES = 64 * 1024**2
"""Of a row group, which is held in memory until it is written."""
EDGES = ("xmin", "ymin", "xmax", "ymax")
PLANAR = frozenset(range(1, 8))


def write(
    path: Path, schema: pa.Schema, batches: Iterator[tuple[pa.RecordBatch, Any]], crs: str | None, seen: Seen
) -> int:
    """Write batches, each with the bounds of its geometries, in row groups; answers how many these are.

    `seen` is read at the end, when it has seen them all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    [box] = distinct(["bbox"], schema.names)
    edges = pa.struct([pa.field(edge, pa.float64()) for edge in EDGES])
    whole = schema.append(pa.field(box, edges))
    groups = 0
    # Parquet's own types say all; beside a schema of its own Arrow would not show what is added at the end.
    with pq.ParquetWriter(path, whole, compression="zstd", store_schema=False) as writer:
        held: list[pa.RecordBatch] = []
        for batch, bounds in batches:
            held.append(pa.RecordBatch.from_arrays([*batch.columns, _boxes(bounds, edges)], schema=whole))
            rows, size = sum(one.num_rows for one in held), sum(one.nbytes for one in held)
            if rows >= GROUP_ROWS or size >= GROUP_BYTES:
                writer.write_table(pa.Table.from_batches(held), row_group_size=rows)
                groups, held = groups + 1, []
        if held:
            writer.write_table(pa.Table.from_batches(held))
            groups += 1
        about = described(schema.names[0], box, crs, seen)
        writer.add_key_value_metadata({"geo": json.dumps(about, ensure_ascii=False)})
    return groups


def read(path: Path) -> int:
    """How many rows a file has, if it is what `write` makes; raises `PermanentTaskError`."""
    import pyarrow
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            about = json.loads(file.schema_arrow.metadata[b"geo"])
            file.schema_arrow.field(about["primary_column"])
            return int(file.metadata.num_rows)
    except (pyarrow.ArrowException, KeyError, TypeError, ValueError) as error:
        raise PermanentTaskError(f"the file that was written cannot be read: {error!r}"[:300]) from error


def described(geometry: str, box: str, crs: str | None, seen: Seen) -> dict[str, Any]:
    """The metadata `geo`. A CRS as PROJJSON, null for one that is unknown."""
    from pyproj import CRS

    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": geometry_types(seen),
        "crs": None if crs is None else CRS.from_user_input(crs).to_json_dict(),
        "covering": {"bbox": {edge: [box, edge] for edge in EDGES}},
    }
    if seen.bounds is not None:
        column["bbox"] = seen.bounds
    return {"version": VERSION, "primary_column": geometry, "columns": {geometry: column}}


def geometry_types(seen: Seen) -> list[str]:
    """As GeoParquet names them. Raises `PermanentTaskError` for those that it has no name for."""
    names = []
    for code in sorted(int(code) for code in seen.geometry_types if code != wkb.NULL):
        if code % 1000 not in PLANAR or code // 1000 > 1:
            raise PermanentTaskError(
                f"GeoParquet takes no geometries of type {wkb.NAMES.get(code % 1000, code)}"
            )
        names.append(wkb.NAMES[code % 1000] + (" Z" if code // 1000 == 1 else ""))
    return names


def _boxes(bounds: Any, edges: pa.DataType) -> pa.Array:
    import numpy
    import pyarrow as pa

    missing = numpy.isnan(bounds).any(axis=1)
    columns = [pa.array(bounds[:, place], mask=missing) for place in range(4)]
    return pa.StructArray.from_arrays(columns, fields=list(edges), mask=pa.array(missing))
