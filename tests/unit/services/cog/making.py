"""Plans and makes COGs of test rasters."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rasterio
from rasterio.io import DatasetReader

from interfaces.conversions import ConversionPlan, SourceBlob
from interfaces.rasters import CogOptions
from services.cog.conversion import assemble, convert, convert_tile
from services.cog.fidelity import compare
from services.cog.plan import plan_conversion
from services.cog.sources import opened
from services.cog.validation import validate
from services.gdal_session import DRIVERS, READING, WHOLE_DRIVERS

GIGABYTE = 1024**3


def go_on() -> None:
    """Nobody cancels."""


def plan_of(
    path: Path,
    *,
    chunk_threshold: int = 10**9,
    memory_limit: int = GIGABYTE,
    scratch_limit: int = 10 * GIGABYTE,
    **options: Any,
) -> ConversionPlan:
    """The plan of a file, with options as a job gives them."""
    source = SourceBlob(container="bronze", name=path.name, etag="1", size=path.stat().st_size)
    with (
        rasterio.Env(**READING),
        opened(str(path), [*DRIVERS, *sorted(WHOLE_DRIVERS - {"netCDF"})]) as dataset,
    ):
        return plan_conversion(
            dataset,
            source,
            CogOptions.model_validate(options),
            chunk_threshold=chunk_threshold,
            memory_limit=memory_limit,
            scratch_limit=scratch_limit,
        )


def make(plan: ConversionPlan, path: Path, lineage: dict[str, str] | None = None) -> Path:
    """The COG of a plan, made at once or in tiles, validated and compared."""
    folder = path.parent / f"made-{path.stem}"
    folder.mkdir(exist_ok=True)
    target = folder / "cog.tif"
    with rasterio.Env(**READING):
        if plan.tiles:
            tiles = [folder / f"{tile}.tif" for tile in range(plan.tiles)]
            for tile, file in enumerate(tiles):
                convert_tile(plan, [str(path)], tile, str(file), threads=1)
            assemble(plan, [str(file) for file in tiles], str(target), threads=1, lineage=lineage)
            for file in tiles:
                file.unlink()
        else:
            convert(plan, [str(path)], str(target), threads=1, lineage=lineage)
        assert os.listdir(folder) == ["cog.tif"], "something is left behind"
        validate(str(target))
        if plan.lossless:
            compare(plan, [str(path)], str(target), go_on)
    return target


@contextmanager
def cog_of(path: Path, lineage: dict[str, str] | None = None, **options: Any) -> Iterator[DatasetReader]:
    """The COG of a file, validated and compared, and opened."""
    with rasterio.open(make(plan_of(path, **options), path, lineage)) as cog:
        yield cog
