"""Geometries of a batch, and what becomes of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pyarrow
import pytest
import shapely

from interfaces.layers import KindTable
from interfaces.vectors import GeometryOptions
from services.vector import wkb
from services.vector.findings import Findings
from services.vector.shaping import Shaper

from .shapes import ewkb, no_curves, plan, shaped, wkt


@pytest.mark.parametrize(
    ("kind", "given", "made"),
    [
        ("MultiPoint", "POINT (1 2)", "MULTIPOINT ((1 2))"),
        ("MultiPoint", "MULTIPOINT ((1 2), (3 4))", "MULTIPOINT ((1 2), (3 4))"),
        ("MultiPointZ", "POINT (1 2)", "MULTIPOINT Z ((1 2 0))"),
        ("MultiPointZM", "POINT ZM (1 2 3 4)", "MULTIPOINT ZM ((1 2 3 4))"),
        ("PointZ", "POINT ZM (1 2 3 4)", "POINT Z (1 2 3)"),
        ("Point", "POINT M (1 2 3)", "POINT (1 2)"),
        ("MultiLineString", "LINESTRING (0 0, 1 1)", "MULTILINESTRING ((0 0, 1 1))"),
        ("GeometryCollection", "POINT (1 2)", "GEOMETRYCOLLECTION (POINT (1 2))"),
        ("Geometry", "POINT (1 2)", "POINT (1 2)"),
        ("MultiPolygon", "POLYGON EMPTY", "MULTIPOLYGON EMPTY"),
    ],
)
def test_geometries_become_of_the_columns_type(kind: str, given: str, made: str) -> None:
    result = shaped(kind, given)
    assert (result.reasons, [wkt(one) for one in ewkb(result)]) == ([None], [made])
    assert ewkb(result)[0] is not None
    assert shapely.get_srid(shapely.from_wkb(ewkb(result)[0])) == 4326


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("POINT (1 2)", "is a Point, and the column holds MultiPolygon"),
        ("POLYGON ((0 95, 1 95, 1 96, 0 95))", "is not on Earth"),
        (b"\x01\x03\x00", "a geometry that is cut off cannot be stored"),
        (bytes.fromhex("0110000000"), "a TIN cannot be stored"),
        (shapely.to_wkb(shapely.box(0, 0, 1, 1))[:-8], "its geometry cannot be read"),
    ],
)
def test_what_does_not_fit_is_rejected_with_the_reason(given: str | bytes, reason: str) -> None:
    [said] = shaped("MultiPolygon", given).reasons
    assert said is not None
    assert said.startswith(reason)


def test_what_is_mended_keeps_its_dimension_and_the_change_of_area_is_told() -> None:
    spike = "POLYGON ((0 0, 4 0, 4 4, 2 4, 2 6, 2 4, 0 4, 0 0))"
    bowtie = "POLYGON ((0 0, 2 2, 0 2, 2 0, 0 0))"
    result = shaped("MultiPolygon", spike, bowtie)
    assert result.reasons == [None, None]
    assert result.counts.repaired == 2
    made = [shapely.from_wkb(one) for one in ewkb(result)]
    assert [shape.geom_type for shape in made] == ["MultiPolygon", "MultiPolygon"]
    assert [shape.area for shape in made] == [16, 2]


def test_transformed_geometries_that_lie_nowhere_are_rejected() -> None:
    result = Shaper(plan("Point", "EPSG:32632", 32632), "EPSG:4326", GeometryOptions()).shape(
        pyarrow.array([shapely.to_wkb(shapely.Point(9, 0)), shapely.to_wkb(shapely.Point(99, 0))]),
        no_curves,
    )
    assert result.reasons[0] is None
    assert wkt(ewkb(result)[0]) == "POINT (500000 0)"
    assert result.reasons[1] == "cannot be transformed into EPSG:32632"


def test_rings_are_wound_as_ogc_and_rfc_7946_have_it_exteriors_counterclockwise() -> None:
    clockwise = "POLYGON ((0 0, 0 9, 9 9, 9 0, 0 0), (1 1, 2 1, 2 2, 1 2, 1 1))"
    right = "MULTIPOLYGON (((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 1 2, 2 2, 2 1, 1 1)))"
    assert wkt(ewkb(shaped("MultiPolygon", clockwise))[0]) == right
    assert wkt(ewkb(shaped("MultiPolygon", right, repair="off"))[0]) == right
    raised = ewkb(shaped("MultiPolygonZ", "POLYGON Z ((0 0 1, 0 9 2, 9 9 3, 0 0 1))"))[0]
    assert wkt(raised) == "MULTIPOLYGON Z (((0 0 1, 9 9 3, 0 9 2, 0 0 1)))"


@pytest.mark.parametrize(("repair", "closed"), [("make_valid", True), ("drop", False), ("off", False)])
def test_rings_that_are_not_closed_are_closed_when_geometries_are_mended(repair: str, closed: bool) -> None:
    square = shapely.to_wkb(shapely.box(0, 0, 1, 1))
    # Of its five points the last, which is the first again, is left out.
    unclosed = square[:9] + struct.pack("<I", 4) + square[13:-16]
    result = shaped("MultiPolygon", unclosed, repair=repair)
    assert result.counts.repaired == closed
    if closed:
        assert result.reasons == [None]
        assert shapely.from_wkb(ewkb(result)[0]).area == 1
    else:
        assert str(result.reasons[0]).startswith("its geometry cannot be read: IllegalArgument")
        assert "do not form a closed linestring" in str(result.reasons[0])


def test_vertices_that_come_twice_go_unless_they_differ_in_z_or_nothing_is_mended() -> None:
    twice = "LINESTRING (0 0, 0 0, 1 1, 1 1, 2 0)"
    result = shaped("LineString", twice, "LINESTRING (0 0, 1 1, 0 0)")
    assert [wkt(one) for one in ewkb(result)] == ["LINESTRING (0 0, 1 1, 2 0)", "LINESTRING (0 0, 1 1, 0 0)"]
    assert (result.counts.repeated_vertices, result.counts.repaired) == (1, 0)
    assert wkt(ewkb(shaped("LineString", twice, repair="off"))[0]) == twice
    upright = "LINESTRING Z (0 0 1, 0 0 5, 1 1 1)"
    assert wkt(ewkb(shaped("LineStringZ", upright))[0]) == upright
    points = "MULTIPOINT ((1 1), (1 1))"
    assert wkt(ewkb(shaped("MultiPoint", points))[0]) == points


def test_what_crosses_the_antimeridian_is_cut_in_degrees_before_or_after_it_is_transformed() -> None:
    fiji = "POLYGON ((178 -18, -178 -18, -178 -16, 178 -16, 178 -18))"
    result = shaped("MultiPolygon", fiji)
    assert shapely.from_wkb(ewkb(result)[0]).bounds == (-180, -18, 180, -16)
    assert shapely.from_wkb(ewkb(result)[0]).area == pytest.approx(8)
    assert result.counts.antimeridian == 1
    kept = shaped("MultiPolygon", fiji, antimeridian="keep")
    assert (shapely.from_wkb(ewkb(kept)[0]).area, kept.counts.antimeridian) == (712, 0)
    # EPSG:3832 is a Mercator map whose middle is 150° E.
    pacific = "POLYGON ((3000000 0, 4000000 0, 4000000 1000000, 3000000 1000000, 3000000 0))"
    [made] = ewkb(shaped("MultiPolygon", pacific, crs="EPSG:3832"))
    assert len(shapely.from_wkb(made).geoms) == 2
    shaper = Shaper(plan("MultiPolygon", "EPSG:3857", 3857), "EPSG:4326", GeometryOptions())
    [mercator] = ewkb(shaper.shape(pyarrow.array([shapely.to_wkb(shapely.from_wkt(fiji))]), no_curves))
    assert shapely.from_wkb(mercator).area < 1e12


def test_a_polygon_that_is_cut_does_not_fit_into_a_column_of_single_ones() -> None:
    [reason] = shaped("Polygon", "POLYGON ((178 -18, -178 -18, -178 -16, 178 -16, 178 -18))").reasons
    assert reason == "is a MultiPolygon, and the column holds Polygon"


def test_m_that_mending_would_make_up_is_not_stored() -> None:
    [reason] = shaped("MultiPolygonM", "POLYGON M ((0 0 1, 2 2 2, 0 2 3, 2 0 4, 0 0 1))").reasons
    assert reason == "is not valid, and M of the vertices that mending makes is not known"


def test_curves_are_handed_to_whoever_knows_them() -> None:
    arc = bytes.fromhex("0108000000") + bytes(4)
    asked: list[tuple[list[bytes], float]] = []

    def linearise(curves: Sequence[bytes], degrees: float) -> list[bytes | None]:
        asked.append((list(curves), degrees))
        return [shapely.to_wkb(shapely.LineString([(0, 0), (1, 1)]))]

    shaper = Shaper(plan("MultiLineString"), "EPSG:4326", GeometryOptions(curve_step_degrees=10))
    result = shaper.shape(pyarrow.array([arc]), linearise)
    assert asked == [([arc], 10)]
    assert (wkt(ewkb(result)[0]), result.counts.linearised) == ("MULTILINESTRING ((0 0, 1 1))", 1)


@pytest.mark.parametrize("inner", ["{}", "POINT (3 3), GEOMETRYCOLLECTION ({})"])
def test_collections_with_curves_are_handed_on_too(inner: str) -> None:
    collection = shapely.to_wkb(
        shapely.from_wkt(f"GEOMETRYCOLLECTION ({inner.format('CIRCULARSTRING (0 0, 1 1, 2 0)')})")
    )
    straight = shapely.to_wkb(shapely.from_wkt("GEOMETRYCOLLECTION (LINESTRING (0 0, 2 0))"))
    asked: list[bytes] = []

    def linearise(curves: Sequence[bytes], degrees: float) -> list[bytes | None]:
        asked.extend(curves)
        return [straight]

    column = pyarrow.array([straight, collection], pyarrow.binary())
    result = Shaper(plan("GeometryCollection"), "EPSG:4326", GeometryOptions()).shape(column, linearise)
    assert (asked, result.reasons, result.counts.linearised) == ([collection], [None, None], 1)
    findings = Findings()
    batch = pyarrow.record_batch([column], ["geometry"])
    assert [*findings.examined(iter([batch]), 0, None)] == [batch]
    assert findings.invalid == 0


def test_kinds_of_geometries_are_read_off_their_heads() -> None:
    given = ["POINT Z (1 2 3)", "LINESTRING M (1 2 3, 4 5 6)", "MULTIPOLYGON EMPTY", None]
    column = pyarrow.array(
        [None if one is None else shapely.to_wkb(shapely.from_wkt(one), flavor="iso") for one in given]
    )
    assert wkb.codes(column).tolist() == [1001, 2002, 6, 0]
    assert wkb.codes(column.slice(1, 2)).tolist() == [2002, 6]
    extended = shapely.to_wkb(shapely.from_wkt("POINT ZM (1 2 3 4)"), flavor="extended", include_srid=True)
    big = shapely.to_wkb(shapely.Point(1, 2), byte_order=0)
    assert wkb.codes(pyarrow.array([extended, big, b"\x01"])).tolist() == [3001, 1, -1]


def test_geometries_of_a_layer_that_is_split_become_of_the_types_of_their_tables() -> None:
    kinds = [
        KindTable(kind="point", table="t_point", geometry_type="MultiPoint"),
        KindTable(kind="line", table="t_line", geometry_type="LineString"),
        KindTable(kind="collection", table="t_collection", geometry_type="GeometryCollection"),
    ]
    split = plan("Geometry").model_copy(update={"kinds": kinds})
    given = ["POINT (1 2)", "LINESTRING (0 0, 1 1)", "POINT EMPTY", "GEOMETRYCOLLECTION (POINT (1 2))"]
    given += ["MULTILINESTRING ((0 0, 1 1))", "POLYGON ((0 0, 1 0, 1 1, 0 0))"]
    result = Shaper(split, "EPSG:4326", GeometryOptions()).shape(
        pyarrow.array([shapely.to_wkb(shapely.from_wkt(one)) for one in given]), no_curves
    )
    assert [wkt(one) for one in ewkb(result)[:4]] == [
        "MULTIPOINT ((1 2))",
        given[1],
        "MULTIPOINT EMPTY",
        given[3],
    ]
    assert result.reasons == [
        *[None] * 4,
        "is a MultiLineString, and there is no table for those",
        "is a Polygon, and there is no table for those",
    ]


@pytest.mark.parametrize("column", ["Geometry", "MultiPolygonZ", "Point", "MultiLineString"])
@pytest.mark.parametrize("order", [0, 1])
@pytest.mark.parametrize("flavor", ["iso", "extended"])
def test_bytes_that_are_kept_are_those_that_would_be_written(column: str, order: int, flavor: str) -> None:
    given = {
        "Geometry": ["POINT (1 2)", "LINESTRING (0 0, 1 1)", "POLYGON ((0 0, 9 0, 9 9, 0 0))", "POINT EMPTY"],
        "MultiPolygonZ": [
            "POLYGON Z ((0 0 1, 9 0 2, 9 9 3, 0 0 1), (2 1 0, 3 2 0, 3 1 0, 2 1 0))",
            "POLYGON Z ((0 0 1, 9 9 3, 9 0 2, 0 0 1))",
            "MULTIPOLYGON Z (((0 0 1, 9 0 2, 9 9 3, 0 0 1)))",
            "POLYGON ((0 0, 9 0, 9 9, 0 0))",
        ],
        "Point": ["POINT (1 2)", "POINT Z (1 2 3)"],
        "MultiLineString": ["LINESTRING (0 0, 1 1)", "MULTILINESTRING ((0 0, 1 1))"],
    }[column]
    shapes = [shapely.from_wkt(one) for one in given]
    for srid in (False, True):
        made = [
            shapely.to_wkb(shapely.set_srid(one, 4326), byte_order=order, flavor=flavor, include_srid=srid)
            for one in shapes
            if not (srid and flavor == "iso")
        ]
        # Some with bytes after their end, which readers skip.
        batch = pyarrow.array([None, *made, *(one + bytes(16) for one in made)], pyarrow.binary())[1:]
        result = Shaper(plan(column), "EPSG:4326", GeometryOptions()).shape(batch, no_curves)
        assert not any(result.reasons)
        for one in ewkb(result):
            read = shapely.from_wkb(one)
            assert shapely.get_srid(read) == 4326
            assert len(one or b"") == len(shapely.to_wkb(read, include_srid=True))
            assert column.startswith(read.geom_type) or column == "Geometry"
        read = [shapely.from_wkb(one) for one in ewkb(result)]
        assert [shapely.get_coordinates(one).tolist() for one in read[: len(made)]] == [
            shapely.get_coordinates(one).tolist() for one in read[len(made) :]
        ]
