"""Plans: what a COG will be, or the precise reason why there can be none."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import rasterio.shutil
from rasterio.transform import Affine, from_origin

from interfaces.errors import PermanentTaskError
from services.cog.conversion import overview_factors
from tests.unit.services.rasters import write_raster

from .making import plan_of

BIG = numpy.arange(700 * 600, dtype="uint16").reshape(1, 700, 600)


def cog(path: Path, data: Any = BIG, **profile: Any) -> Path:
    source = write_raster(path.with_name(f"source-{path.name}"), data, **profile)
    rasterio.shutil.copy(source, path, driver="COG", COMPRESS="DEFLATE")
    return path


def test_the_plan_of_a_plain_raster(tmp_path: Path) -> None:
    plan = plan_of(write_raster(tmp_path / "a.tif", BIG, nodata=7))

    assert (plan.width, plan.height, plan.band_count, plan.dtype, plan.nodata) == (600, 700, 1, "uint16", 7)
    assert (plan.pass_through, plan.lossless, plan.warp, plan.tile_size) == (False, True, None, None)
    assert plan.drivers == ["GTiff"]
    assert plan.creation["COMPRESS"] == "DEFLATE"
    assert any(note.startswith("content continuous") for note in plan.notes)
    assert any(note.startswith("overviews by average") for note in plan.notes)
    assert plan.estimate.output_bytes == 600 * 700 * 2
    assert plan.estimate.memory_bytes > 0
    assert plan.estimate.scratch_bytes > 0


def test_a_valid_cog_of_which_nothing_is_asked_passes_through(tmp_path: Path) -> None:
    plan = plan_of(cog(tmp_path / "a.tif"))

    assert plan.pass_through
    assert plan.creation == {}


@pytest.mark.parametrize(
    "options",
    [
        {"datetime": "2020-01-01T00:00:00Z"},
        {"assume_crs": "EPSG:4326"},
        {"bands": [1]},
        {"data_type": "uint16"},
        {"resampling": "cubic"},
        {"profile": {}},
    ],
)
def test_options_that_would_change_no_byte_let_a_cog_pass(tmp_path: Path, options: dict[str, Any]) -> None:
    assert plan_of(cog(tmp_path / "a.tif"), **options).pass_through


@pytest.mark.parametrize(
    "options",
    [
        {"profile": {"compression": "zstd"}},
        {"profile": {"block_size": 256}},
        {"nodata": 0},
        {"nodata": "mask"},
        {"data_type": "float32"},
        {"bands": [1, 1]},
        {"scaling": {"from_range": [0, 1], "to_range": [0, 2]}},
    ],
)
def test_options_that_change_bytes_convert_even_a_valid_cog(tmp_path: Path, options: dict[str, Any]) -> None:
    assert not plan_of(cog(tmp_path / "a.tif"), **options).pass_through


def test_a_cog_whose_layout_is_stale_is_converted(tmp_path: Path) -> None:
    path = cog(tmp_path / "a.tif")
    before = path.read_bytes()
    # What GDAL writes into the file when it changes it.
    after = before.replace(b"KNOWN_INCOMPATIBLE_EDITION=NO\n ", b"KNOWN_INCOMPATIBLE_EDITION=YES\n")
    assert after != before
    path.write_bytes(after)

    assert not plan_of(path).pass_through


def test_a_cog_with_something_beside_it_is_converted_so_that_this_is_not_lost(tmp_path: Path) -> None:
    path = cog(tmp_path / "a.tif")
    mask = write_raster(tmp_path / "mask.tif", numpy.full((1, 700, 600), 255, "uint8"))
    shutil.copy(mask, tmp_path / "a.tif.msk")

    assert not plan_of(path).pass_through


@pytest.mark.parametrize("profile", [{}, {"tiled": True, "blockxsize": 256, "blockysize": 256}])
def test_a_raster_without_overviews_or_of_strips_is_converted(
    tmp_path: Path, profile: dict[str, Any]
) -> None:
    assert not plan_of(write_raster(tmp_path / "a.tif", BIG, **profile)).pass_through


def test_a_small_raster_of_strips_is_converted_although_validation_lets_it_pass(tmp_path: Path) -> None:
    assert not plan_of(write_raster(tmp_path / "a.tif")).pass_through


def test_a_rotated_cog_passes_through_only_where_its_placement_is_kept(tmp_path: Path) -> None:
    turned = Affine.translation(500_000, 5_600_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    path = cog(tmp_path / "a.tif", transform=turned)

    assert plan_of(path, placement="keep").pass_through
    assert plan_of(path).warp is not None


def test_a_raster_without_a_crs_is_converted_with_a_note(tmp_path: Path) -> None:
    plan = plan_of(write_raster(tmp_path / "a.tif", crs=None))

    assert plan.assign_crs is None
    assert "the raster names no CRS, nor will its COG" in plan.notes


@pytest.mark.parametrize("options", [{"target_crs": "EPSG:3857"}, {"web_optimized": True}])
def test_a_raster_without_a_crs_cannot_be_warped(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(PermanentTaskError, match="missing CRS and no assume_crs"):
        plan_of(write_raster(tmp_path / "a.tif", crs=None), **options)


def test_an_assumed_crs_is_assigned_to_rasters_without_one_only(tmp_path: Path) -> None:
    without = plan_of(write_raster(tmp_path / "a.tif", crs=None), assume_crs="EPSG:32632")
    having = plan_of(write_raster(tmp_path / "b.tif"), assume_crs="EPSG:4326")

    assert (without.assign_crs, having.assign_crs) == ("EPSG:32632", None)


def test_a_band_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PermanentTaskError, match="there is no band 4, the raster has 1"):
        plan_of(write_raster(tmp_path / "a.tif"), bands=[1, 4])


def test_nodata_that_does_not_fit_the_new_type_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG.astype("int32"), nodata=-9999)

    with pytest.raises(PermanentTaskError, match="nodata -9999 does not fit data_type uint8"):
        plan_of(path, data_type="uint8")
    assert plan_of(path, data_type="uint8", nodata=0).nodata == 0
    assert plan_of(path, data_type="uint8", nodata="mask").nodata is None


def test_a_nodata_that_is_asked_for_must_fit(tmp_path: Path) -> None:
    with pytest.raises(PermanentTaskError, match="nodata: -1 does not fit uint16"):
        plan_of(write_raster(tmp_path / "a.tif"), nodata=-1)


@pytest.mark.parametrize(("value", "said"), [(numpy.nan, "nan"), (numpy.inf, "inf"), (-numpy.inf, "-inf")])
def test_nodata_without_a_number_in_json(tmp_path: Path, value: float, said: str) -> None:
    plan = plan_of(write_raster(tmp_path / "a.tif", BIG.astype("float32"), nodata=value))

    assert plan.nodata == said
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


def test_pages_that_are_not_converted_are_noted(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    note = "only the first of 2 rasters in the file is converted"
    assert note not in plan_of(path).notes

    rasterio.shutil.copy(path, path.with_name("b.tif"), driver="GTiff")
    rasterio.shutil.copy(path, path.with_name("b.tif"), driver="GTiff", APPEND_SUBDATASET="YES")

    assert note in plan_of(path.with_name("b.tif")).notes


def test_nodata_and_alpha_together_are_noted(tmp_path: Path) -> None:
    path = write_raster(
        tmp_path / "a.tif", numpy.ones((4, 33, 32), "uint8"), nodata=0, photometric="rgb", alpha="yes"
    )

    assert "both nodata and an alpha band are present" in plan_of(path).notes


def test_scaling_to_values_that_nodata_might_be_one_of_makes_a_mask(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", nodata=0)
    scaling = {"from_range": [0, 3000], "to_range": [0, 255]}

    assert plan_of(path, data_type="uint8", scaling=scaling).nodata is None
    scaling["to_range"] = [1, 255]
    assert plan_of(path, data_type="uint8", scaling=scaling).nodata == 0


@pytest.mark.parametrize(
    ("options", "lossless"),
    [
        ({}, True),
        ({"data_type": "uint32"}, True),
        ({"data_type": "float32"}, True),
        ({"data_type": "uint8"}, False),
        ({"data_type": "int16"}, False),
        ({"scaling": {"from_range": [0, 1], "to_range": [0, 2]}}, False),
        ({"profile": {"compression": "lerc", "max_z_error": 1}}, False),
    ],
)
def test_which_plans_keep_every_pixel(tmp_path: Path, options: dict[str, Any], lossless: bool) -> None:
    assert plan_of(write_raster(tmp_path / "a.tif"), **options).lossless is lossless


@pytest.mark.parametrize(
    ("block", "threshold", "tile"),
    [
        (512, 100_000_000, 8192),
        (256, 100_000_000, 8192),
        (384, 100_000_000, 6144),
        (4096, 100_000_000, 8192),
        (512, 10_000_000, 2048),
        (384, 10_000_000, 3072),
        (512, 4_194_304, 2048),
        (512, 4_194_303, 1024),
        (512, 1, 512),
        (4096, 10_000_000, 4096),
    ],
)
def test_above_the_threshold_tiles_are_of_whole_blocks_and_no_larger_than_the_threshold(
    tmp_path: Path, block: int, threshold: int, tile: int
) -> None:
    path = tmp_path / "a.tif"
    profile = {"width": 11_000, "height": 10_000, "count": 1, "dtype": "uint8", "driver": "GTiff"}
    place = from_origin(0, 0, 1, 1)
    with rasterio.open(path, "w", sparse_ok=True, tiled=True, transform=place, crs="EPSG:32632", **profile):
        pass

    plan = plan_of(path, chunk_threshold=threshold, profile={"block_size": block})

    assert plan.tile_size == tile
    assert plan_of(path, chunk_threshold=110_000_000).tile_size is None


def in_strips(path: Path, width: int, height: int) -> Path:
    """A raster in strips of one line, of which nothing is written."""
    profile = {"width": width, "height": height, "count": 1, "dtype": "uint8", "driver": "GTiff"}
    place = {"transform": from_origin(500_000, 5_600_000, 1, 1), "crs": "EPSG:32632"}
    with rasterio.open(path, "w", sparse_ok=True, blockysize=1, bigtiff="YES", **place, **profile):
        pass
    return path


@pytest.mark.parametrize(
    ("width", "block", "threshold", "rows"),
    [
        (100_000, 512, 10**9, 512),
        (30_000, 512, 10**8, 2048),
        (30_000, 512, 30_000_000, 512),
        (100_000, 512, 1, 512),
        # More pixels than a square tile has, so that all nine overviews are made of whole pixels.
        (100_000, 384, 10**9, 1536),
        (100_000, 128, 10**9, 1024),
    ],
)
def test_rasters_in_wide_strips_are_cut_between_rows_of_blocks_only(
    tmp_path: Path, width: int, block: int, threshold: int, rows: int
) -> None:
    """So that no strip is decoded for many tiles."""
    path = in_strips(tmp_path / "a.tif", width, 11_000)

    plan = plan_of(path, chunk_threshold=threshold, profile={"block_size": block})

    assert (plan.tile_size, plan.full_width_tiles) == (rows, True)
    assert plan.tiles == -(-11_000 // rows)
    assert plan.window(1) == (0, rows, width, rows)
    assert plan.window(plan.tiles - 1) == (
        0,
        (plan.tiles - 1) * rows,
        width,
        11_000 - (plan.tiles - 1) * rows,
    )
    assert len(overview_factors(plan)) == int(plan.creation["OVERVIEW_COUNT"])
    assert any(note.startswith(f"converted in tiles of {rows} rows") for note in plan.notes)


def test_strips_that_a_tile_holds_or_that_are_warped_are_cut_into_squares(tmp_path: Path) -> None:
    narrow = plan_of(in_strips(tmp_path / "b.tif", 8000, 20_000), chunk_threshold=10**8)
    assert (narrow.tile_size, narrow.full_width_tiles) == (8192, False)
    warped = plan_of(
        in_strips(tmp_path / "c.tif", 30_000, 11_000), chunk_threshold=10**8, target_crs="EPSG:3857"
    )
    assert (warped.tile_size, warped.full_width_tiles) == (8192, False)


def test_what_cannot_be_read_in_parts_is_not_converted_in_tiles(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    rasterio.shutil.copy(write_raster(tmp_path / "a.tif", BIG), path, driver="PNG")

    plan = plan_of(path, chunk_threshold=10)

    assert plan.tile_size is None
    assert "converted at once, since PNG cannot be read in parts" in plan.notes


def test_more_memory_than_a_task_may_take_is_refused_with_what_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"width": 40_000, "height": 800, "count": 1, "dtype": "float64", "driver": "GTiff"}
    with rasterio.open(
        path,
        "w",
        sparse_ok=True,
        compress="deflate",
        blockysize=800,
        transform=from_origin(0, 0, 1, 1),
        **profile,
    ):
        pass

    with pytest.raises(PermanentTaskError, match=r"MB of memory.* blocks of the source are 40000 × 800"):
        plan_of(path, memory_limit=512 * 1024**2)
    assert plan_of(path, memory_limit=4 * 1024**3).notes


def test_more_temporary_space_than_a_task_may_take_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)

    with pytest.raises(PermanentTaskError, match="MB of temporary space, of 10 MB"):
        plan_of(path, scratch_limit=10 * 1024**2)
    assert plan_of(path, scratch_limit=100 * 1024**2).notes


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    profile = {"width": 60_000, "height": 60_000, "count": 9, "dtype": "uint8", "driver": "GTiff"}
    with rasterio.open(path, "w", sparse_ok=True, blockysize=60_000, compress="deflate", **profile):
        pass

    with pytest.raises(PermanentTaskError, match="decompression bomb"):
        plan_of(path)


@pytest.mark.parametrize(
    ("dtype", "nodata", "options", "noted"),
    [
        ("float32", None, {"data_type": "uint8"}, True),
        ("float32", -1.0, {"data_type": "int16"}, True),
        ("float32", None, {"scaling": {"from_range": [0, 1], "to_range": [0, 9]}}, True),
        ("float32", None, {}, False),
        ("float32", None, {"data_type": "float64"}, False),
        ("float32", numpy.nan, {"data_type": "uint8", "nodata": 0}, False),
        ("uint16", None, {"data_type": "uint8"}, False),
    ],
)
def test_nan_that_becomes_a_number_is_noted(
    tmp_path: Path, dtype: str, nodata: float | None, options: dict[str, Any], noted: bool
) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.ones((1, 33, 32), dtype), nodata=nodata)
    assert any("NaN" in note for note in plan_of(path, **options).notes) == noted


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int32"])
def test_large_integers_that_a_warp_rounds_are_noted(tmp_path: Path, dtype: str) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.ones((1, 33, 32), dtype))
    assert not any("2^53" in note for note in plan_of(path).notes)
    notes = plan_of(path, target_crs="EPSG:3857").notes
    assert any("2^53" in note for note in notes) == dtype.endswith("int64")
