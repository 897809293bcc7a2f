"""A whole engine whose blobs are in a real blob service, and rasters to convert."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from azure.storage.blob import ContainerClient
from rasterio.transform import from_origin

from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from tests.fix_engine import World

MakeContainer = Callable[[], ContainerClient]


class Workshop:
    """One engine, a container of sources, and one for COGs."""

    def __init__(self, world: World, blobs: AzureBlobRepository, source: str, target: str) -> None:
        self.world = world
        self.blobs = blobs
        self.source = source
        self.target = target
        self._files: list[rasterio.MemoryFile] = []
        blobs.ensure_container(world.settings.scratch_container)

    def put(self, name: str, content: bytes) -> None:
        """A source blob."""
        self.blobs.write(self.source, name, content)

    def run(self, job_type: str = "raster_to_cog", seconds: float = 120, **parameters: Any) -> dict[str, Any]:
        """Run a job to its end; its row."""
        given = {"container": self.source, "target_container": self.target} | parameters
        if job_type == "validate_raster":
            del given["target_container"]
        return self.world.run(self.world.submit(job_type, **given).job_id, seconds)

    def names(self, container: str | None = None) -> list[str]:
        """What is in the container of COGs, or another."""
        pages = self.blobs.list_pages(container or self.target)
        return [blob.name for page in pages for blob in page]

    def cog(self, name: str) -> Any:
        """A published COG, open."""
        # Kept: GDAL reads the very bytes that the file object holds.
        self._files.append(rasterio.MemoryFile(self.blobs.read(self.target, name)))
        return self._files[-1].open()

    def results(self, job: dict[str, Any], stage: int) -> list[dict[str, Any]]:
        """What the tasks of a stage answered, or why they failed."""
        return [task["result"] or {"error": task["error"]} for task in self.world.tasks(job["job_id"], stage)]


@pytest.fixture
def workshop(
    make_world: Callable[..., World], storage_connection_string: str, container: MakeContainer
) -> Workshop:
    account = StorageAccount(storage_connection_string)
    blobs = AzureBlobRepository(account)
    world = make_world(
        storage=blobs,
        storage_connection_string=storage_connection_string,
        scratch_container=str(container().container_name),
    )
    return Workshop(world, blobs, str(container().container_name), str(container().container_name))


@pytest.fixture
def make_raster(tmp_path: Path) -> Callable[..., bytes]:
    """Makes GeoTIFFs of random or given pixels."""

    def make(
        *,
        size: tuple[int, int] = (900, 700),
        dtype: str = "uint8",
        count: int = 1,
        data: Any = None,
        tags: dict[str, str] | None = None,
        **profile: Any,
    ) -> bytes:
        width, height = size
        if data is None:
            # Smooth, so that it compresses and no class raster is suspected in it.
            y, x = numpy.mgrid[0:height, 0:width]
            data = numpy.stack([((x * (i + 2) + y * 3) % 251).astype(dtype) for i in range(count)])
        options: dict[str, Any] = {
            "driver": "GTiff",
            "crs": "EPSG:32632",
            "transform": from_origin(500_000, 5_600_000, 10, 10),
        }
        path = tmp_path / "made.tif"
        with rasterio.open(
            path, "w", width=width, height=height, count=count, dtype=dtype, **(options | profile)
        ) as dataset:
            dataset.write(data)
            dataset.update_tags(**(tags or {}))
        return path.read_bytes()

    return make
