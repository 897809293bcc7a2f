"""What alpha hides stays hidden, whichever bands are taken, and whatever stands for no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from rasterio.enums import ColorInterp

from interfaces.errors import PermanentTaskError
from services.cog.alpha import alpha_as_mask
from tests.unit.services.rasters import write_raster

from .making import cog_of, plan_of

RGBA = ["red", "green", "blue", "alpha"]
SPECTRAL = ["red", "green", "blue", "undefined", "alpha"]


@pytest.mark.parametrize(
    ("colors", "bands", "mask"),
    [
        (RGBA, None, None),
        (RGBA, [1, 2, 3, 4], None),
        (RGBA, [3, 2, 1, 4], None),
        (RGBA, [1, 4], None),
        (RGBA, [4], None),
        (RGBA, [1, 2, 3], 4),
        (RGBA, [4, 1, 2, 3], 4),
        (RGBA, [4, 4], None),
        (RGBA, [1, 2, 4], 4),
        (SPECTRAL, [1, 2, 3], 5),
        (SPECTRAL, [1, 2, 3, 5], None),
        (SPECTRAL, [3, 2, 1, 4, 5], None),
        (["red", "green", "blue"], [1], None),
    ],
)
def test_alpha_becomes_a_mask_where_it_would_be_none_any_more(
    colors: list[str], bands: list[int] | None, mask: int | None
) -> None:
    assert alpha_as_mask(colors, bands) == mask


def raster(path: Path, count: int = 4) -> tuple[Path, Any]:
    """Of random values above 9, of which alpha, the last band, hides a half; and where it does not."""
    data = numpy.random.default_rng(1).integers(10, 250, (count, 700, 600)).astype("uint8")
    data[-1] = numpy.where(data[0] % 2, 0, 200)
    write_raster(path, data, photometric="rgb", alpha="yes")
    with rasterio.open(path, "r+") as dataset:
        colors = [
            ColorInterp.red,
            ColorInterp.green,
            ColorInterp.blue,
            *[ColorInterp.undefined] * (count - 4),
        ]
        dataset.colorinterp = [*colors, ColorInterp.alpha]
    return path, data[-1] != 0


@pytest.mark.parametrize("tiles", [{}, {"chunk_threshold": 100_000, "profile": {"block_size": 128}}])
@pytest.mark.parametrize(
    "bands", [[1, 2, 3], [1], [4], [4, 1, 2, 3], [4, 1], [3, 2, 1, 4], [1, 2, 4], [1, 1]]
)
def test_any_bands_of_a_picture_with_alpha_show_what_it_showed(
    tmp_path: Path, bands: list[int], tiles: dict[str, Any]
) -> None:
    path, shown = raster(tmp_path / "a.tif")
    with cog_of(path, bands=bands, **tiles) as cog, rasterio.open(path) as source:
        for index, band in enumerate(bands, 1):
            if len(bands) > 1 and cog.colorinterp[index - 1] != ColorInterp.alpha:
                assert numpy.array_equal(cog.read_masks(index) != 0, shown)
            assert numpy.array_equal(cog.read(index)[shown], source.read(band)[shown])


@pytest.mark.parametrize("bands", [None, [1, 2, 3], [1, 2, 3, 5], [3, 2, 1, 4, 5], [5, 1]])
def test_alpha_beside_more_bands_than_colours_hides_as_much(tmp_path: Path, bands: list[int] | None) -> None:
    path, shown = raster(tmp_path / "a.tif", 5)
    with cog_of(path, bands=bands) as cog:
        if bands in ([1, 2, 3], [1, 2, 3, 5], [5, 1]):
            assert numpy.array_equal(cog.read_masks(cog.count if bands == [5, 1] else 1) != 0, shown)
        else:
            assert cog.colorinterp[4] == ColorInterp.alpha


@pytest.mark.parametrize("bands", [None, [1, 2, 3], [4, 1, 2, 3], [3, 2, 1, 4]])
def test_a_number_for_nodata_hides_what_alpha_hid(tmp_path: Path, bands: list[int] | None) -> None:
    path, shown = raster(tmp_path / "a.tif")
    with cog_of(path, bands=bands, nodata=7) as cog:
        assert cog.nodata == 7
        assert numpy.array_equal(cog.read_masks(2) != 0, shown)


def test_a_selection_without_alpha_is_warped_with_a_mask(tmp_path: Path) -> None:
    path, _ = raster(tmp_path / "a.tif")
    with cog_of(path, bands=[1, 2, 3], target_crs="EPSG:3035") as cog:
        assert cog.count == 3
        masks = cog.read_masks(1) != 0
        assert 0 < masks.sum() < masks.size


def test_a_selection_without_alpha_is_masked_in_a_jpeg(tmp_path: Path) -> None:
    path, shown = raster(tmp_path / "a.tif")
    with cog_of(path, bands=[1, 2, 3], profile={"compression": "jpeg"}) as cog:
        assert numpy.array_equal(cog.read_masks(1) != 0, shown)


def test_what_becomes_of_alpha_is_noted(tmp_path: Path) -> None:
    path, _ = raster(tmp_path / "a.tif")
    assert any("hidden by a mask" in note for note in plan_of(path, bands=[1, 2, 3]).notes)
    assert any("alpha hides became nodata 7" in note for note in plan_of(path, nodata=7).notes)


def test_alpha_is_not_taken_to_a_type_in_which_it_hides_nothing(tmp_path: Path) -> None:
    path, shown = raster(tmp_path / "a.tif")
    for options in ({}, {"bands": [2, 4]}, {"target_crs": "EPSG:3035"}):
        with pytest.raises(PermanentTaskError, match=r"data_type float32: alpha hides .* leave its band out"):
            plan_of(path, data_type="float32", **options)
    for bands, nodata in (([1, 2, 3], "keep"), (None, 7)):
        with cog_of(path, data_type="float32", bands=bands, nodata=nodata) as cog:
            assert numpy.array_equal(cog.read_masks(1) != 0, shown)
    with cog_of(path, data_type="uint16") as cog:
        assert numpy.array_equal(cog.read_masks(1) != 0, shown)
