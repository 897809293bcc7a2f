"""A comparison that finds every difference, and only differences."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import rasterio.shutil

from interfaces.errors import ContractViolation, TaskCancelled
from services.cog import fidelity
from services.cog.fidelity import PixelsDiffer, compare
from tests.unit.services.rasters import write_raster

from .making import go_on, plan_of

BIG = numpy.stack([numpy.arange(700 * 600, dtype="uint16").reshape(700, 600)] * 2)


def compared(
    tmp_path: Path, one: Any, other: Any, *, nodata: Any = None, written_nodata: Any = "the same"
) -> None:
    """Compare a raster with the COG of another one."""
    if written_nodata == "the same":
        written_nodata = nodata
    path = write_raster(tmp_path / "a.tif", one, nodata=nodata)
    wrong = write_raster(tmp_path / "b.tif", other, nodata=written_nodata)
    rasterio.shutil.copy(wrong, tmp_path / "cog.tif", driver="COG")
    compare(plan_of(path), [str(path)], str(tmp_path / "cog.tif"), go_on)


def test_equal_pixels_pass(tmp_path: Path) -> None:
    compared(tmp_path, BIG, BIG)


@pytest.mark.parametrize("window_bytes", [1, 16 * 1024**2])
def test_the_first_pixel_that_differs_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window_bytes: int
) -> None:
    monkeypatch.setattr(fidelity, "WINDOW_BYTES", window_bytes)
    other = BIG.copy()
    other[1, 650, 599] = 3

    with pytest.raises(PixelsDiffer) as raised:
        compared(tmp_path, BIG, other)

    left, width = (512, 88) if window_bytes == 1 else (0, 600)
    assert f"value differs from the source's in band 2, window ({left}, 512, {width}, 188)" in str(
        raised.value
    )
    assert "in 1 pixels, first at column 599, row 650" in str(raised.value)
    assert f"expected {BIG[1, 650, 599]}, found 3" in str(raised.value)


def test_a_nodata_that_is_lost_is_a_difference(tmp_path: Path) -> None:
    with pytest.raises(PixelsDiffer, match=r"validity differs .* band 1"):
        compared(tmp_path, BIG, BIG, nodata=5, written_nodata=None)


def test_values_under_a_mask_may_differ(tmp_path: Path) -> None:
    mask = numpy.where(BIG[0] % 7 == 0, 0, 255).astype("uint8")
    path = write_raster(tmp_path / "a.tif", BIG)
    other = write_raster(tmp_path / "b.tif", numpy.where(mask, BIG, 9))
    for file in (path, other):
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(file, "r+") as dataset:
            dataset.write_mask(mask)
    rasterio.shutil.copy(other, tmp_path / "cog.tif", driver="COG")

    compare(plan_of(path), [str(path)], str(tmp_path / "cog.tif"), go_on)


def test_a_mask_that_is_lost_is_a_difference(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    rasterio.shutil.copy(path, tmp_path / "cog.tif", driver="COG")
    mask = numpy.full((700, 600), 255, "uint8")
    mask[3, 4] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)

    with pytest.raises(PixelsDiffer, match=r"validity differs .* first at column 4, row 3"):
        compare(plan_of(path), [str(path)], str(tmp_path / "cog.tif"), go_on)


@pytest.mark.parametrize("nodata", [None, numpy.nan])
def test_nan_equals_nan_and_nothing_else(tmp_path: Path, nodata: float | None) -> None:
    one = BIG.astype("float32")
    one[0, 5, 5] = numpy.nan
    compared(tmp_path, one, one, nodata=nodata)

    other = one.copy()
    other[0, 5, 5] = 0
    with pytest.raises(PixelsDiffer, match="first at column 5, row 5"):
        compared(tmp_path, one, other, nodata=nodata)


def test_a_missing_band_is_a_difference(tmp_path: Path) -> None:
    with pytest.raises(PixelsDiffer, match="expected 600 × 700 pixels, 2 bands of uint16, found"):
        compared(tmp_path, BIG, BIG[:1])


def test_plans_that_lose_pixels_are_not_compared(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)

    with pytest.raises(ContractViolation):
        compare(plan_of(path, data_type="uint8"), [str(path)], str(path), go_on)


def test_a_comparison_can_be_cancelled(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)

    def cancel() -> None:
        raise TaskCancelled("stop")

    with pytest.raises(TaskCancelled):
        compare(plan_of(path), [str(path)], str(path), cancel)
