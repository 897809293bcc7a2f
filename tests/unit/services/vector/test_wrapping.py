"""Geometries in degrees over the antimeridian, and around the poles."""

from __future__ import annotations

import pytest
import shapely

from services.vector.wrapping import Uncut, wrapped


@pytest.mark.parametrize(
    ("given", "made"),
    [
        # Longitudes jump, or go on beyond 180: the same place.
        ("POLYGON ((170 0, -170 0, -170 9, 170 9, 170 0))", [(170, 0, 180, 9), (-180, 0, -170, 9)]),
        ("POLYGON ((170 0, 190 0, 190 9, 170 9, 170 0))", [(170, 0, 180, 9), (-180, 0, -170, 9)]),
        ("POLYGON ((-190 0, -170 0, -170 9, -190 9, -190 0))", [(-180, 0, -170, 9), (170, 0, 180, 9)]),
        ("POLYGON ((200 0, 210 0, 210 9, 200 0))", [(-160, 0, -150, 9)]),
        # It only touches the antimeridian, on the side that it is not on.
        ("POLYGON ((180 0, -170 0, -170 9, 180 9, 180 0))", [(-180, 0, -170, 9)]),
        ("LINESTRING (170 0, -170 10)", [(170, 0, 180, 5), (-180, 5, -170, 10)]),
        (
            "MULTILINESTRING ((170 0, -170 10), (0 0, 1 1))",
            [(170, 0, 180, 5), (-180, 5, -170, 10), (0, 0, 1, 1)],
        ),
        ("POINT (190 1)", [(-170, 1, -170, 1)]),
        ("MULTIPOINT ((190 1), (170 2))", [(-170, 1, -170, 1), (170, 2, 170, 2)]),
        ("GEOMETRYCOLLECTION (POINT (190 1), POINT (1 2))", [(-170, 1, -170, 1), (1, 2, 1, 2)]),
        # Around a pole: the side that is smaller, whichever way round the ring goes.
        ("POLYGON ((45 40, 135 40, -135 40, -45 40, 45 40))", [(-180, 40, 180, 90)]),
        ("POLYGON ((45 40, -45 40, -135 40, 135 40, 45 40))", [(-180, 40, 180, 90)]),
        ("POLYGON ((45 -70, 135 -70, -135 -70, -45 -70, 45 -70))", [(-180, -90, 180, -70)]),
        ("POLYGON ((45 -70, -45 -70, -135 -70, 135 -70, 45 -70))", [(-180, -90, 180, -70)]),
        # What is empty in it is no part.
        ("MULTILINESTRING (EMPTY, (170 0, -170 10))", [(170, 0, 180, 5), (-180, 5, -170, 10)]),
    ],
)
def test_parts_are_within_the_longitudes(given: str, made: list[tuple[float, ...]]) -> None:
    parts = shapely.get_parts(wrapped(shapely.from_wkt(given)))
    assert sorted(part.bounds for part in parts) == sorted(made)
    assert all(part.is_valid for part in parts)


@pytest.mark.parametrize(
    "given",
    [
        # What was cut already, as RFC 7946 asks.
        "MULTIPOLYGON (((170 0, 180 0, 180 9, 170 9, 170 0)), ((-180 0, -170 0, -170 9, -180 9, -180 0)))",
        # The world, and a map of Antarctica that ends along the pole.
        "POLYGON ((-180 -90, 180 -90, 180 90, -180 90, -180 -90))",
        "POLYGON ((-179 -90, 179 -90, 179 -60, 0 -70, -179 -60, -179 -90))",
        "POLYGON ((-90 0, 0 0, 90 0, 90 9, -90 9, -90 0))",
        "LINESTRING (170 0, 180 0, 180 9)",
    ],
)
def test_what_does_not_cross_is_left_alone(given: str) -> None:
    shape = shapely.from_wkt(given)
    assert wrapped(shape) is shape


