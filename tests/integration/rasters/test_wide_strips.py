"""Rasters in strips that are wider than GDAL's cache, on a real database and a real blob service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import pytest
from azure.storage.blob import ContainerClient

from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from services.gdal_session import GdalSessions
from tests.fix_engine import World

from .conftest import Workshop

WIDTH, HEIGHT = 70_000, 520
LIMIT = 640 * 1024**2
"""Bytes: a row of blocks of the COG is more than the cache that comes of it."""


@pytest.fixture
def workshop(
    make_world: Callable[..., World],
    storage_connection_string: str,
    container: Callable[[], ContainerClient],
) -> Workshop:
    """One whose worker has little memory."""
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    source, target, scratch = (str(container().container_name) for _ in range(3))
    world = make_world(
        storage=blobs,
        storage_connection_string=storage_connection_string,
        scratch_container=scratch,
        task_memory_limit=LIMIT,
    )
    return Workshop(world, blobs, source, target)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("job_type", "parameters", "pixel_bytes"),
    [
        ("raster_to_cog", {"blob": "a.tif"}, 2),
        ("raster_to_cog", {"blob": "a.tif", "chunk_threshold": 20_000_000}, 2),
        # With the mask.
        ("mosaic_to_cog", {"blobs": ["a.tif"], "target_name": "a.tif"}, 3),
    ],
    ids=["at once", "in tiles", "in a mosaic"],
)
def test_the_cache_is_larger_while_they_are_read(
    workshop: Workshop,
    make_raster: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
    job_type: str,
    parameters: dict[str, Any],
    pixel_bytes: int,
) -> None:
    taken: list[int] = []
    original = GdalSessions.more_cache

    @contextmanager
    def more_cache(sessions: GdalSessions, size: int) -> Iterator[None]:
        with original(sessions, size):
            taken.append(size)
            yield

    monkeypatch.setattr(GdalSessions, "more_cache", more_cache)
    x, y = numpy.arange(WIDTH), numpy.arange(HEIGHT)[:, None]
    pixels = (x * 3 // 7 % 50_021 + y * 5).astype("uint16")[None]
    strips = {"compress": "zstd", "zstd_level": 1, "blockysize": 1}
    content = make_raster(size=(WIDTH, HEIGHT), dtype="uint16", data=pixels, **strips)
    workshop.put("a.tif", content)
    job = workshop.run(job_type, **parameters)
    assert job["status"] == "completed", job["error"]
    held = WIDTH * 512 * pixel_bytes
    assert set(taken) == {held + held // 4 - LIMIT // 8}
    tiles = workshop.results(job, 4 if job_type == "mosaic_to_cog" else 3)
    assert len(tiles) == (2 if "chunk_threshold" in parameters else 1)
    assert numpy.array_equal(workshop.cog("a.tif").read(), pixels)
