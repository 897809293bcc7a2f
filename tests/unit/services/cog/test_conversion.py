"""What a conversion keeps: everything that a raster says of itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import numpy
import pytest
import rasterio
import rasterio.shutil
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.transform import Affine

from interfaces.errors import ContractViolation, PermanentTaskError, TaskCancelled
from interfaces.rasters import OverviewResampling
from services.cog.conversion import convert
from tests.unit.services.rasters import write_raster

from .making import cog_of, make, plan_of

BIG = numpy.arange(700 * 600, dtype="uint16").reshape(1, 700, 600)


@pytest.mark.parametrize("resampling", get_args(OverviewResampling))
def test_overviews_are_made_by_each_resampling_that_can_be_asked_for(tmp_path: Path, resampling: str) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)

    with cog_of(path, profile={"overview_resampling": resampling}) as cog:
        assert cog.overviews(1) == [2]


DATA_TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64"]


@pytest.mark.parametrize("dtype", [*DATA_TYPES, "float32", "float64", "complex64", "complex128"])
def test_pixels_of_every_data_type_are_kept(tmp_path: Path, dtype: str) -> None:
    data = (BIG % 120).astype(dtype)

    with cog_of(write_raster(tmp_path / "a.tif", data)) as cog:
        assert cog.dtypes == (dtype,)
        assert numpy.array_equal(cog.read(), data)
        assert cog.overviews(1) == [2]


@pytest.mark.parametrize("compression", ["deflate", "zstd", "lerc", "lzw", "none"])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_every_lossless_compression_keeps_pixels(tmp_path: Path, compression: str, dtype: str) -> None:
    path = write_raster(tmp_path / "a.tif", BIG.astype(dtype))

    with cog_of(path, profile={"compression": compression, "block_size": 256}) as cog:
        stored = cog.tags(ns="IMAGE_STRUCTURE").get("COMPRESSION", "NONE")
        assert stored == compression.upper()
        assert cog.block_shapes == [(256, 256)]
        assert numpy.array_equal(cog.read(), BIG.astype(dtype))


@pytest.mark.parametrize(("width", "height"), [(5000, 1), (3, 5000), (2, 600), (1, 512), (1, 1), (513, 513)])
def test_thin_and_tiny_rasters_become_valid(tmp_path: Path, width: int, height: int) -> None:
    data = numpy.arange(width * height, dtype="uint32").reshape(1, height, width)

    with cog_of(write_raster(tmp_path / "a.tif", data)) as cog:
        assert numpy.array_equal(cog.read(), data)
        assert bool(cog.overviews(1)) == (max(width, height) > 512)


def test_overviews_of_the_source_are_not_trusted(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG % 200)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2], rasterio.enums.Resampling.nearest)
        dataset.write(numpy.zeros_like(BIG))

    with cog_of(path) as cog, rasterio.open(cog.name, OVERVIEW_LEVEL=0) as overview:
        assert overview.read().max() == 0


def test_nodata_of_numbers_and_of_nan(tmp_path: Path) -> None:
    floats = BIG.astype("float32")
    floats[0, :9] = numpy.nan

    with cog_of(write_raster(tmp_path / "a.tif", BIG, nodata=7)) as cog:
        assert cog.nodata == 7
    with cog_of(write_raster(tmp_path / "b.tif", floats, nodata=numpy.nan)) as cog:
        assert numpy.isnan(cog.nodata)
        assert numpy.isnan(cog.read()[0, :9]).all()
        assert (cog.read_masks(1)[:9] == 0).all()


def test_nan_without_nodata_stays_without(tmp_path: Path) -> None:
    floats = BIG.astype("float64")
    floats[0, :9] = numpy.nan

    with cog_of(write_raster(tmp_path / "a.tif", floats)) as cog:
        assert cog.nodata is None
        assert numpy.isnan(cog.read()[0, :9]).all()


@pytest.mark.parametrize("internal", ["YES", "NO"])
def test_a_mask_inside_or_beside_the_file_is_inside_the_cog(tmp_path: Path, internal: str) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    mask = numpy.where(BIG[0] % 3 == 0, 0, 255).astype("uint8")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=internal), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)
    assert (tmp_path / "a.tif.msk").exists() == (internal == "NO")

    with cog_of(path) as cog:
        assert [flag.name for flag in cog.mask_flag_enums[0]] == ["per_dataset"]
        assert numpy.array_equal(cog.read_masks(1), mask)
        assert cog.files == [cog.name]


def test_an_alpha_band_stays_one(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(0, 255, (4, 600, 600)).astype("uint8")

    with cog_of(write_raster(tmp_path / "a.tif", data, photometric="rgb", alpha="yes")) as cog:
        assert cog.colorinterp == (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
        assert numpy.array_equal(cog.read(), data)


def test_a_colour_table_is_kept_and_its_overviews_invent_no_index(tmp_path: Path) -> None:
    data = numpy.where((numpy.indices((700, 600)).sum(axis=0) // 3) % 2, 1, 9).astype("uint8")[None]
    path = write_raster(tmp_path / "a.tif", data, photometric="palette")
    colors = {1: (1, 2, 3, 255), 9: (4, 5, 6, 255)}
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colors)

    with cog_of(path) as cog:
        found = cog.colormap(1)
        assert {index: found[index] for index in colors} == colors
        with rasterio.open(cog.name, OVERVIEW_LEVEL=0) as overview:
            assert set(numpy.unique(overview.read())) == {1, 9}


def test_continuous_overviews_are_averages(tmp_path: Path) -> None:
    data = numpy.tile(numpy.array([[0, 10], [20, 30]], "float32"), (300, 300))[None]

    with (
        cog_of(write_raster(tmp_path / "a.tif", data)) as cog,
        rasterio.open(cog.name, OVERVIEW_LEVEL=0) as o,
    ):
        assert numpy.unique(o.read()).tolist() == [15.0]


def test_scale_offset_units_descriptions_and_tags_are_kept(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.stack([BIG[0], BIG[0]]))
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets, dataset.units = (0.1, 2.0), (5.0, 0.0), ("m", "K")
        dataset.set_band_description(1, "height")
        dataset.update_tags(AREA_OR_POINT="Point", TIFFTAG_DATETIME="2020:01:02 03:04:05", mine="yes")
        dataset.update_tags(2, STATISTICS_MAXIMUM="59", wavelength="0.6")

    with cog_of(path) as cog:
        assert (cog.scales, cog.offsets, cog.units) == ((0.1, 2.0), (5.0, 0.0), ("m", "K"))
        assert cog.descriptions == ("height", None)
        assert cog.tags() == {
            "AREA_OR_POINT": "Point",
            "TIFFTAG_DATETIME": "2020:01:02 03:04:05",
            "mine": "yes",
        }
        assert cog.tags(2) == {"STATISTICS_MAXIMUM": "59", "wavelength": "0.6"}
        with rasterio.open(path) as source:
            assert cog.transform == source.transform
            assert cog.crs == source.crs


def test_lineage_is_added_to_the_tags(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(mine="yes", SOURCE="old")

    with cog_of(path, lineage={"SOURCE": "bronze/a.tif <&>", "ETAG": '"0x8"'}) as cog:
        tags = cog.tags()
        assert (tags["mine"], tags["SOURCE"], tags["ETAG"]) == ("yes", "bronze/a.tif <&>", '"0x8"')


def test_lineage_of_a_raster_without_tags(tmp_path: Path) -> None:
    png = tmp_path / "a.png"
    rasterio.shutil.copy(write_raster(tmp_path / "a.tif", BIG, crs=None, transform=None), png, driver="PNG")

    with cog_of(png, lineage={"SOURCE": "b"}) as cog:
        assert cog.tags()["SOURCE"] == "b"


def test_an_icc_profile_is_kept(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(0, 255, (3, 600, 600)).astype("uint8")
    profile = "AAAAAAAA"
    path = write_raster(tmp_path / "a.tif", data, photometric="rgb", SOURCE_ICC_PROFILE=profile)
    with rasterio.open(path) as source:
        assert source.tags(ns="COLOR_PROFILE")["SOURCE_ICC_PROFILE"] == profile

    with cog_of(path) as cog:
        assert cog.tags(ns="COLOR_PROFILE")["SOURCE_ICC_PROFILE"] == profile


def test_control_points_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    points = [
        GroundControlPoint(row=r, col=c, x=10 + c / 700, y=50 - r / 700, z=1 / 3)
        for r, c in ((0, 1 / 3), (1 / 7, 600), (700, 0))
    ]
    path = write_raster(tmp_path / "a.tif", BIG, crs=None, transform=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, CRS.from_epsg(4326))

    with cog_of(path, placement="keep") as cog:
        found, crs = cog.gcps
        assert [(p.row, p.col, p.x, p.y, p.z) for p in found] == [
            (p.row, p.col, p.x, p.y, p.z) for p in points
        ]
        assert crs == CRS.from_epsg(4326)


def test_rational_polynomials_are_kept_where_that_is_asked(tmp_path: Path) -> None:
    ones = [1.0] + [0.0] * 19
    rpcs = RPC(
        height_off=1, height_scale=2, lat_off=3, lat_scale=4, line_den_coeff=ones, line_num_coeff=ones,
        line_off=5, line_scale=6, long_off=7, long_scale=8, samp_den_coeff=ones, samp_num_coeff=ones,
        samp_off=9, samp_scale=10,
    )  # fmt: skip
    path = write_raster(tmp_path / "a.tif", BIG, crs=None, transform=None, rpcs=rpcs)

    with cog_of(path, placement="keep") as cog:
        assert cog.rpcs is not None
        assert (cog.rpcs.lat_off, cog.rpcs.samp_scale, cog.rpcs.line_num_coeff) == (3, 10, ones)


@pytest.mark.parametrize("tiles", [False, True])
def test_a_rotated_raster_stays_rotated_where_that_is_asked(tmp_path: Path, tiles: bool) -> None:
    turned = Affine.translation(500_000, 5_600_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    path = write_raster(tmp_path / "a.tif", BIG, transform=turned)
    plan = plan_of(path, placement="keep", profile={"block_size": 256})

    assert plan.lossless
    with rasterio.open(make(plan.model_copy(update={"tile_size": 256 if tiles else None}), path)) as cog:
        assert tuple(cog.transform) == pytest.approx(tuple(turned))
        assert numpy.array_equal(cog.read(), BIG)


def test_control_points_are_kept_by_tiles(tmp_path: Path) -> None:
    points = [GroundControlPoint(row=r, col=c, x=10 + c, y=50 - r) for r, c in ((0, 0), (0, 600), (700, 0))]
    path = write_raster(tmp_path / "a.tif", BIG, crs=None, transform=None)
    with rasterio.open(path, "r+") as dataset:
        dataset.gcps = (points, CRS.from_epsg(4326))
    plan = plan_of(path, placement="keep", profile={"block_size": 256})

    with rasterio.open(make(plan.model_copy(update={"tile_size": 256}), path)) as cog:
        assert [(p.row, p.col, p.x, p.y) for p in cog.gcps[0]] == [(p.row, p.col, p.x, p.y) for p in points]


def test_an_assumed_crs_is_assigned_without_moving_pixels(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, crs=None)

    with cog_of(path, assume_crs="EPSG:32632") as cog, rasterio.open(path) as source:
        assert cog.crs == CRS.from_epsg(32632)
        assert cog.transform == source.transform


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:31467", "EPSG:3857", "+proj=laea +lat_0=9 +lon_0=2"])
def test_x_comes_first_whatever_the_crs_says(tmp_path: Path, crs: str) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, crs=crs)
    without = write_raster(tmp_path / "b.tif", BIG, crs=None)

    with cog_of(path) as kept, cog_of(without, assume_crs=CRS.from_user_input(crs).to_wkt()) as assigned:
        assert kept.crs == assigned.crs == CRS.from_user_input(crs)
        assert kept.bounds == assigned.bounds


@pytest.mark.parametrize("driver", ["PNG", "JP2OpenJPEG", "HFA", "BMP", "GIF", "JPEG", "WEBP", "AAIGrid"])
def test_other_formats_are_converted_with_equal_pixels(tmp_path: Path, driver: str) -> None:
    bands = 3 if driver == "WEBP" else 1
    data = numpy.random.default_rng(1).integers(0, 255, (bands, 600, 600)).astype("uint8")
    path = tmp_path / f"a.{driver.lower()}"
    rasterio.shutil.copy(write_raster(tmp_path / "s.tif", data), path, driver=driver)

    plan = plan_of(path)

    assert plan.drivers == [driver]
    assert plan.lossless
    assert make(plan, path).exists()  # compares


def test_a_crs_that_a_tiff_cannot_hold_is_an_error_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, crs=None)
    plan = plan_of(path, assume_crs="+proj=airy +lat_0=9")
    folder = tmp_path / "made"
    folder.mkdir()

    with pytest.raises(PermanentTaskError, match="the CRS cannot be stored in a GeoTIFF"):
        convert(plan, [str(path)], str(folder / "cog.tif"), threads=1)
    assert not list(folder.glob("*.xml"))


def test_a_broken_block_is_a_permanent_error_that_names_it(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", BIG, compress="deflate", tiled=True, blockxsize=256, blockysize=256
    )
    with rasterio.open(path) as dataset:
        offset = int(dataset.get_tag_item("BLOCK_OFFSET_1_1", "TIFF", bidx=1))
    plan = plan_of(path)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\xff" * 64)

    with pytest.raises(PermanentTaskError, match="band 1: IReadBlock failed at X offset 1, Y offset 1"):
        convert(plan, [str(path)], str(tmp_path / "cog.tif"), threads=1)


def test_a_cancelled_conversion_leaves_no_documents(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    folder = tmp_path / "made"
    folder.mkdir()
    calls: list[int] = []

    def cancel() -> None:
        calls.append(1)
        if len(calls) == 2:
            raise TaskCancelled("stop")

    with pytest.raises(TaskCancelled):
        convert(plan_of(path), [str(path)], str(folder / "cog.tif"), threads=1, check=cancel)
    assert os.listdir(folder) == []


def test_what_passes_through_is_not_converted(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    rasterio.shutil.copy(write_raster(tmp_path / "s.tif", BIG), path, driver="COG")

    with pytest.raises(ContractViolation):
        convert(plan_of(path), [str(path)], str(tmp_path / "cog.tif"), threads=1)


def test_a_file_of_several_rasters_is_refused_with_their_names(corpus: Path) -> None:
    path = corpus / "raster" / "developmentseed+rio-stac" / "dataset.h5"

    with pytest.raises(PermanentTaskError, match=r"3 rasters in it .*: //f16, //f32, //f64"):
        plan_of(path)
