"""Footprints over the antimeridian, over poles, and of the whole Earth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.warp import transform
from shapely.geometry import box

from tests.unit.services.rasters import write_raster
from tests.unit.services.stac.places import contains, footprint_of, placed, zeros


def test_a_raster_over_the_antimeridian_is_split_there(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif",
        zeros(50, 60),
        crs="EPSG:32660",
        transform=Affine(10_000, 0, 600_000, 0, -10_000, 6e6),
    )

    geometry, (west, south, east, north) = placed(path)

    assert [part.geom_type for part in geometry.geoms] == ["Polygon", "Polygon"]
    assert west > 170
    assert -175 < east < -170
    assert south < north
    # Nothing of it reaches round the Earth, as a box from -180 to 180 would.
    assert geometry.area == pytest.approx(shifted_area(path), rel=1e-3)
    assert contains(geometry, path)


def shifted_area(path: Path) -> float:
    """Square degrees of the outline, with longitudes counted from 0 to 360."""
    with rasterio.open(path) as dataset:
        outline = shapely.segmentize(box(0, 0, dataset.width, dataset.height), dataset.width / 1000)
        columns, rows = shapely.get_coordinates(outline).T
        longitudes, latitudes = transform(dataset.crs, "EPSG:4326", *(dataset.transform * (columns, rows)))
    return float(shapely.Polygon(zip(numpy.array(longitudes) % 360, latitudes, strict=True)).area)


@pytest.mark.parametrize(
    ("west", "step", "expected"),
    [
        (0, 10, [-180, -30, 180, 30]),
        (-180, 10, [-180, -30, 180, 30]),
        (-5, 10, [-180, -30, 180, 30]),
        (-180, 10.25, [-180, -30, 180, 30]),
        (100, 11, [-180, -30, 180, 30]),
        (170, 1, [170, -30, -154, 30]),
        (200, 1, [-160, -30, -124, 30]),
        (-200, 1, [160, -30, -164, 30]),
    ],
)
def test_longitudes_beyond_180_are_brought_back(
    tmp_path: Path, west: float, step: float, expected: list[float]
) -> None:
    path = write_raster(
        tmp_path / "a.tif", zeros(6, 36), crs="EPSG:4326", transform=Affine(step, 0, west, 0, -10, 30)
    )

    geometry, bbox = placed(path)

    assert bbox == pytest.approx(expected)
    assert geometry.area == pytest.approx(min(360, 36 * step) * 60)


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -90), ("EPSG:3413", 90)])
def test_a_raster_over_a_pole_reaches_it_and_all_longitudes(tmp_path: Path, crs: str, pole: int) -> None:
    path = write_raster(
        tmp_path / "a.tif", zeros(60, 60), crs=crs, transform=Affine(1e5, 0, -3e6, 0, -1e5, 3e6)
    )

    geometry, bbox = placed(path)

    # The circle inscribed in the square is at 3,000 km from the pole, its corners at 4,243 km.
    (_,), (side,) = transform(crs, "EPSG:4326", [3e6], [0])
    (_,), (corner,) = transform(crs, "EPSG:4326", [3e6], [3e6])
    assert (bbox[0], bbox[2]) == (-180, 180)
    assert sorted([bbox[1], bbox[3]], key=abs) == pytest.approx([corner, pole], abs=0.02)
    assert geometry.contains(box(*sorted_box(-179.9, side + math.copysign(0.1, pole), 179.9, pole)))
    assert not geometry.intersects(box(*sorted_box(-179.9, corner - math.copysign(0.1, pole), 179.9, -pole)))
    assert contains(geometry, path)


def sorted_box(west: float, one: float, east: float, other: float) -> tuple[float, float, float, float]:
    return west, min(one, other), east, max(one, other)


def test_data_around_a_pole_leave_the_pole_out(tmp_path: Path) -> None:
    rows, columns = numpy.mgrid[:200, :200] - 99.5
    distance = numpy.hypot(rows, columns)
    data = ((distance > 40) & (distance < 80)).astype("uint8")[None]
    path = write_raster(
        tmp_path / "a.tif",
        data,
        nodata=0,
        crs="EPSG:3031",
        transform=Affine(25e3, 0, -2.5e6, 0, -25e3, 2.5e6),
    )

    geometry, bbox = placed(path)

    assert not shapely.contains_xy(geometry, *numpy.array([[0, 90, -90], [-85, -85, -85]], float)).any()
    (_,), (inner,) = transform("EPSG:3031", "EPSG:4326", [1e6], [0])
    (_,), (outer,) = transform("EPSG:3031", "EPSG:4326", [2e6], [0])
    assert bbox == pytest.approx([-180, inner, 180, outer], abs=0.3)
    assert contains(geometry, path, 0.99)


@pytest.mark.parametrize("quadrant", [(0, 0), (-1, 0), (0, 1), (-1, 1)])
@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3413"])
def test_a_tile_with_a_pole_at_its_corner_spans_a_quarter_of_the_longitudes(
    tmp_path: Path, crs: str, quadrant: tuple[int, int]
) -> None:
    left, top = quadrant[0] * 1e6, quadrant[1] * 1e6
    path = write_raster(
        tmp_path / "a.tif", zeros(10, 10), crs=crs, transform=Affine(1e5, 0, left, 0, -1e5, top)
    )

    geometry, bbox = placed(path)

    assert (bbox[2] - bbox[0]) % 360 == pytest.approx(90, abs=0.1)
    assert 90 in map(abs, (bbox[1], bbox[3]))
    assert contains(geometry, path, 0.98)


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3413"])
@pytest.mark.parametrize("side", ["left", "right", "top", "bottom"])
def test_a_tile_with_a_pole_on_its_edge_spans_half_of_the_longitudes(
    tmp_path: Path, crs: str, side: str
) -> None:
    left, top = {"left": (0, 1e6), "right": (-2e6, 1e6), "top": (-1e6, 0), "bottom": (-1e6, 2e6)}[side]
    path = write_raster(
        tmp_path / "a.tif", zeros(20, 20), crs=crs, transform=Affine(1e5, 0, left, 0, -1e5, top)
    )

    geometry, bbox = placed(path)

    assert (bbox[2] - bbox[0]) % 360 == pytest.approx(180, abs=0.1)
    assert contains(geometry, path, 0.98)


def test_the_whole_earth_in_a_projection_without_corners_is_found(tmp_path: Path) -> None:
    # Mollweide: an ellipse; the corners of the image are nowhere.
    path = write_raster(
        tmp_path / "a.tif",
        zeros(100, 200),
        crs="ESRI:54009",
        transform=Affine(180_410, 0, -18_041_000, 0, -180_410, 9_020_500),
    )

    geometry, bbox = placed(path)

    assert bbox[0] < -175
    assert bbox[2] > 175
    assert bbox[1] < -80
    assert bbox[3] > 80
    assert geometry.area > 0.9 * 360 * 180
    assert any("area of use" in note for note in footprint_of(path).notes)


def test_a_south_up_raster_over_a_pole_is_not_taken_for_the_rest_of_the_earth(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", zeros(60, 60), crs="EPSG:3031", transform=Affine(1e5, 0, -3e6, 0, 1e5, -3e6)
    )

    geometry, bbox = placed(path)

    assert bbox[1] == -90
    assert bbox[3] < -45
    assert contains(geometry, path)


def test_half_a_pixel_beyond_the_poles_is_cut_off(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", zeros(181, 360), crs="EPSG:4326", transform=Affine(1, 0, -180, 0, -1, 90.5)
    )

    assert placed(path)[1] == pytest.approx([-180, -90, 180, 90])
