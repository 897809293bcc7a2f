"""What GDAL brings of a file, batch by batch."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.vectors import ReadOptions
from services.vector import library
from services.vector.parts import Part
from services.vector.reading import layers, stream

from .loads import written


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


@pytest.mark.parametrize(
    ("change", "wkt", "made"),
    [
        ("z = 1", "POINT Z (1 2 3)", "POINT Z (1 2 3)"),
        ("z = 1, m = 1", "POINT ZM (1 2 3 4)", "POINT ZM (1 2 3 4)"),
        ("m = 2", "POINT M (1 2 3)", "POINT M (1 2 3)"),
        ("geometry_type_name = 'TIN', z = 1", "POINT (1 2)", "POINT (1 2)"),
    ],
)
def test_layers_of_kinds_that_pyogrio_has_no_name_for_are_read(
    tmp_path: Path, change: str, wkt: str, made: str
) -> None:
    path = tmp_path / "a.gpkg"
    shape = shapely.to_wkb(shapely.from_wkt(wkt), flavor="iso")
    table = pyarrow.table({"geom": pyarrow.array([shape], pyarrow.binary())})
    library.pyogrio().raw.write_arrow(
        table, path, layer="a", driver="GPKG", geometry_name="geom", geometry_type="Unknown", crs="EPSG:3857"
    )
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE gpkg_geometry_columns SET {change}")
    [geometry] = written(path, promote_to_multi=False).column("geom")
    assert shapely.from_wkb(geometry).wkt == made
