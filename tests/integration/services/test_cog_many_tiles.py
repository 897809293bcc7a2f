"""Tiles in a blob service that are more than GDAL keeps open at a time."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pytest
import rasterio
from azure.storage.blob import ContainerClient
from rasterio.transform import from_origin

from interfaces.conversions import SourceBlob
from interfaces.rasters import CogOptions, CogProfile
from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from services.cog import conversion
from services.cog.plan import plan_conversion
from services.raster_opening import RasterOpener

SIDE = 5700
GDALS_POOL = 100
"""Sources of virtual rasters that are open at a time."""


@pytest.mark.slow
def test_many_tiles_are_put_together_by_several_threads(
    storage_connection_string: str, container: Callable[[], ContainerClient], tmp_path: Path
) -> None:
    """Those that are opened again must be by the thread that may reach storage.

    Cubic overviews need pixels of neighbours: GDAL reads them all, and no blocks are copied.
    """
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    place = str(container().container_name)
    y, x = numpy.mgrid[0:SIDE, 0:SIDE]
    pixels = ((x * 2 + y * 3) % 251).astype("uint8")
    source = tmp_path / "source.tif"
    profile = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_600_000, 10, 10), "tiled": True}
    with rasterio.open(
        source, "w", width=SIDE, height=SIDE, count=1, dtype="uint8", compress="zstd", **profile
    ) as dataset:
        dataset.write(pixels, 1)
    with rasterio.open(source) as dataset:
        plan = plan_conversion(
            dataset,
            SourceBlob(container=place, name="a.tif", etag="1", size=source.stat().st_size),
            CogOptions(profile=CogProfile(block_size=256, overview_resampling="cubic")),
            chunk_threshold=1_000_000,
            memory_limit=2**30,
            scratch_limit=2**32,
        )
    assert plan.tiles > GDALS_POOL
    names = [f"{tile}.tif" for tile in range(plan.tiles)]
    for tile, name in enumerate(names):
        conversion.convert_tile(plan, [str(source)], tile, str(tmp_path / name), threads=1)
        blobs.write(place, name, (tmp_path / name).read_bytes())
    stored = [(place, blobs.properties(place, name)) for name in names]
    cog = tmp_path / "cog.tif"

    def assemble() -> None:
        with RasterOpener(blobs).together(stored) as paths:
            conversion.assemble(plan, paths, str(cog), threads=2)

    # As in a worker: what rasterio sets on the main thread is everybody's.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(assemble).result()
    with rasterio.open(cog) as dataset:
        assert numpy.array_equal(dataset.read(1), pixels)
