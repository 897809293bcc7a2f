"""What is kept of a rejected feature's geometry: WKB, or nothing."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow
import pyogrio
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from services.vector import wkb

from .loads import written
from .test_xml_values import kml, placemark

WKTS = [
    "POINT (1 2)",
    "POINT EMPTY",
    "LINESTRING Z (0 0 1, 1 1 1)",
    "POLYGON ((0 0, 1 0, 1 1, 0 0), (0.1 0.1, 0.2 0.1, 0.2 0.2, 0.1 0.1))",
    "POLYGON EMPTY",
    "MULTIPOINT M ((1 2 3), (3 4 5))",
    "GEOMETRYCOLLECTION ZM (POINT ZM (1 2 3 4), MULTILINESTRING ZM ((0 0 1 1, 1 1 1 1)))",
]
COUNTS = "01 03000000 01000000 02000000" + " 0000000000000000" * 4
"""A polygon whose ring has two vertices, which no library reads, and whose bytes are all there."""
CURVE = "01 0A000000 01000000 01 08000000 03000000" + " 0000000000000000" * 6
"""A CurvePolygon of a CircularString."""


@pytest.mark.parametrize("text", WKTS)
@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("order", [0, 1])
def test_wkb_is_whole_with_all_of_its_bytes_only(text: str, flavor: str, order: int) -> None:
    shape = shapely.from_wkt(text)
    if shape.has_m and flavor == "extended":
        shape = shapely.force_2d(shape)
    data = shapely.to_wkb(shape, byte_order=order, flavor=flavor)
    assert wkb.is_whole(data)
    assert wkb.is_whole(shapely.to_wkb(shapely.set_srid(shapely.Point(1, 2), 4326), include_srid=True))
    assert not any(wkb.is_whole(data[:length]) for length in range(len(data)))
    assert not wkb.is_whole(data + b"\0")


def test_what_no_library_reads_may_be_wkb_all_the_same() -> None:
    assert wkb.is_whole(bytes.fromhex(COUNTS))
    assert wkb.is_whole(bytes.fromhex(CURVE))
    assert not wkb.is_whole(bytes.fromhex("01 07000000 01000000") * 1000)


@given(st.binary(max_size=64))
def test_any_bytes_are_answered(data: bytes) -> None:
    if wkb.is_whole(data):
        assert data[:1] in (b"\0", b"\1")


def test_bytes_that_are_no_wkb_are_not_kept_of_a_rejected_feature(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    table = pyarrow.table({"n": [1, 2], "geom": shapely.to_wkb([shapely.Point(1, 2)] * 2)})
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326", "SPATIAL_INDEX": "NO"}
    pyogrio.write_arrow(table, path, driver="GPKG", **asked)
    with closing(sqlite3.connect(path)) as database, database:
        # The header of a GeoPackage, and then half of a point.
        database.execute("UPDATE a SET geom = substr(geom, 1, 18) WHERE n = 2")
    [rejected] = written(path).rejected
    assert rejected.geometry is None


def test_coordinates_that_cannot_be_read_are_no_empty_geometry(tmp_path: Path) -> None:
    [rejected] = written(kml(tmp_path / "a.kml", placemark("", "north"))).rejected
    assert rejected.geometry is None
