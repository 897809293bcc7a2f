"""Makes one large vector file, a piece at a time: `FORMAT PATH FEATURES CORNERS [LARGE CORNERS [TEXT]]`.

The second pair is of features in the midst of the others, each with so many bytes of text, in three columns.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyarrow.parquet
import shapely
from pyogrio.raw import write_arrow

VERTICES_AT_A_TIME = 1_000_000
TEXT_AT_A_TIME = 64 * 1024**2
DRIVERS = {
    "gpkg": "GPKG",
    "fgb": "FlatGeobuf",
    "shp": "ESRI Shapefile",
    "geojson": "GeoJSON",
    "tab": "MapInfo File",
    "mif": "MapInfo File",
    "sqlite": "SQLite",
    "gml": "GML",
}
TEXTS = ("first", "second", "third")
CRS = {"primary_column": "geom", "version": "1.1.0", "columns": {"geom": {"encoding": "WKB"}}}


def pieces(
    features: int, corners: int, large: int, large_corners: int, text: int = 0
) -> Iterator[pyarrow.Table]:
    """Stars of so many corners, none of which is seen as a whole from its middle."""
    number, third = 0, "lorem ipsum " * (text // 36)
    for count, of in ((features // 2, corners), (large, large_corners), (features - features // 2, corners)):
        said = third if (count, of) == (large, large_corners) else ""
        size = max(1, min(VERTICES_AT_A_TIME // of, TEXT_AT_A_TIME // max(3 * len(said), 1)))
        for first in range(0, count, size):
            ids = numpy.arange(number, number + min(size, count - first))
            number += len(ids)
            texts = {name: [said] * len(ids) for name in TEXTS} if text else {}
            yield pyarrow.table(
                {
                    "id": ids,
                    "name": [f"feature {one}" for one in ids.tolist()],
                    **texts,
                    "geom": pyarrow.array(shapely.to_wkb(combs(ids, of)).tolist(), pyarrow.binary()),
                }
            )


def combs(ids: Any, corners: int) -> Any:
    """Polygons with teeth, which only GEOS finds to be valid."""
    teeth = max(1, (corners - 2) // 2)
    across = numpy.linspace(0, 0.05, 2 * teeth)
    up = numpy.where(numpy.arange(2 * teeth) % 2, 0.01, 0.05)
    x, y = numpy.concatenate([[0], across, [0.05]]), numpy.concatenate([[0], up, [0]])
    corner = numpy.stack([ids % 3000 / 10 - 150, ids // 3000 % 1600 / 10 - 80], axis=1)
    rings = numpy.stack([x[::-1], y[::-1]], axis=1)[None] + corner[:, None]
    return shapely.polygons(shapely.linearrings(numpy.concatenate([rings, rings[:, :1]], axis=1)))


def made(kind: str, path: Path, every: Iterator[pyarrow.Table]) -> None:
    """Write them all; `parquet` in one row group, of pages that one polygon after the other fits into."""
    if kind == "parquet":
        whole = pyarrow.concat_tables(every).combine_chunks()
        schema = whole.schema.with_metadata({"geo": json.dumps(CRS)})
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd", write_batch_size=64) as writer:
            writer.write_table(whole.cast(schema), row_group_size=len(whole))
    elif kind == "geojsonl":
        with path.open("w") as file:
            for piece in every:
                shapes = shapely.to_geojson(shapely.from_wkb(piece["geom"].to_pylist())).tolist()
                for row, shape in zip(piece.drop(["geom"]).to_pylist(), shapes, strict=True):
                    said = json.dumps(row)
                    file.write(f'{{"type":"Feature","properties":{said},"geometry":{shape}}}\n')
    else:
        first = next(every)
        batches = (batch for piece in chain([first], every) for batch in piece.to_batches())
        write_arrow(
            pyarrow.RecordBatchReader.from_batches(first.schema, batches),
            path,
            layer="large",
            driver=DRIVERS[kind],
            geometry_name="geom",
            geometry_type="Polygon",
            crs="EPSG:4326",
            **({"SPATIAL_INDEX": "NO"} if kind in ("gpkg", "fgb") else {}),
        )


if __name__ == "__main__":
    kind, target, *numbers = sys.argv[1:]
    counts = [int(number) for number in numbers]
    made(kind, Path(target), pieces(counts[0], counts[1], *(counts[2:] or [0, 4])))
