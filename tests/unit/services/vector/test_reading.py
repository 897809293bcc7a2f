"""What GDAL brings of a file, batch by batch."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyogrio
import shapely

from interfaces.vectors import ReadOptions
from services.vector.parts import Part
from services.vector.reading import layers, stream


def test_null_geometries_of_a_flatgeobuf_without_an_index_are_null(tmp_path: Path) -> None:
    path = tmp_path / "a.fgb"
    shapes = [*shapely.to_wkb(shapely.points([[1, 2], [3, 4]])), None]
    table = pyarrow.table({"a": [1, 3, 2], "geometry": pyarrow.array(shapes, pyarrow.binary())}).take(
        [0, 2, 1]
    )
    asked = {"geometry_name": "geometry", "geometry_type": "Point", "crs": "EPSG:4326"}
    pyogrio.write_arrow(table, path, driver="FlatGeobuf", SPATIAL_INDEX="NO", **asked)
    [layer] = layers(Part(path, "FlatGeobuf", "a"))
    with stream(layer, ReadOptions(), batch=10) as features:
        [batch] = features.batches
    assert features.geometry is not None
    read = batch.column(features.geometry).to_pylist()
    assert [one and shapely.from_wkb(one).wkt for one in read] == ["POINT (1 2)", None, "POINT (3 4)"]
