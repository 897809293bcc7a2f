"""No level of a COG is as wide as its blocks, where validation would take it for untiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from interfaces.rasters import CogProfile
from services.cog.profile import fitted_profile, overview_count, untiled_level
from tests.unit.services.rasters import write_raster

from .making import cog_of

HEIGHTS = (1, 512, 513, 1024, 1025, 3000, 5000, 40_000)


def level_is_untiled(width: int, height: int, block: int) -> bool:
    """rio-cogeo's rule."""
    return block == width and max(width, height) > 512


@pytest.mark.parametrize("overviews", ["auto", 7])
@pytest.mark.parametrize("block_size", [128, 256, 512, 528, 1024, 2048, 4096])
def test_no_size_gets_a_level_that_counts_as_untiled(block_size: int, overviews: Any) -> None:
    asked = CogProfile(block_size=block_size, overviews=overviews)
    for width in range(2, 5001):
        for height in HEIGHTS:
            profile, notes = fitted_profile(asked, width, height)
            block, count = profile.block_size, profile.overviews
            if count == "auto":
                count = overview_count(width, height, block)
            assert bool(notes) == (profile != asked), (width, height)
            assert count > 0 or max(width, height) <= 512, (width, height)
            for level in range(count + 1):
                of_level = block if level == 0 or block & (block - 1) == 0 else 128
                down = max(width >> level, 1), max(height >> level, 1)
                up = -(-width >> level), -(-height >> level)
                assert not level_is_untiled(*down, of_level), (width, height, block, level)
                assert not level_is_untiled(*up, of_level), (width, height, block, level)


@pytest.mark.parametrize(
    ("size", "block_size", "chosen"),
    [
        ((3000, 2000), 512, 512),
        ((512, 512), 512, 512),
        ((512, 1024), 512, 256),
        ((1024, 3000), 512, 128),
        ((512, 100_000), 512, 1024),
        ((1024, 1024), 1024, 512),
    ],
)
def test_blocks_are_as_asked_or_smaller_or_twice_as_large(
    size: tuple[int, int], block_size: int, chosen: int
) -> None:
    profile, _ = fitted_profile(CogProfile(block_size=block_size), *size)

    assert (profile.block_size, profile.overviews) == (chosen, "auto")


def test_overviews_are_fewer_where_no_block_size_helps() -> None:
    profile, notes = fitted_profile(CogProfile(), 4096, 40_000)

    assert (profile.block_size, profile.overviews) == (512, 2)
    assert "2 overviews instead of 7" in notes[0]
    assert untiled_level(4096, 40_000, 512, 3) == 3


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((512, 1024), {}),
        ((512, 513), {}),
        ((1024, 3000), {}),
        ((2048, 4096), {}),
        ((1025, 1500), {}),
        ((128, 3000), {"profile": {"block_size": 128}}),
        ((512, 1024), {"profile": {"block_size": 512, "overviews": 1}}),
        ((1300, 1024), {"profile": {"block_size": 528}}),
        ((1023, 3000), {"chunk_threshold": 300_000, "profile": {"block_size": 256}}),
        ((1024, 3000), {"chunk_threshold": 300_000}),
        ((500, 1100), {"web_optimized": True}),
    ],
)
def test_rasters_of_common_sizes_become_valid_cogs(
    tmp_path: Path, size: tuple[int, int], options: dict[str, Any]
) -> None:
    y, x = numpy.mgrid[0 : size[1], 0 : size[0]]
    path = write_raster(tmp_path / "a.tif", ((x * 2 + y * 3) % 251).astype("uint8")[numpy.newaxis])

    with cog_of(path, **options) as cog:
        levels = [cog.overviews(1)]
        assert levels
        assert cog.block_shapes[0][1] != cog.width
    with rasterio.open(path) as source:
        assert (source.width, source.height) == size
