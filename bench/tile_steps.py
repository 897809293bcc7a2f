"""Where the time of a chunked conversion goes: seconds of the processor of each step, without app or storage.

`python -m bench.tile_steps 16384` converts a raster of so many pixels a side in tiles of at most 8,192 and
puts them together, all in this process. On a busy machine these seconds say more than those of a clock.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interfaces.conversions import ConversionPlan, SourceBlob
from interfaces.rasters import CogOptions, CogProfile

from .rasters import large_raster

TILE_PIXELS = 8192**2


def measure(side: int) -> dict[str, float]:
    """Seconds by step; those of tiles are the sum of all."""
    from services.cog import block_checksums, conversion, fidelity, validation

    spent: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def step(name: str) -> Iterator[None]:
        began = time.process_time()
        yield
        spent[name] += time.process_time() - began

    with tempfile.TemporaryDirectory() as folder:
        source, cog = Path(folder) / "source.tif", str(Path(folder) / "cog.tif")
        large_raster(source, side)
        plan = _plan(source)
        tiles = [str(Path(folder) / f"{tile}.tif") for tile in range(plan.tiles)]
        factors = conversion.shared_factors(plan)
        checksums = []
        for tile, path in enumerate(tiles):
            with step("tiles: convert"):
                conversion.convert_tile(plan, [str(source)], tile, path, threads=1)
            with step("tiles: compare with the source"):
                fidelity.compare(plan, [str(source)], path, _go_on, tile)
            with step("tiles: checksum"):
                area = (0, 0, *plan.window(tile)[2:])
                found = block_checksums.checksum(path, area, factors, _go_on)
                checksums.append((plan.window(tile), found))
        with step("assembly: write the COG"):
            conversion.assemble(plan, tiles, cog, threads=1)
        with step("assembly: find the tiles in it"):
            block_checksums.compare_blocks(cog, checksums, factors, _go_on)
        with step("assembly: validate and describe"):
            validation.validate(cog)
            validation.describe_cog(cog)
    return dict(spent)


def _plan(source: Path) -> ConversionPlan:
    import rasterio

    from services.cog.plan import plan_conversion

    with rasterio.open(source) as dataset:
        return plan_conversion(
            dataset,
            SourceBlob(container="local", name=source.name, etag="1", size=source.stat().st_size),
            CogOptions(profile=CogProfile(compression="deflate")),
            chunk_threshold=min(TILE_PIXELS, dataset.width * dataset.height - 1),
            memory_limit=2**30,
            scratch_limit=2**36,
        )


def _go_on() -> None:
    """Nobody cancels."""


if __name__ == "__main__":
    for name, seconds in measure(int(sys.argv[1])).items():
        print(f"{name:34}{seconds:8.2f} s")
