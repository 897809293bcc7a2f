"""Where rasters lie on the Earth, on small files written here, against places that are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.warp import transform
from shapely.geometry import box

from services.stac import decimation, footprint
from services.stac.valid_area import MAX_VERTICES, outline_of
from tests.unit.services.rasters import write_raster
from tests.unit.services.stac.places import contains, footprint_of, placed, zeros

METRES_PER_DEGREE = 111_320


def test_the_outline_of_a_raster_in_degrees_is_its_box(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", zeros(20, 10), crs="EPSG:4326", transform=Affine(0.1, 0, 7, 0, -0.1, 50)
    )

    geometry, bbox = placed(path)

    assert bbox == pytest.approx([7, 48, 8, 50])
    assert geometry.equals(box(7, 48, 8, 50))
    assert shapely.get_num_coordinates(geometry) == 5


def test_a_projected_outline_follows_the_curve_of_its_edges(tmp_path: Path) -> None:
    # Edges of 4,000 km: the northern one is at its middle far north of the line between its ends.
    path = write_raster(
        tmp_path / "a.tif", zeros(40, 40), crs="EPSG:3035", transform=Affine(1e5, 0, 2.3e6, 0, -1e5, 5.2e6)
    )

    geometry, bbox = placed(path)

    assert contains(geometry, path)
    corners = transform("EPSG:3035", "EPSG:4326", [2.3e6, 6.3e6, 6.3e6, 2.3e6], [5.2e6, 5.2e6, 1.2e6, 1.2e6])
    straight = shapely.Polygon(zip(*corners, strict=True))
    assert not contains(straight, path)
    (_,), (top,) = transform("EPSG:3035", "EPSG:4326", [4.3e6], [5.2e6])
    assert bbox[3] == pytest.approx(top, abs=0.02)
    assert bbox[3] > max(corners[1]) + 3
    assert geometry.area == pytest.approx(dense_area(path), rel=1e-3)


def dense_area(path: Path) -> float:
    """Square degrees of the outline, from 4,000 points, of a raster away from poles and antimeridian."""
    with rasterio.open(path) as dataset:
        outline = shapely.segmentize(box(0, 0, dataset.width, dataset.height), dataset.width / 1000)
        columns, rows = shapely.get_coordinates(outline).T
        xs, ys = dataset.transform * (columns, rows)
        return float(shapely.Polygon(numpy.array(transform(dataset.crs, "EPSG:4326", xs, ys)).T).area)


def test_the_footprint_is_that_of_the_data_and_not_of_the_image(tmp_path: Path) -> None:
    data = zeros(100, 100, 0)
    rows, columns = numpy.mgrid[:100, :100]
    data[0, numpy.abs(rows - 50) + numpy.abs(columns - 50) < 40] = 9
    path = write_raster(
        tmp_path / "a.tif", data, nodata=0, crs="EPSG:4326", transform=Affine(0.01, 0, 10, 0, -0.01, 1)
    )

    geometry, bbox = placed(path)

    assert geometry.area == pytest.approx(0.01**2 * (data > 0).sum(), rel=0.02)
    assert contains(geometry, path, 0.99)
    assert bbox == pytest.approx([10.11, 0.1, 10.9, 0.89], abs=0.011)


def test_a_hole_in_the_data_is_a_hole_in_the_footprint(tmp_path: Path) -> None:
    data = zeros(100, 100)
    data[0, 20:60, 30:80] = 0
    path = write_raster(
        tmp_path / "a.tif", data, nodata=0, crs="EPSG:4326", transform=Affine(0.01, 0, 10, 0, -0.01, 1)
    )

    geometry, bbox = placed(path)

    assert geometry.equals_exact(box(10, 0, 11, 1) - box(10.3, 0.4, 10.8, 0.8), 1e-6, normalize=True)
    assert bbox == pytest.approx([10, 0, 11, 1])


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_not_a_number_is_no_data_even_if_nothing_says_so(tmp_path: Path, dtype: str) -> None:
    data = numpy.ones((1, 50, 50), dtype)
    data[0, :, :25] = math.nan
    path = write_raster(tmp_path / "a.tif", data, crs="EPSG:4326", transform=Affine(0.1, 0, 0, 0, -0.1, 5))

    _, bbox = placed(path)

    assert bbox == pytest.approx([2.5, 0, 5, 5])


def test_data_in_any_band_count(tmp_path: Path) -> None:
    data = numpy.zeros((2, 10, 10), "uint8")
    data[0, :, :3], data[1, :, 5:7] = 1, 1
    path = write_raster(
        tmp_path / "a.tif", data, nodata=0, crs="EPSG:4326", transform=Affine(1, 0, 0, 0, -1, 10)
    )

    geometry, bbox = placed(path)

    assert geometry.area == pytest.approx(50)
    assert bbox == pytest.approx([0, 0, 7, 10])


def test_transparent_and_masked_pixels_are_no_data(tmp_path: Path) -> None:
    place = {"crs": "EPSG:4326", "transform": Affine(1, 0, 0, 0, -1, 10)}
    rgba = numpy.full((4, 10, 10), 255, "uint8")
    rgba[3, :, 4:] = 0
    alpha = write_raster(tmp_path / "alpha.tif", rgba, photometric="RGB", alpha="YES", **place)
    masked = tmp_path / "masked.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_raster(masked, zeros(10, 10), **place)
        with rasterio.open(masked, "r+") as dataset:
            dataset.write_mask(rgba[3])

    for path in (alpha, masked):
        assert placed(path)[1] == pytest.approx([0, 0, 4, 10])


def test_without_any_data_the_outline_is_given_and_said_to_be_so(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", zeros(5, 5, 0), nodata=0, crs="EPSG:4326", transform=Affine(1, 0, 0, 0, -1, 5)
    )

    found = footprint_of(path)

    assert found.bbox == pytest.approx([0, 0, 5, 5])
    assert any("no pixel has data" in note for note in found.notes)


def test_a_raster_without_overviews_that_is_too_large_to_look_at_keeps_its_outline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decimation, "MAX_DECODED_PIXELS", 99)
    data = zeros(10, 10)
    data[0, :, 5:] = 0
    path = write_raster(
        tmp_path / "a.tif", data, nodata=0, crs="EPSG:4326", transform=Affine(1, 0, 0, 0, -1, 10)
    )

    found = footprint_of(path)

    assert found.bbox == pytest.approx([0, 0, 10, 10])
    assert any("no overview" in note for note in found.notes)


def test_a_look_at_a_large_raster_reads_an_overview(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decimation, "MAX_DECODED_PIXELS", 600 * 600)
    data = zeros(2048, 2048)
    data[0, :, 1024:] = 0
    path = write_raster(
        tmp_path / "a.tif",
        data,
        driver="COG",
        nodata=0,
        crs="EPSG:4326",
        transform=Affine(1e-3, 0, 0, 0, -1e-3, 2.048),
    )

    found = footprint_of(path, size=256)

    assert found.notes == ()
    assert found.bbox == pytest.approx([0, 0, 1.024, 2.048], abs=0.009)


def test_scattered_data_are_held_by_a_footprint_of_bounded_size(tmp_path: Path) -> None:
    data = (numpy.random.default_rng(1).random((1, 700, 700)) < 0.02).astype("uint8")
    data[0, :, 350:] = 0
    path = write_raster(
        tmp_path / "a.tif", data, nodata=0, crs="EPSG:4326", transform=Affine(0.01, 0, 0, 0, -0.01, 7)
    )

    geometry, bbox = placed(path)

    assert shapely.get_num_coordinates(geometry) <= MAX_VERTICES
    assert contains(geometry, path, 0.98)
    assert bbox == pytest.approx([0, 0, 3.5, 7], abs=0.2)


def test_a_coarse_outline_does_not_reach_beyond_the_image() -> None:
    mask = numpy.random.default_rng(1).random((601, 799)) < 0.3

    outline = outline_of(mask, 799, 601)

    assert shapely.get_num_coordinates(outline) <= MAX_VERTICES
    assert outline.bounds == (0, 0, 799, 601)


@pytest.mark.parametrize("shape_", [(1, 300), (300, 1), (2, 2), (1, 2)])
def test_an_outline_of_a_thin_mask_is_found(shape_: tuple[int, int]) -> None:
    mask = numpy.arange(shape_[0] * shape_[1]).reshape(shape_) % 2 == 0

    outline = outline_of(mask, shape_[1] * 10, shape_[0] * 10)

    assert outline.is_valid
    assert outline.area >= mask.sum() * 100 - 1e-6


def test_a_rotated_raster_is_not_its_box(tmp_path: Path) -> None:
    rotated = Affine.translation(500_000, 5_600_000) * Affine.rotation(30) * Affine.scale(100, -100)
    path = write_raster(tmp_path / "a.tif", zeros(100, 100), transform=rotated)

    geometry, bbox = placed(path)

    metres = geometry.area * METRES_PER_DEGREE**2 * math.cos(math.radians((bbox[1] + bbox[3]) / 2))
    assert metres == pytest.approx(10_000**2, rel=0.01)
    assert geometry.area < 0.6 * box(*bbox).area
    assert contains(geometry, path)


def test_a_south_up_raster_lies_where_its_pixels_are(tmp_path: Path) -> None:
    data = zeros(10, 10, 0)
    data[0, :3] = 1
    path = write_raster(
        tmp_path / "a.tif", data, nodata=0, crs="EPSG:4326", transform=Affine(1, 0, 0, 0, 1, -40)
    )

    assert placed(path)[1] == pytest.approx([0, -40, 10, -37])


def test_ground_control_points_place_a_raster_approximately(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row, column, 9 + column / 100, 50 - row / 100)
        for row in (0, 48)
        for column in (0, 64)
    ]
    path = write_raster(tmp_path / "a.tif", crs="EPSG:4326", transform=None, gcps=points)

    found = footprint_of(path)

    assert found.bbox == pytest.approx([9, 49.52, 9.64, 50], abs=1e-6)
    assert any("ground control points" in note for note in found.notes)


def test_rational_polynomials_place_a_raster_approximately(tmp_path: Path) -> None:
    one = [1.0] + [0.0] * 19
    rpcs = RPC(
        height_off=0,
        height_scale=100,
        lat_off=50,
        lat_scale=0.5,
        line_den_coeff=one,
        line_num_coeff=[0, 0, -1] + [0] * 17,
        line_off=50,
        line_scale=50,
        long_off=9,
        long_scale=0.5,
        samp_den_coeff=one,
        samp_num_coeff=[0, 1] + [0] * 18,
        samp_off=50,
        samp_scale=50,
        err_bias=None,
        err_rand=None,
    )
    path = write_raster(tmp_path / "a.tif", zeros(100, 100), crs=None, transform=None, rpcs=rpcs)

    found = footprint_of(path)

    assert found.bbox == pytest.approx([8.5, 49.5, 9.5, 50.5], abs=0.02)
    assert any("rational polynomials" in note for note in found.notes)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        ({"crs": None}, "no CRS"),
        ({"crs": "+proj=eqc +R=3396190 +units=m"}, "3396190 m"),
        ({"crs": "EPSG:4326", "transform": Affine(10, 0, 500_000, 0, -10, 5e6)}, "not latitudes"),
        ({"crs": "EPSG:4326", "transform": None}, "no georeferencing"),
    ],
)
def test_a_raster_without_a_place_on_earth_has_none_and_says_why(
    tmp_path: Path, profile: dict[str, Any], reason: str
) -> None:
    found = footprint_of(write_raster(tmp_path / "a.tif", **profile))

    assert (found.geometry, found.bbox) == (None, None)
    assert found.reason is not None
    assert reason in found.reason


def test_a_footprint_that_does_not_hold_the_data_gives_way_to_the_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if the outline had been turned into something else.
    monkeypatch.setattr(footprint, "on_sphere", lambda _rings: box(20, 20, 21, 21))
    path = write_raster(
        tmp_path / "a.tif", zeros(10, 10), crs="EPSG:4326", transform=Affine(1, 0, 0, 0, -1, 10)
    )

    found = footprint_of(path)

    assert found.bbox == pytest.approx([0, 0, 10, 10])
    assert any("does not enclose" in note for note in found.notes)


def test_a_footprint_of_one_pixel_is_that_pixel(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", zeros(1, 1), crs="EPSG:4326", transform=Affine(1e-6, 0, 5, 0, -1e-6, 5)
    )

    assert placed(path)[1] == pytest.approx([5, 5 - 1e-6, 5 + 1e-6, 5], abs=1e-9)
