"""Conversions by way of tiles end as the same raster as those at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from interfaces.conversions import ConversionPlan
from interfaces.errors import ContractViolation
from services.cog.conversion import assemble, convert_tile, overview_factors
from tests.unit.services.rasters import write_raster

from .making import make, plan_of

WIDTH, HEIGHT = 1300, 1100


def pixels(dtype: str = "uint8", bands: int = 1, most: int = 250) -> Any:
    return numpy.random.default_rng(1).integers(1, most, (bands, HEIGHT, WIDTH)).astype(dtype)


def both(path: Path, *, full_width: bool = False, **options: Any) -> tuple[Path, Path]:
    """At once, and in tiles of 512 pixels, or of 512 rows."""
    profile = {"block_size": 128, **options.pop("profile", {})}
    plan = plan_of(path, profile=profile, **options)
    whole = make(plan, path).rename(path.parent / "whole.tif")
    tiled = plan.model_copy(update={"tile_size": 512, "full_width_tiles": full_width})
    assert tiled.tiles == (3 if full_width else 9)
    return whole, make(tiled, path, {"A": "b"})


def levels(path: Path) -> list[Any]:
    """Masked pixels of the image and of each overview."""
    with rasterio.open(path) as dataset:
        count = len(dataset.overviews(1))
        found = [dataset.read(masked=True)]
    for level in range(count):
        with rasterio.open(path, OVERVIEW_LEVEL=level) as overview:
            found.append(overview.read(masked=True))
    return found


@pytest.mark.parametrize("full_width", [False, True], ids=["square", "full width"])
@pytest.mark.parametrize("resampling", ["nearest", "average", "mode", "cubic"])
def test_pixels_and_overviews_are_those_of_a_conversion_at_once(
    tmp_path: Path, resampling: str, full_width: bool
) -> None:
    path = write_raster(tmp_path / "a.tif", pixels(), nodata=0)

    whole, tiled = both(path, full_width=full_width, profile={"overview_resampling": resampling})

    one, other = levels(whole), levels(tiled)
    assert numpy.array_equal(one[0], other[0])
    assert len(one) == len(other) == 5
    for level, (a, b) in enumerate(zip(one, other, strict=True)):
        # A level of an odd size may end with one pixel more, which covers what is left.
        height, width = min(a.shape[1], b.shape[1]) - 1, min(a.shape[2], b.shape[2]) - 1
        assert abs(a.shape[1] - b.shape[1]) <= 1
        assert abs(a.shape[2] - b.shape[2]) <= 1
        if level and resampling != "mode":
            difference = numpy.abs(a[:, :height, :width].astype(int) - b[:, :height, :width].astype(int))
            assert numpy.median(difference) <= (60 if resampling == "nearest" else 30)


def test_masks_and_their_overviews_go_through_tiles(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels())
    mask = numpy.full((HEIGHT, WIDTH), 255, "uint8")
    mask[:, 700:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)

    _, tiled = both(path)

    for level in levels(tiled):
        hidden = numpy.ma.getmaskarray(level)[0]
        assert hidden[:, : int(0.5 * hidden.shape[1])].sum() == 0
        assert hidden[:, int(0.6 * hidden.shape[1]) :].all()


def test_averages_of_tiles_are_exact(tmp_path: Path) -> None:
    data = numpy.tile(numpy.array([[0, 10], [20, 30]], "float32"), (HEIGHT // 2, WIDTH // 2))[None]

    _, tiled = both(write_raster(tmp_path / "a.tif", data))

    for level in levels(tiled)[1:]:
        assert numpy.unique(level[:, :-1, :-1]).tolist() == [15.0]


@pytest.mark.parametrize(("corner", "nodata"), [(1, "keep"), (3, "keep"), (1, "mask")])
def test_a_last_tile_of_hardly_any_pixels_is_in_all_overviews(
    tmp_path: Path, corner: int, nodata: str
) -> None:
    """As of 2^n + 1 pixels, common for elevations; GDAL makes no two overviews of a single pixel."""
    data = numpy.full((1, 1024 + corner, 1024 + corner), 9, "uint8")
    data[:, 1024:, 1024:] = 5
    path = write_raster(tmp_path / "a.tif", data, nodata=0)
    plan = plan_of(path, profile={"block_size": 128, "overview_resampling": "average"}, nodata=nodata)

    tiled = make(plan.model_copy(update={"tile_size": 512}), path)

    for factor, level in zip([1, 2, 4, 8, 16], levels(tiled), strict=False):
        assert level[0, 0, 0] == level[0, -1, 0] == level[0, 0, -1] == 9
        assert not numpy.ma.getmaskarray(level).any()
        if nodata == "keep":
            assert level.shape[1] == -(-data.shape[1] // factor)
            assert level[0, -1, -1] == 5


def test_everything_that_a_raster_says_goes_through_tiles(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels(bands=3), photometric="rgb", SOURCE_ICC_PROFILE="AAAAAAAA")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(AREA_OR_POINT="Point", mine="yes")
        dataset.update_tags(2, STATISTICS_MAXIMUM="59", wavelength="0.6")
        dataset.descriptions = ("one", None, "three")
        dataset.scales, dataset.offsets, dataset.units = (0.1 + 0.2,) * 3, (1 / 7,) * 3, ("m",) * 3

    whole, tiled = both(path)

    with rasterio.open(whole) as one, rasterio.open(tiled) as other:
        assert (one.scales, one.offsets) == ((0.1 + 0.2,) * 3, (1 / 7,) * 3)
        assert other.tags() == {**one.tags(), "A": "b"}
        for name in (
            "crs",
            "transform",
            "descriptions",
            "scales",
            "offsets",
            "units",
            "colorinterp",
            "nodata",
        ):
            assert getattr(one, name) == getattr(other, name), name
        assert one.tags(2) == other.tags(2) == {"STATISTICS_MAXIMUM": "59", "wavelength": "0.6"}
        assert one.tags(ns="COLOR_PROFILE") == other.tags(ns="COLOR_PROFILE")


def test_a_tile_is_a_raster_in_its_place(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels())
    plan = plan_of(path, profile={"block_size": 128}).model_copy(update={"tile_size": 512})

    convert_tile(plan, [str(path)], 5, str(tmp_path / "tile.tif"), threads=1)

    with rasterio.open(tmp_path / "tile.tif") as tile, rasterio.open(path) as source:
        assert numpy.array_equal(tile.read(), pixels()[:, 512:1024, 1024:])
        assert tile.block_shapes == [(128, 128)]
        assert tile.overviews(1) == [2, 4, 8, 15]  # of its width of 276 pixels, rounded
        assert tile.bounds.left == source.bounds.left + 1024 * 10
        assert tile.bounds.top == source.bounds.top - 512 * 10


@pytest.mark.parametrize(
    ("creation", "tile", "factors"),
    [
        ({"OVERVIEW_COUNT": "3", "OVERVIEW_RESAMPLING": "AVERAGE"}, 512, [2, 4, 8]),
        ({"OVERVIEW_COUNT": "3", "OVERVIEW_RESAMPLING": "CUBIC"}, 512, []),
        ({"OVERVIEW_COUNT": "9", "OVERVIEW_RESAMPLING": "MODE"}, 512, [2**level for level in range(1, 10)]),
        ({"OVERVIEW_COUNT": "10", "OVERVIEW_RESAMPLING": "MODE"}, 512, []),
        ({"OVERVIEWS": "NONE", "OVERVIEW_RESAMPLING": "MODE"}, 512, []),
        ({"OVERVIEW_COUNT": "3", "OVERVIEW_RESAMPLING": "AVERAGE"}, None, []),
    ],
)
def test_tiles_bring_overviews_where_neighbours_do_not_matter(
    tmp_path: Path, creation: dict[str, str], tile: int | None, factors: list[int]
) -> None:
    plan = plan_of(write_raster(tmp_path / "a.tif")).model_copy(
        update={"creation": creation, "tile_size": tile}
    )

    assert overview_factors(plan) == factors


def test_tiles_must_be_those_of_the_plan(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", pixels())
    plan: ConversionPlan = plan_of(path).model_copy(update={"tile_size": 512})

    with pytest.raises(ContractViolation, match="tile 9 of 9"):
        convert_tile(plan, [str(path)], 9, str(tmp_path / "tile.tif"), threads=1)
    with pytest.raises(ContractViolation, match="9 tiles are planned, 1 are given"):
        assemble(plan, [str(path)], str(tmp_path / "cog.tif"), threads=1)