def test_holes_stay_where_they_are_on_either_side() -> None:
    shape = shapely.from_wkt(
        "POLYGON ((160 -20, -160 -20, -160 20, 160 20, 160 -20), (-175 -5, -175 5, -170 5, -170 -5, -175 -5),"
        " (179 -5, 179 5, -179 5, -179 -5, 179 -5))"
    )
    made = wrapped(shape)
    assert made.area == 40 * 40 - 5 * 10 - 2 * 10
    assert not made.intersects(shapely.Point(-172, 0))
    assert made.intersects(shapely.Point(172, 0))


def test_around_a_pole_holes_say_which_side_is_meant() -> None:
    ocean = "(45 -70, 135 -70, -135 -70, -45 -70, 45 -70)"
    made = wrapped(shapely.from_wkt(f"POLYGON ({ocean}, (0 50, 10 50, 10 60, 0 50))"))
    assert made.bounds == (-180, -70, 180, 90)
    assert made.area == 360 * 160 - 50
    band = "(45 -50, 135 -50, -135 -50, -45 -50, 45 -50)"
    collapsed = "(0 -60, 5 -60, 0 -60, 0 -60)"
    made = wrapped(
        shapely.from_wkt(f"POLYGON ({band}, {ocean}, (170 -60, -170 -60, -170 -55, 170 -60), {collapsed})")
    )
    assert made.bounds == (-180, -70, 180, -50)
    assert made.is_valid
    assert made.area == pytest.approx(360 * 20 - 50)


@pytest.mark.parametrize(
    ("given", "made"),
    [
        # There and back; across itself; along the antimeridian; over more than one turn.
        (
            "LINESTRING (170 0, -170 0, 170 0)",
            "MULTILINESTRING ((170 0, 180 0), (-180 0, -170 0, -180 0), (180 0, 170 0))",
        ),
        (
            "LINESTRING (160 0, 170 10, 170 0, 160 10, -170 10)",
            "MULTILINESTRING ((160 0, 170 10, 170 0, 160 10, 180 10), (-180 10, -170 10))",
        ),
        (
            "LINESTRING (170 0, 180 0, 180 5, -170 5)",
            "MULTILINESTRING ((170 0, 180 0, 180 5), (-180 5, -170 5))",
        ),
        ("LINESTRING (180 0, 180 5, -170 5)", "LINESTRING (-180 0, -180 5, -170 5)"),
        ("LINESTRING (-200 0, 200 0)", "MULTILINESTRING ((160 0, 180 0), (-180 0, 180 0), (-180 0, -160 0))"),
        (
            "LINESTRING (-180 0, -180 5, -170 5, 170 5)",
            "MULTILINESTRING ((-180 0, -180 5, -170 5, -180 5), (180 5, 170 5))",
        ),
        ("LINESTRING (200 0, 210 9)", "LINESTRING (-160 0, -150 9)"),
    ],
)
def test_lines_are_cut_in_their_order_and_keep_every_vertex(given: str, made: str) -> None:
    assert wrapped(shapely.from_wkt(given)).wkt == made


def test_z_is_interpolated_where_a_geometry_is_cut() -> None:
    made = wrapped(shapely.from_wkt("LINESTRING Z (170 0 1, -170 10 3)"))
    assert made.wkt == "MULTILINESTRING Z ((170 0 1, 180 5 2), (-180 5 2, -170 10 3))"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("LINESTRING M (170 0 1, -170 10 3)", "geometries with M cannot be cut"),
        ("POLYGON ((170 0, -170 0, 170 0, 170 0))", "nothing is left"),
        ("LINESTRING (181 0, 181 0)", "nothing is left"),
        (
            "POLYGON Z ((45 40 1, 135 40 1, -135 40 1, -45 40 1, 45 40 1))",
            "such polygons with Z cannot be cut",
        ),
    ],
)
def test_what_cannot_be_cut_has_a_reason(given: str, reason: str) -> None:
    with pytest.raises(Uncut, match=reason):
        wrapped(shapely.from_wkt(given))
