"""Validation of what was written, and its description."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy
import pytest
import rasterio

from interfaces.conversions import Grid
from interfaces.errors import PermanentTaskError
from services.cog.validation import InvalidCog, describe_cog, validate
from tests.unit.services.rasters import write_raster

from .making import make, plan_of

BIG = numpy.arange(700 * 600, dtype="uint16").reshape(1, 700, 600)


def test_what_was_made_is_valid(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)

    validate(str(make(plan_of(path), path)))


def test_errors_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidCog, match="is not tiled"):
        validate(str(write_raster(tmp_path / "a.tif", BIG)))


def test_warnings_are_errors(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, tiled=True, blockxsize=256, blockysize=256)

    with pytest.raises(InvalidCog, match="recommended to include internal overviews"):
        validate(str(path))


def test_a_cog_that_was_changed_afterwards_is_invalid(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG)
    made = make(plan_of(path), path)
    with rasterio.open(made, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as dataset:
        dataset.update_tags(a="b")

    with pytest.raises(InvalidCog, match="invalidated by later changes"):
        validate(str(made))


def test_what_is_no_raster_is_a_permanent_error(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"no raster")

    with pytest.raises(PermanentTaskError, match="validating the COG"):
        validate(str(tmp_path / "a.tif"))


def test_the_description_of_a_cog(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, nodata=7)
    made = make(plan_of(path), path)

    found = describe_cog(str(made))

    assert found.grid == Grid(
        crs="EPSG:32632", transform=[10, 0, 500_000, 0, -10, 5_600_000], width=600, height=700
    )
    assert (found.band_count, found.dtype, found.nodata) == (1, "uint16", 7)
    assert (found.overviews, found.compression) == ([2], "DEFLATE")
    assert found.size == made.stat().st_size
    assert found.md5 == hashlib.md5(made.read_bytes(), usedforsecurity=False).hexdigest()


@pytest.mark.parametrize(
    ("crs", "said"), [(None, None), ("+proj=laea +lat_0=10 +lon_0=20 +datum=WGS84", "PROJCRS[")]
)
def test_the_description_of_a_crs_without_a_code(tmp_path: Path, crs: str | None, said: str | None) -> None:
    path = write_raster(tmp_path / "a.tif", BIG, crs=crs)

    found = describe_cog(str(make(plan_of(path), path))).grid.crs

    assert found is None if said is None else (found or "").startswith(said)
