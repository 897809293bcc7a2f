"""Pixels on another grid: which value lies where, and what of the source goes with them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import rasterio.shutil
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp, Resampling
from rasterio.io import DatasetReader
from rasterio.transform import Affine, from_bounds, from_origin
from rasterio.warp import reproject

from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions
from services.cog import warping
from services.cog.grid import warp_for
from services.cog.placement import placement
from services.cog.warping import warped
from tests.unit.services.rasters import write_raster

SOUTH_UP = Affine(10, 0, 500_000, 0, 10, 5_000_000)


@contextmanager
def shown(
    path: Path,
    *,
    nodata: float | None = None,
    window: tuple[int, int, int, int] | None = None,
    **options: Any,
) -> Iterator[DatasetReader]:
    """The raster as it would be converted, values chosen unless told otherwise."""
    with rasterio.open(path) as dataset:
        warp = warp_for(dataset, CogOptions(**{"resampling": "nearest", **options}), "categorical")
        assert warp is not None
        with warped(dataset, warp, nodata=nodata, window=window) as view:
            yield view


def assert_control_points_agree(source: DatasetReader, view: DatasetReader, *, all_valid: bool = True) -> int:
    """Each pixel centre of the view shows the source's pixel there; how many lie within the source.

    pyproj says where "there" is, without GDAL's warp. Points next to an edge of pixels are left out.
    """
    columns, rows = numpy.meshgrid(numpy.arange(view.width) + 0.5, numpy.arange(view.height) + 0.5)
    a, b, c, d, e, f = tuple(view.transform)[:6]
    xs, ys = a * columns + b * rows + c, d * columns + e * rows + f
    if view.crs != source.crs:
        way = Transformer.from_crs(view.crs.to_wkt(), source.crs.to_wkt(), always_xy=True)
        xs, ys = way.transform(xs, ys)
    if source.crs and source.crs.is_geographic and source.bounds.right > 180:
        xs = xs % 360
    a, b, c, d, e, f = tuple(~source.transform)[:6]
    at, line = a * xs + b * ys + c, d * xs + e * ys + f
    clear = (numpy.abs(at - numpy.round(at)) > 1e-3) & (numpy.abs(line - numpy.round(line)) > 1e-3)
    inside = clear & (at > 0) & (line > 0) & (at < source.width) & (line < source.height)
    outside = clear & ~inside | ~numpy.isfinite(at)
    there = (slice(None), line[inside].astype(int), at[inside].astype(int))
    numpy.testing.assert_array_equal(view.read()[:, inside], source.read()[there])
    if all_valid:
        assert (view.dataset_mask()[inside] == 255).all()
    assert not view.dataset_mask()[outside].any()
    return int(inside.sum())


def ramp(dtype: str = "uint16", bands: int = 1, width: int = 64, height: int = 48) -> Any:
    """Every pixel of a band has a value of its own, none is 0."""
    count = bands * height * width
    return (numpy.arange(count).reshape(bands, height, width) + 1).astype(dtype)


def test_a_south_up_raster_is_turned_without_a_value_changing_its_place(tmp_path: Path) -> None:
    data = ramp(bands=2)
    path = write_raster(tmp_path / "a.tif", data, transform=SOUTH_UP)
    with shown(path) as view, rasterio.open(path) as source:
        numpy.testing.assert_array_equal(view.read(), data[:, ::-1, :])
        assert view.bounds.top == 5_000_480
        assert view.xy(0, 0) == source.xy(47, 0)
        assert view.xy(47, 63) == source.xy(0, 63)
        # It covers its grid: there is nothing to mask.
        assert [flag.name for flag in view.mask_flag_enums[0]] == ["all_valid"]


def test_turning_twice_is_where_it_began(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", transform=SOUTH_UP)
    with shown(path) as view:
        turned = view.read()
    again = write_raster(tmp_path / "b.tif", turned[:, ::-1, :], transform=SOUTH_UP)
    with shown(again) as view:
        numpy.testing.assert_array_equal(view.read(), turned)


def test_an_east_west_raster_is_turned(tmp_path: Path) -> None:
    data = ramp()
    path = write_raster(tmp_path / "a.tif", data, transform=Affine(-10, 0, 500_640, 0, -10, 5_000_480))
    with shown(path) as view:
        numpy.testing.assert_array_equal(view.read(), data[:, :, ::-1])


def test_a_rotated_raster_is_rectified_and_the_corners_of_its_box_are_masked(tmp_path: Path) -> None:
    turned = Affine.translation(500_000, 5_600_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    path = write_raster(tmp_path / "a.tif", ramp(), transform=turned)
    with shown(path) as view, rasterio.open(path) as source:
        assert assert_control_points_agree(source, view) > 2500
        assert view.dataset_mask()[0, 0] == 0


@pytest.mark.parametrize(
    ("crs", "transform", "target"),
    [
        ("EPSG:32632", from_origin(500_000, 5_600_000, 1000, 1000), "EPSG:3857"),
        ("EPSG:32632", from_origin(500_000, 5_600_000, 1000, 1000), "EPSG:4326"),
        ("EPSG:4326", from_bounds(5, 45, 15, 55, 64, 48), "EPSG:3035"),
        ("EPSG:32660", from_origin(660_000, 5_800_000, 1000, 1000), "EPSG:3857"),
        ("EPSG:32660", from_origin(660_000, 5_800_000, 1000, 1000), "EPSG:4326"),
        ("EPSG:4326", from_bounds(170, -20, 190, -5, 64, 48), "EPSG:3857"),
        ("EPSG:4326", from_bounds(0, -90, 360, 90, 64, 48), "EPSG:3857"),
        ("EPSG:4326", from_bounds(-180, -90, 180, 90, 64, 48), "EPSG:3857"),
        ("EPSG:4326", from_bounds(-180, 50, 180, 90, 64, 48), "EPSG:3413"),
        ("EPSG:3413", from_origin(-4e6, 3e6, 1e5, 1e5), "EPSG:4326"),
        ("EPSG:3031", from_origin(-4e6, 3e6, 1e5, 1e5), "EPSG:3857"),
        ("EPSG:3031", from_origin(-4e6, 3e6, 1e5, 1e5), "EPSG:3412"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_place_on_the_earth_keeps_its_value(
    tmp_path: Path, crs: str, transform: Affine, target: str
) -> None:
    path = write_raster(tmp_path / "a.tif", ramp(), crs=crs, transform=transform)
    with shown(path, target_crs=target) as view, rasterio.open(path) as source:
        assert assert_control_points_agree(source, view) > 1500


def test_no_edge_of_the_raster_is_lost(tmp_path: Path) -> None:
    data = ramp()
    path = write_raster(tmp_path / "a.tif", data)
    with shown(path, target_crs="EPSG:3857", resolution=3) as view:
        assert set(numpy.unique(data)) <= set(numpy.unique(view.read()))


def test_there_and_back_every_value_returns(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", ramp())
    with shown(path, target_crs="EPSG:3857", resolution=2) as view:
        rasterio.shutil.copy(view, tmp_path / "b.tif", driver="GTiff")
    with (
        shown(tmp_path / "b.tif", target_crs="EPSG:32632", resolution=10) as back,
        rasterio.open(path) as source,
    ):
        at = back.window(*source.bounds)
        numpy.testing.assert_array_equal(back.read(window=at), source.read())


@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average", "mode", "lanczos"])
def test_other_kernels_are_gdals(tmp_path: Path, resampling: str) -> None:
    data = (100 * numpy.random.default_rng(1).random((1, 48, 64))).astype("float32")
    path = write_raster(tmp_path / "a.tif", data, nodata=-1)
    with shown(path, target_crs="EPSG:3857", resampling=resampling, nodata=-1) as view:
        expected = numpy.full(view.shape, -1, "float32")
        with rasterio.open(path) as source:
            reproject(
                rasterio.band(source, 1),
                expected,
                src_nodata=-1,
                dst_nodata=-1,
                dst_crs=view.crs,
                dst_transform=view.transform,
                resampling=Resampling[resampling],
                tolerance=0.001,
            )
        # A hundredth of a pixel is what a position may be off.
        numpy.testing.assert_allclose(view.read(1), expected, atol=3)


def test_ground_control_points_place_the_pixels_and_are_gone_afterwards(tmp_path: Path) -> None:
    to_place = Affine(0.01, 0.002, 10, -0.002, -0.01, 50)
    gcps = [
        GroundControlPoint(row, column, *(to_place @ (column, row))) for row in (0, 48) for column in (0, 64)
    ]
    path = write_raster(tmp_path / "a.tif", ramp(), transform=None, crs="EPSG:4326", gcps=gcps)
    with rasterio.open(
        write_raster(tmp_path / "same.tif", ramp(), transform=to_place, crs="EPSG:4326")
    ) as same:
        with shown(path) as view:
            assert view.gcps[0] == []
            assert assert_control_points_agree(same, view) > 2500
        with shown(path, target_crs="EPSG:3857") as view:
            assert assert_control_points_agree(same, view) > 2500


@pytest.mark.parametrize("target", ["same", "EPSG:32632"])
def test_without_nodata_what_lies_outside_of_the_raster_is_masked_and_zero_is_a_value(
    tmp_path: Path, target: str
) -> None:
    transform = from_bounds(9, 50, 10, 51, 64, 48) if target != "same" else None
    turned = Affine(10, 2, 500_000, 2, -10, 5_600_000)
    path = write_raster(
        tmp_path / "a.tif",
        numpy.zeros((2, 48, 64), "int8"),
        crs="EPSG:4326" if transform else "EPSG:32632",
        transform=transform or turned,
    )
    with shown(path, target_crs=target) as view, rasterio.open(path) as source:
        assert view.count == 2
        assert view.nodata is None
        assert [flag.name for flag in view.mask_flag_enums[0]] == ["per_dataset"]
        assert set(numpy.unique(view.dataset_mask())) == {0, 255}
        assert_control_points_agree(source, view)


def test_nodata_stands_for_what_is_outside_and_for_what_was_none(tmp_path: Path) -> None:
    data = ramp("int16")
    data[0, 10:20, 10:20] = -5
    path = write_raster(tmp_path / "a.tif", data, nodata=-5)
    with shown(path, target_crs="EPSG:4326", nodata=-9) as view:
        assert view.nodata == -9
        out = view.read(1)
        assert -5 not in out
        assert (out == -9).sum() > 100
        assert out[0, 0] == -9


def test_nodata_of_the_source_becomes_a_mask_when_none_is_wanted(tmp_path: Path) -> None:
    data = ramp("int16")
    data[0, 10:40, 10:40] = -5
    path = write_raster(tmp_path / "a.tif", data, nodata=-5)
    with shown(path, target_crs="EPSG:4326") as view:
        assert view.nodata is None
        masked = view.dataset_mask() == 0
        assert masked[view.height // 2, view.width // 2]
        assert -5 not in view.read(1)[~masked]


def test_not_a_number_is_no_data(tmp_path: Path) -> None:
    data = ramp("float32")
    data[0, 10:40, 10:40] = math.nan
    path = write_raster(tmp_path / "a.tif", data, nodata=math.nan)
    with shown(path, target_crs="EPSG:4326", resampling="bilinear", nodata=math.nan) as view:
        assert view.nodata is not None
        assert math.isnan(view.nodata)
        out = view.read(1)
        assert numpy.isnan(out[0, 0])
        assert numpy.isnan(out[view.height // 2, view.width // 2])
        assert numpy.nanmax(out) <= data[~numpy.isnan(data)].max()


def test_nan_that_nobody_declared_does_not_spread_and_is_masked(tmp_path: Path) -> None:
    data = ramp("float32")
    data[0, 20, 20] = math.nan
    path = write_raster(tmp_path / "a.tif", data)
    with shown(path, target_crs="EPSG:3857", resampling="cubic") as view:
        assert not numpy.isnan(view.read(1)).any()
        masked = view.dataset_mask()[5:-5, 5:-5] == 0
        assert 1 <= masked.sum() <= 2
    # Chosen, it stays what it is.
    with shown(path, target_crs="EPSG:3857") as view:
        assert 1 <= numpy.isnan(view.read(1)).sum() <= 2


def test_a_band_without_data_does_not_spoil_the_others(tmp_path: Path) -> None:
    data = ramp("int16", bands=2)
    data[0, 10:40, 10:40] = -5
    path = write_raster(tmp_path / "a.tif", data, nodata=-5)
    with shown(path, target_crs="EPSG:4326", resampling="bilinear", nodata=-5) as view:
        one, two = view.read()
        middle = (view.height // 2, view.width // 2)
        assert one[middle] == -5
        assert two[middle] > 3000
        # Nothing of -5 was mixed into a neighbour.
        assert one[one != -5].min() >= 1


def test_a_mask_goes_along(tmp_path: Path) -> None:
    mask = numpy.full((48, 64), 255, "uint8")
    mask[10:40, 10:40] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        path = write_raster(tmp_path / "a.tif", ramp(), transform=Affine(10, 2, 500_000, 2, -10, 5_600_000))
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
    with shown(path) as view, rasterio.open(path) as source:
        at = source.index(*view.xy(view.height // 2, view.width // 2))
        assert 12 < at[0] < 38
        assert 12 < at[1] < 38
        assert view.dataset_mask()[view.height // 2, view.width // 2] == 0
        assert 1500 < (view.dataset_mask() == 255).sum() < 64 * 48 - 700


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_alpha_stays_alpha_with_its_levels(tmp_path: Path, dtype: str) -> None:
    opaque = numpy.iinfo(dtype).max
    data = numpy.full((4, 48, 64), 7, dtype)
    data[3] = opaque
    data[3, :, :32] = opaque // 2
    path = write_raster(
        tmp_path / "a.tif",
        data,
        transform=Affine(10, 2, 500_000, 2, -10, 5_600_000),
        photometric="RGB",
        alpha="yes",
    )
    with shown(path) as view:
        assert view.colorinterp[3] is ColorInterp.alpha
        assert view.count == 4
        assert set(numpy.unique(view.read(4))) == {0, opaque // 2, opaque}
        assert (view.read(1)[view.read(4) > 0] == 7).all()
        assert view.read(4)[0, 0] == 0


def test_what_the_source_says_of_its_bands_goes_along(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", ramp("uint8"), transform=SOUTH_UP)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (1, 2, 3, 255), 7: (40, 50, 60, 255)})
        dataset.descriptions = ("land & cover",)
        dataset.scales, dataset.offsets, dataset.units = (0.5,), (-3.25,), ("m",)
        dataset.update_tags(AUTHOR="<me>", AREA_OR_POINT="Point")
        dataset.update_tags(1, SENSOR="a", STATISTICS_MEAN="5")
    with shown(path) as view:
        assert view.colormap(1)[7] == (40, 50, 60, 255)
        assert view.colorinterp == (ColorInterp.palette,)
        assert (view.descriptions, view.units) == (("land & cover",), ("m",))
        assert (view.scales, view.offsets) == ((0.5,), (-3.25,))
        assert view.tags()["AUTHOR"] == "<me>"
        assert view.tags(1) == {"SENSOR": "a"}


@pytest.mark.parametrize("resampling", ["nearest", "bilinear"])
def test_a_window_has_the_pixels_of_the_whole(tmp_path: Path, resampling: str) -> None:
    data = numpy.random.default_rng(1).integers(1, 60_000, (1, 700, 900)).astype("uint16")
    path = write_raster(tmp_path / "a.tif", data)
    with shown(path, target_crs="EPSG:3857", resampling=resampling) as whole:
        pixels, mask = whole.read(), whole.dataset_mask()
        corner = whole.xy(37, 501, offset="ul")
    with shown(path, target_crs="EPSG:3857", resampling=resampling, window=(501, 37, 200, 600)) as part:
        assert part.shape == (600, 200)
        numpy.testing.assert_array_equal(part.read(), pixels[:, 37:637, 501:701])
        numpy.testing.assert_array_equal(part.dataset_mask(), mask[37:637, 501:701])
        assert (part.transform.c, part.transform.f) == pytest.approx(corner)


def test_blocks_are_smaller_where_pixels_are_made_of_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.ones((1, 2048, 2048), "uint8"))
    with rasterio.open(path) as dataset:
        warp = warp_for(dataset, CogOptions(resolution=[40, 40]), "categorical")
    assert warp is not None

    def block(memory: int) -> tuple[int, int]:
        monkeypatch.setattr(warping, "WARP_MEMORY", memory)
        with rasterio.open(path) as dataset, warped(dataset, warp, nodata=None) as view:
            assert (view.read() == 1).all()
            layer = warping._layer(dataset, placement(dataset, None), warp, None)
            return layer.block, int(layer.memory)

    assert block(100_000_000) == (512, 100_000_000)
    assert block(2_000_000) == (64, 2_000_000)
    with pytest.raises(PermanentTaskError, match=r"^resolution: a pixel of the output is made of 4 × 4 of"):
        block(300)


def test_blocks_over_a_pole_that_need_whole_rows_are_smaller(tmp_path: Path) -> None:
    def block(west: float, east: float) -> int:
        path = tmp_path / f"{east}.tif"
        profile = {"driver": "GTiff", "count": 1, "dtype": "float32", "SPARSE_OK": True, "tiled": True}
        size = {
            "width": 129_600,
            "height": 32_400,
            "transform": from_bounds(west, 0, east, 90, 129_600, 32_400),
        }
        with rasterio.open(path, "w", crs="EPSG:4326", **profile, **size):
            pass
        with rasterio.open(path) as dataset:
            warp = warp_for(dataset, CogOptions(target_crs="EPSG:3413"), "continuous")
            assert warp is not None
            return warping._block(dataset, placement(dataset, None), warp)

    assert block(-180, 100) == 512
    assert block(-180, 180) <= 256


def test_the_warped_raster_becomes_a_cog_with_its_mask(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((3, 48, 64), "uint8"), photometric="RGB")
    with shown(path, target_crs="EPSG:3857") as view:
        mask = view.dataset_mask()
        rasterio.shutil.copy(view, tmp_path / "cog.tif", driver="COG")
    with rasterio.open(tmp_path / "cog.tif") as cog:
        assert cog.count == 3
        numpy.testing.assert_array_equal(cog.dataset_mask(), mask)
        assert 0 < (mask == 0).sum() < mask.size / 2
