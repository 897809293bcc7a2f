"""Checksums of blocks: a COG has those of its tiles, or is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from interfaces.conversions import ConversionPlan
from services.cog.block_checksums import checksum, compare_blocks
from services.cog.conversion import assemble, convert_tile, shared_factors
from services.cog.fidelity import Area, PixelsDiffer
from services.cog.joining import left_out
from tests.unit.services.rasters import write_raster

from .making import plan_of

BLOCK, TILE = 128, 512


def go_on() -> None:
    return None


def tiled(folder: Path, width: int, height: int, **content: Any) -> tuple[ConversionPlan, list[Path]]:
    """A plan, and its tiles; noise, so that no two blocks are alike."""
    data = numpy.random.default_rng(1).integers(1, 60, (content.pop("bands", 1), height, width), "uint16")
    source = write_raster(folder / "source.tif", data, **content)
    plan = plan_of(source, profile={"block_size": BLOCK, "compression": "deflate"})
    plan = plan.model_copy(update={"tile_size": TILE})
    tiles = [folder / f"{tile}.tif" for tile in range(plan.tiles)]
    for tile, path in enumerate(tiles):
        assert convert_tile(plan, [str(source)], tile, str(path), threads=1)
    return plan, tiles


def expected(plan: ConversionPlan, tiles: list[Path]) -> list[tuple[Area, str]]:
    found = []
    for tile, path in enumerate(tiles):
        area = plan.window(tile)
        found.append((area, checksum(str(path), (0, 0, *area[2:]), shared_factors(plan), go_on)))
    return found


@pytest.fixture
def cog(tmp_path: Path) -> tuple[ConversionPlan, list[Path], Path]:
    plan, tiles = tiled(tmp_path, 1296, 1104)
    assert assemble(plan, [str(tile) for tile in tiles], str(tmp_path / "cog.tif"), threads=1)
    return plan, tiles, tmp_path / "cog.tif"


@pytest.mark.parametrize(
    ("width", "height", "content"),
    [(1296, 1104, {}), (1025, 1025, {"bands": 3}), (1024, 700, {"nodata": 7})],
)
def test_a_cog_has_the_blocks_of_its_tiles(
    tmp_path: Path, width: int, height: int, content: dict[str, Any]
) -> None:
    plan, tiles = tiled(tmp_path, width, height, **content)
    target = str(tmp_path / "cog.tif")
    assert assemble(plan, [str(tile) for tile in tiles], target, threads=1)
    sums = expected(plan, tiles)
    assert len({found for _, found in sums}) == plan.tiles
    compare_blocks(target, sums, shared_factors(plan), go_on)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_a_damaged_block_is_found_in_each_level(
    cog: tuple[ConversionPlan, list[Path], Path], level: int
) -> None:
    plan, tiles, target = cog
    sums = expected(plan, tiles)
    with target.open("r+b") as file:
        at = left_out(str(target))[level].offsets[-1] + 9
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(PixelsDiffer, match=r"1 of 9 tiles .* at column 1024, row 1024"):
        compare_blocks(str(target), sums, shared_factors(plan), go_on)


def test_blocks_in_each_others_places_are_found(cog: tuple[ConversionPlan, list[Path], Path]) -> None:
    plan, tiles, target = cog
    sums = expected(plan, tiles)
    sums[0], sums[4] = (sums[0][0], sums[4][1]), (sums[4][0], sums[0][1])
    with pytest.raises(PixelsDiffer, match=r"2 of 9 tiles .* at column 0, row 0"):
        compare_blocks(str(target), sums, shared_factors(plan), go_on)


def test_a_block_that_is_left_out_is_found(tmp_path: Path) -> None:
    path = str(tmp_path / "sparse.tif")
    with rasterio.open(
        path, "w", driver="GTiff", width=256, height=256, count=1, dtype="uint8", tiled=True, SPARSE_OK=True,
        blockxsize=128, blockysize=128,
    ):  # fmt: skip
        pass
    with pytest.raises(PixelsDiffer, match="missing"):
        checksum(path, (0, 0, 256, 256), [1], go_on)


def test_it_can_be_stopped(cog: tuple[ConversionPlan, list[Path], Path]) -> None:
    plan, tiles, _ = cog

    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        checksum(str(tiles[0]), (0, 0, *plan.window(0)[2:]), shared_factors(plan), stop)
