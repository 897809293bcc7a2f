"""Rasters in strips that are wider than the cache, and bands that are more than GDAL takes at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import rasterio
from pydantic import ValidationError
from rasterio.transform import from_origin

from interfaces.conversions import ConversionPlan
from interfaces.errors import PermanentTaskError
from interfaces.settings import Settings
from services.cog import conversion
from services.cog.estimates import THREADS, cache_bytes, overview_chunk_bytes
from services.cog.resources import Resources

from .making import plan_of

MEGABYTE = 1024**2
LIMIT = 1024 * MEGABYTE


def planned(path: Path, **profile: Any) -> ConversionPlan:
    """The plan of a raster of which nothing is written."""
    given = {
        "driver": "GTiff",
        "height": 1100,
        "count": 1,
        "dtype": "uint16",
        "sparse_ok": True,
        "crs": "EPSG:32632",
        "transform": from_origin(0, 0, 10, 10),
    }
    with rasterio.open(path, "w", **(given | profile)):
        pass
    return plan_of(path, memory_limit=LIMIT)


def test_the_cache_holds_all_strips_of_a_row_of_blocks_of_the_cog(tmp_path: Path) -> None:
    plan = planned(tmp_path / "a.tif", width=200_000, blockysize=1)
    strips = 200_000 * 512 * 2
    assert plan.estimate.cache_bytes + cache_bytes(LIMIT) == strips + strips // 4
    assert plan.estimate.memory_bytes < LIMIT


def test_it_holds_their_mask_too(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    plain = planned(path, width=60_000, blockysize=1, count=2)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(True)
    masked = plan_of(path)
    mask = 60_000 * 512
    assert masked.estimate.cache_bytes - plain.estimate.cache_bytes == mask + mask // 4


@pytest.mark.parametrize(
    "profile",
    [{"width": 200_000, "tiled": True, "blockxsize": 512, "blockysize": 512}, {"width": 50_000}],
    ids=["tiles", "narrow strips"],
)
def test_it_is_of_its_usual_size_for_all_others(tmp_path: Path, profile: dict[str, Any]) -> None:
    assert planned(tmp_path / "a.tif", **profile).estimate.cache_bytes == 0


def test_strips_that_no_cache_can_hold_are_refused_with_what_helps(tmp_path: Path) -> None:
    with pytest.raises(PermanentTaskError, match=r"600000 × 1 pixels.*a smaller profile.block_size"):
        planned(tmp_path / "a.tif", width=600_000, blockysize=1)


def test_no_more_threads_are_used_than_memory_is_planned_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(tmp_path / "a.tif", width=50_000)
    monkeypatch.setattr("os.cpu_count", lambda: 64)
    assert Resources(Settings(scratch_folder=tmp_path)).threads(plan) == THREADS
    with pytest.raises(ValidationError, match="conversion_threads"):
        Settings(conversion_threads=THREADS + 1)


def test_overviews_are_made_of_what_lies_under_one_of_their_blocks_at_once(tmp_path: Path) -> None:
    plan = planned(
        tmp_path / "a.tif", width=1000, count=12, dtype="float32", interleave="pixel", blockysize=16
    )
    seen: list[str] = []

    def check() -> None:
        from rasterio._env import get_gdal_config

        seen.append(str(get_gdal_config("GDAL_OVR_CHUNK_MAX_SIZE")))

    conversion.convert(plan, [str(tmp_path / "a.tif")], str(tmp_path / "cog.tif"), threads=1, check=check)
    # A block of an overview is made of two by two.
    assert int(seen[0]) == overview_chunk_bytes(512, 48) > 1024 * 1024 * 48
    assert overview_chunk_bytes(512, 3) == 10 * MEGABYTE
