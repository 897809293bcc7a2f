"""Simplifying and the precision grid."""

from __future__ import annotations

from typing import Any

import numpy
import pytest
import shapely

from interfaces.vectors import GeometryOptions
from services.vector import generalising

from .shapes import ewkb, shaped, wkt


def generalised(given: str, *, tolerance: float | None = None, grid: float | None = None) -> tuple[Any, bool]:
    geometries = numpy.array([shapely.from_wkt(given)], dtype=object)
    reasons: list[str | None] = [None]
    [collapsed] = generalising.generalised(geometries, tolerance, grid, reasons)
    assert reasons == [None]
    return geometries[0], collapsed


def test_vertices_within_the_tolerance_are_left_out_and_rings_do_not_cross() -> None:
    line, _ = generalised("LINESTRING (0 0, 1 0.1, 2 0, 3 5)", tolerance=0.5)
    assert line.wkt == "LINESTRING (0 0, 2 0, 3 5)"
    # Without topology the bulge over the hole would go, and the hole would lie outside.
    shape = "POLYGON ((0 0, 10 0, 10 10, 5 11, 0 10, 0 0), (4.5 10.2, 5.5 10.2, 5 10.6, 4.5 10.2))"
    kept, _ = generalised(shape, tolerance=1.5)
    assert kept.is_valid
    assert len(kept.interiors) == 1
    # Parts that were apart are simplified over each other, and mended.
    apart = "MULTIPOLYGON (((0 0, 10 0, 10 10, 5 6, 0 10, 0 0)), ((4.9 8, 5.1 8, 5 9, 4.9 8)))"
    assert generalised(apart, tolerance=4.5)[0].is_valid


def test_coordinates_come_onto_the_grid_and_what_is_made_is_valid() -> None:
    shape, collapsed = generalised("POLYGON ((0.04 0, 10 0, 10 10, 5 0.3, 0 10, 0.04 0))", grid=1)
    assert shape.is_valid
    assert shape.geom_type == "MultiPolygon"
    assert (shapely.get_coordinates(shape) % 1 == 0).all()
    assert not collapsed


@pytest.mark.parametrize(
    "given", ["POLYGON ((0 0, 0.1 0, 0.1 0.1, 0 0))", "LINESTRING (0 0, 0.1 0)", "LINESTRING (0.6 0, 1.1 0)"]
)
def test_what_is_narrower_than_the_grid_is_empty(given: str) -> None:
    shape, collapsed = generalised(given, grid=1)
    assert shape.is_empty
    assert collapsed


@pytest.mark.parametrize(
    ("policy", "reason", "made"),
    [
        ("keep", None, "MULTIPOLYGON EMPTY"),
        ("null", None, None),
        ("reject", "its geometry is empty", "MULTIPOLYGON EMPTY"),
    ],
)
def test_what_collapses_goes_the_way_of_empty_geometries(
    policy: str, reason: str | None, made: str | None
) -> None:
    options: dict[str, Any] = {"precision": 1, "empty_geometries": policy}
    result = shaped("MultiPolygon", "POLYGON ((0 0, 0.1 0, 0.1 0.1, 0 0))", **options)
    assert (result.counts.collapsed, result.counts.empty_geometries) == (1, 1)
    if reason is None:
        assert (result.reasons, wkt(ewkb(result)[0])) == ([None], made)
    else:
        assert result.reasons == [f"{reason}: nothing is left of it, simplified or on the precision grid"]


def test_the_crs_comes_first_then_mending_then_simplifying_then_the_grid_then_the_column() -> None:
    # A bow tie in degrees, about 111 km to a degree, with vertices that are 100 m off its lines.
    tie = "POLYGON ((0 0, 0.5 0.001, 1 0.001, 1.5 0.001, 2 0, 0 2, 2 2, 0 0))"
    result = shaped("MultiPolygon", tie, crs="EPSG:4326", target="EPSG:3857", simplify=1000, precision=1000)
    made = shapely.from_wkb(ewkb(result)[0])
    assert (result.reasons, result.counts.repaired, made.is_valid) == ([None], 1, True)
    assert made.geom_type == "MultiPolygon"
    assert (shapely.get_coordinates(made) % 1000 == 0).all()
    [detailed] = ewkb(shaped("MultiPolygon", tie, target="EPSG:3857"))
    vertices = [shapely.get_num_coordinates(one) for one in (made, shapely.from_wkb(detailed))]
    assert vertices[0] <= vertices[1] - 2


def test_what_was_rejected_before_is_not_put_on_a_grid() -> None:
    result = shaped("MultiPolygon", "POLYGON ((0 0, 2 2, 0 2, 2 0, 0 0))", repair="drop", precision=1)
    assert str(result.reasons[0]).startswith("is not valid: Self-intersection")


def test_one_that_the_library_refuses_does_not_refuse_the_others() -> None:
    bad = shapely.from_wkt("POLYGON ((0 0, 2 2, 0 2, 2 0, 0 0))")
    geometries = numpy.array([bad, shapely.Point(0.2, 0.9)], dtype=object)
    reasons: list[str | None] = [None, None]
    generalising.generalised(geometries, None, GeometryOptions(precision=1).precision, reasons)
    assert str(reasons[0]).startswith("cannot be put on the precision grid: TopologyException")
    assert geometries[1].wkt == "POINT (0 1)"
