"""Conversions onto another grid: what is covered, what is not, and all that a raster says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.warp import calculate_default_transform, transform

from interfaces.conversions import ConversionPlan, Grid, Warp
from interfaces.rasters import Resampling
from services.cog import plan as planning
from tests.unit.services.rasters import write_raster

from .making import make, plan_of

BIG = numpy.arange(700 * 600, dtype="uint32").reshape(1, 700, 600) + 1


def warp_to(crs: str, path: Path, resampling: Resampling = "nearest", by: Any = "transform") -> Warp:
    with rasterio.open(path) as dataset:
        place = (
            {"gcps": dataset.gcps[0]}
            if by == "gcps"
            else dict(zip(("left", "bottom", "right", "top"), dataset.bounds, strict=True))
        )
        source = dataset.gcps[1] if by == "gcps" else dataset.crs
        matrix, width, height = calculate_default_transform(
            source, crs, dataset.width, dataset.height, **place
        )
    grid = Grid(crs=crs, transform=list(matrix)[:6], width=width, height=height)
    return Warp(grid=grid, resampling=resampling, by=by)


@pytest.fixture
def warped(monkeypatch: pytest.MonkeyPatch) -> Any:
    def plan(path: Path, warp: Warp, **options: Any) -> ConversionPlan:
        monkeypatch.setattr(planning, "warp_for", lambda *_: warp)
        return plan_of(path, **options)

    return plan


def test_pixels_are_where_they_belong_and_the_rest_is_nodata(tmp_path: Path, warped: Any) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.set_band_description(1, "height")
        dataset.scales = (0.5,)
        dataset.update_tags(1, STATISTICS_MAXIMUM="59", wavelength="0.6")
    plan = warped(path, warp_to("EPSG:3035", path))

    assert not plan.lossless
    with rasterio.open(make(plan, path)) as cog, rasterio.open(path) as source:
        assert cog.crs == CRS.from_epsg(3035)
        assert (cog.width, cog.height, cog.nodata) == (plan.width, plan.height, 0)
        assert (cog.descriptions, cog.scales, cog.tags(1)) == (("height",), (0.5,), {"wavelength": "0.6"})
        x, y = source.xy(300, 200)
        (there,), (here,) = transform(source.crs, cog.crs, [x], [y])
        row, column = cog.index(there, here)
        assert abs(int(cog.read(1)[row, column]) - int(BIG[0, 300, 200])) <= 601
        assert (cog.read(1) == 0).any()
        assert set(numpy.unique(cog.read(1))) <= {0, *numpy.unique(BIG).tolist()}


def test_without_nodata_a_mask_says_what_is_covered(tmp_path: Path, warped: Any) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    plan = warped(path, warp_to("EPSG:4326", path))

    assert plan.nodata is None
    assert "what the source does not cover is told by a mask" in plan.notes
    with rasterio.open(make(plan, path)) as cog:
        assert (cog.count, cog.nodata) == (1, None)
        assert [flag.name for flag in cog.mask_flag_enums[0]] == ["per_dataset"]
        covered = cog.read_masks(1) != 0
        assert 0.5 < covered.mean() < 1
        assert (cog.read(1)[covered] > 0).all()
        assert (cog.read(1)[~covered] == 0).all()


def test_a_mask_is_warped_with_its_pixels(tmp_path: Path, warped: Any) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    mask = numpy.full((700, 600), 255, "uint8")
    mask[:, 300:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)

    with rasterio.open(make(warped(path, warp_to("EPSG:4326", path)), path)) as cog:
        covered = cog.read_masks(1) != 0
        assert 0.35 < covered.mean() < 0.5
        middle = cog.read_masks(1)[cog.height // 2]
        assert (middle[cog.width // 4], middle[3 * cog.width // 4]) == (255, 0)


def test_an_alpha_band_is_warped_as_one(tmp_path: Path, warped: Any) -> None:
    data = numpy.full((4, 600, 600), 200, "uint8")
    path = write_raster(tmp_path / "a.tif", data, photometric="rgb", alpha="yes")

    with rasterio.open(make(warped(path, warp_to("EPSG:4326", path, "cubic")), path)) as cog:
        assert cog.colorinterp[3] == ColorInterp.alpha
        assert cog.count == 4
        assert set(numpy.unique(cog.read(4))) == {0, 255 if data[3, 0, 0] == 255 else 200}


def test_nodata_does_not_bleed_into_its_neighbours_in_any_band(tmp_path: Path, warped: Any) -> None:
    data = numpy.full((2, 600, 600), 100, "float32")
    data[0, :, :300] = -9999
    path = write_raster(tmp_path / "a.tif", data, nodata=-9999)

    with rasterio.open(make(warped(path, warp_to("EPSG:4326", path, "bilinear")), path)) as cog:
        for band in (1, 2):
            values = cog.read(band, masked=True)
            assert values.min() == pytest.approx(100)
        assert cog.read(1, masked=True).count() < 0.7 * cog.read(2, masked=True).count()


def test_a_colour_table_survives(tmp_path: Path, warped: Any) -> None:
    data = numpy.ones((1, 600, 600), "uint8")
    path = write_raster(tmp_path / "a.tif", data, photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {1: (1, 2, 3, 255)})

    with rasterio.open(make(warped(path, warp_to("EPSG:4326", path)), path)) as cog:
        assert cog.colormap(1)[1] == (1, 2, 3, 255)
        assert cog.colorinterp == (ColorInterp.palette,)


def test_a_south_up_raster_is_turned_without_changing_a_pixel(tmp_path: Path, warped: Any) -> None:
    matrix = rasterio.Affine(10, 0, 500_000, 0, 10, 5_600_000)
    path = write_raster(tmp_path / "a.tif", BIG, transform=matrix, nodata=0)
    grid = Grid(crs="EPSG:32632", transform=[10, 0, 500_000, 0, -10, 5_607_000], width=600, height=700)

    with rasterio.open(
        make(warped(path, Warp(grid=grid, resampling="nearest", by="transform")), path)
    ) as cog:
        assert numpy.array_equal(cog.read(), BIG[:, ::-1])


def test_a_raster_without_a_crs_is_turned_too(tmp_path: Path, warped: Any) -> None:
    path = write_raster(
        tmp_path / "a.tif", BIG, crs=None, transform=rasterio.Affine(10, 0, 0, 0, 10, 0), nodata=0
    )
    grid = Grid(crs=None, transform=[10, 0, 0, 0, -10, 7000], width=600, height=700)

    with rasterio.open(
        make(warped(path, Warp(grid=grid, resampling="nearest", by="transform")), path)
    ) as cog:
        assert numpy.array_equal(cog.read(), BIG[:, ::-1])
        assert not cog.crs


def test_a_raster_placed_by_control_points_is_rectified_and_loses_them(tmp_path: Path, warped: Any) -> None:
    points = [
        GroundControlPoint(row=r, col=c, x=10 + c / 1000, y=50 - r / 1000)
        for r, c in ((0, 0), (0, 600), (700, 0), (700, 600))
    ]
    path = write_raster(tmp_path / "a.tif", BIG, crs=None, transform=None, nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, CRS.from_epsg(4326))

    with rasterio.open(make(warped(path, warp_to("EPSG:4326", path, by="gcps")), path)) as cog:
        assert cog.crs == CRS.from_epsg(4326)
        assert cog.bounds == pytest.approx((10, 49.3, 10.6, 50), abs=0.01)
        assert cog.gcps[0] == []
        assert int(cog.read(1)[cog.index(10.2, 49.7)]) == pytest.approx(180_201, abs=601)


def test_a_raster_placed_by_polynomials_is_rectified_and_loses_them(tmp_path: Path, warped: Any) -> None:
    # longitude 10 … 10.6 and latitude 50 … 49.3 are linear in column and row
    column, row = [0.0] * 20, [0.0] * 20
    column[1], row[2] = 1.0, -1.0
    one = [1.0] + [0.0] * 19
    rpcs = RPC(
        height_off=0, height_scale=1, lat_off=49.65, lat_scale=0.35, long_off=10.3, long_scale=0.3,
        line_num_coeff=row, line_den_coeff=one, line_off=350, line_scale=350,
        samp_num_coeff=column, samp_den_coeff=one, samp_off=300, samp_scale=300,
    )  # fmt: skip
    path = write_raster(tmp_path / "a.tif", BIG, crs=None, transform=None, nodata=0, rpcs=rpcs)
    grid = Grid(crs="EPSG:4326", transform=[0.001, 0, 10.1, 0, -0.001, 49.9], width=400, height=500)

    plan = warped(path, Warp(grid=grid, resampling="nearest", by="rpcs"))

    with rasterio.open(make(plan, path)) as cog:
        assert cog.rpcs is None
        assert cog.bounds == pytest.approx((10.1, 49.4, 10.5, 49.9))
        assert int(cog.read(1)[cog.index(10.2, 49.7)]) == pytest.approx(180_201, abs=602)


def test_an_assumed_crs_overrides_in_the_warp(tmp_path: Path, warped: Any) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, nodata=0)
    warp = warp_to("EPSG:3857", path)
    without = write_raster(tmp_path / "b.tif", BIG, crs=None, nodata=0)
    assumed = warp.model_copy(update={"source_crs": "EPSG:32632"})

    one = make(warped(path, warp), path)
    other = make(warped(without, assumed, assume_crs="EPSG:32632"), without)

    with rasterio.open(one) as a, rasterio.open(other) as b:
        assert numpy.array_equal(a.read(), b.read())


def test_bands_types_and_scaling_go_with_a_warp(tmp_path: Path, warped: Any) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.concatenate([BIG, numpy.full_like(BIG, 500)]), nodata=0)
    scaling = {"from_range": [0, 1000], "to_range": [0, 200]}
    plan = warped(path, warp_to("EPSG:4326", path), bands=[2], data_type="uint8", scaling=scaling)

    with rasterio.open(make(plan, path)) as cog:
        assert (cog.count, cog.dtypes, cog.nodata) == (1, ("uint8",), None)
        assert set(cog.read(1, masked=True).compressed()) == {100}
        assert (cog.read_masks(1) == 0).any()
