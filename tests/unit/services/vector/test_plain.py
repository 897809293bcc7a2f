"""Geometries that NumPy alone finds to be right are just such of which nothing changes on the whole way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
import pyarrow
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from interfaces.vectors import GeometryOptions
from services.vector import plain, wkb
from services.vector.shaping import Shaper

from .shapes import no_curves, plan

ALL = dict.fromkeys(range(1, 8), 0)


def right(*geometries: str | bytes | None, degrees: bool = True, wraps: dict[int, int] = ALL) -> list[bool]:
    column = pyarrow.array([_bytes(one) for one in geometries], pyarrow.binary())
    found: list[bool] = plain.look(column, wkb.codes(column), wraps, degrees=degrees).right.tolist()
    return found


def _bytes(one: str | bytes | None) -> bytes | None:
    if isinstance(one, bytes) or one is None:
        return one
    made: bytes = shapely.to_wkb(shapely.from_wkt(one), byte_order=1, flavor="iso")
    return made


@pytest.mark.parametrize(
    "wkt",
    [
        "POINT (1 2)",
        "MULTIPOINT ((1 2))",
        "LINESTRING (0 0, 1 1, 0 0)",
        "MULTILINESTRING ((0 0, 1 1))",
        "POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))",
        "POLYGON ((0 0, 0 1, 1 1, 1 0, 0 0))",
        "MULTIPOLYGON (((0 0, 3 0, 3 3, 1 1, 0 0)))",
        "POLYGON ((1e-9 0, 2e-9 0, 2e-9 1e-9, 1e-9 0))",
    ],
)
def test_what_is_simple_is_right(wkt: str) -> None:
    assert right(wkt) == [True]


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"",
        b"\x01\x03\x00",
        _bytes("POINT (1 2)")[:-1],  # type: ignore[index]
        _bytes("POINT (1 2)") + bytes(16),  # type: ignore[operator]
        shapely.to_wkb(shapely.box(0, 0, 1, 1), byte_order=0),
        shapely.to_wkb(shapely.set_srid(shapely.box(0, 0, 1, 1), 4326), include_srid=True),
        "POINT EMPTY",
        "POINT Z (1 2 3)",
        "POINT (1 91)",
        "POINT (181 1)",
        "POINT (1 Infinity)",
        "POLYGON EMPTY",
        "MULTIPOLYGON EMPTY",
        "LINESTRING (0 0, 0 0)",
        "LINESTRING (0 0, 1 1, 1 1)",
        "LINESTRING (-100 0, 100 0)",
        "POLYGON ((0 0, 1 0, 2 0, 0 0))",
        "POLYGON ((0 0, 1 0, 1 0, 1 1, 0 1, 0 0))",
        "POLYGON ((0 0, 2 2, 0 2, 2 0, 0 0))",
        "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 1 2, 2 2, 1 1))",
        "POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0, 1 0, 1 1, 0 1, 0 0))",
        "POLYGON ((0 0, 9 0, 9 1, 1 1, 1 8, 9 8, 9 9, 0 9, 0 0))",
        "MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))",
        "GEOMETRYCOLLECTION (POINT (1 2))",
    ],
)
def test_what_is_not_surely_right_is_looked_at_by_others(given: str | bytes | None) -> None:
    assert right("POINT (1 2)", given, "POLYGON ((0 0, 1 0, 1 1, 0 0))") == [True, False, True]


def test_a_ring_that_is_not_closed_is_not_right() -> None:
    ring = bytearray(_bytes("POLYGON ((0 0, 1 0, 1 1, 0 1, 0 0))") or b"")
    ring[-16:-8] = numpy.float64(1e-9).tobytes()
    assert right(bytes(ring)) == [False]


def test_only_codes_that_a_column_takes_are_looked_at_and_metres_are_not_degrees() -> None:
    assert right("POINT (1 2)", "LINESTRING (0 0, 1 1)", wraps={1: 4}) == [True, False]
    assert right("POINT (500000 6000000)", "POINT (NaN 1)", degrees=False) == [True, False]


@st.composite
def _ring(draw: st.DrawFn) -> Any:
    number = draw(st.integers(3, 12))
    size = draw(st.sampled_from([1e-7, 1e-3, 1.0, 20.0]))
    shift = draw(st.sampled_from([0.0, 11.5, -77.25]))
    grid = draw(st.booleans())
    chance = numpy.random.default_rng(draw(st.integers(0, 2**32)))
    points = chance.integers(-3, 4, (number, 2)).astype(float) if grid else chance.normal(size=(number, 2))
    if draw(st.booleans()):
        points = points[numpy.argsort(numpy.arctan2(points[:, 1], points[:, 0]))]
    if draw(st.booleans()):
        points = points[::-1]
    points = points * size + shift
    return numpy.concatenate([points, points[:1]])


@given(st.lists(_ring(), min_size=1, max_size=30), st.sampled_from(["Polygon", "MultiPolygon", "Geometry"]))
@settings(max_examples=200, deadline=None)
def test_whatever_is_found_right_would_have_come_out_the_same_the_whole_way(
    rings: Sequence[Any], kind: str
) -> None:
    polygons = [shapely.Polygon(ring) for ring in rings]
    lines = [shapely.LineString(ring) for ring in rings] if kind == "Geometry" else []
    multi = [shapely.MultiPolygon([polygon]) for polygon in polygons]
    every = shapely.to_wkb([*polygons, *multi, *lines], byte_order=1).tolist()
    column = pyarrow.array(every, pyarrow.binary())
    shaper = Shaper(plan(kind), "EPSG:4326", GeometryOptions())
    quick = shaper.shape(column, no_curves)
    slow = shaper._shape(column, wkb.codes(column), no_curves)
    assert quick.ewkb.to_pylist() == slow.ewkb.to_pylist()
    assert quick.reasons == slow.reasons
    assert quick.counts == slow.counts
    found = plain.look(column, wkb.codes(column), {3: 0}, degrees=True).right
    assert shapely.is_valid(numpy.array(polygons)[found[: len(polygons)]]).all()
