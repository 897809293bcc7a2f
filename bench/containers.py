"""Containers: listing beside the bare SDK, and metadata of COGs by range reads beside whole downloads."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from typing import Any

from azure.storage.blob import BlobServiceClient, ContainerClient

from .our_side import OurSide

THREADS = 8
API_VERSION = "2025-11-05"
_COG_PIXELS = 1024
_COG_VARIANTS = 10


@dataclass(frozen=True)
class Listing:
    """Seconds to go through a container of so many blobs."""

    blobs: int
    bare_sdk: float
    summarize_container: float
    list_container: float


@dataclass(frozen=True)
class CogMetadata:
    """Seconds to describe so many COGs of so many bytes each, and megabytes read from storage."""

    cogs: int
    megabytes_each: float
    range_reads: float
    whole_downloads: float


def measure_listing(ours: OurSide, blobs: int) -> Listing:
    """Fill a container with small blobs and list it in three ways; the counts must agree."""
    name = "bench-listing"
    container = make_container(ours, name)
    names = [f"{number % 10}/{number % 97}/file-{number:06}.tif" for number in range(blobs)]
    upload(container, [(blob, b"x" * (index % 100)) for index, blob in enumerate(names)])
    began = time.perf_counter()
    found = sum(1 for _ in container.list_blobs())
    bare = time.perf_counter() - began
    began = time.perf_counter()
    [summary] = ours.run_jobs("summarize_container", [{"container": name}], 300)
    summarized = time.perf_counter() - began
    began = time.perf_counter()
    [listed] = ours.run_jobs("list_container", [{"container": name, "metadata_level": "basic"}], 600)
    seconds = time.perf_counter() - began
    counts = (found, _count(summary), _count(listed))
    if counts != (blobs,) * 3:
        raise RuntimeError(f"{blobs} blobs were listed as {counts}")
    return Listing(blobs, bare, summarized, seconds)


def measure_cogs(ours: OurSide, cogs: int) -> CogMetadata:
    """Fill a container with COGs and describe them by `list_container` full, and by whole downloads."""
    name = "bench-cogs"
    container = make_container(ours, name)
    variants = [_cog(seed) for seed in range(min(cogs, _COG_VARIANTS))]
    upload(container, [(f"cog-{number:05}.tif", variants[number % len(variants)]) for number in range(cogs)])
    began = time.perf_counter()
    [listed] = ours.run_jobs("list_container", [{"container": name, "metadata_level": "full"}], 900)
    range_reads = time.perf_counter() - began
    if _count(listed) != cogs:
        raise RuntimeError(f"{cogs} COGs were listed as {_count(listed)}")
    whole = _whole_downloads(ours.servers.azurite.connection_string, name)
    size = sum(len(variant) for variant in variants) / len(variants) / 1e6
    return CogMetadata(cogs, round(size, 2), range_reads, whole)


def _whole_downloads(storage: str, name: str) -> float:
    """Two processes with eight threads each download every blob and open it from memory."""
    with blob_container(storage, name) as container:
        names = [blob.name for blob in container.list_blobs()]
    shares = [names[0::2], names[1::2]]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(_warm, range(2)))
        began = time.perf_counter()
        described = sum(pool.map(_describe_all, repeat(storage), repeat(name), shares))
        seconds = time.perf_counter() - began
    if described != len(names):
        raise RuntimeError(f"{described} of {len(names)} COGs were described")
    return seconds


def _warm(_: int) -> None:
    import rasterio  # noqa: F401

    time.sleep(0.5)


def _describe_all(storage: str, name: str, blobs: Sequence[str]) -> int:
    import rasterio
    from rasterio.warp import transform_bounds

    with blob_container(storage, name) as container, ThreadPoolExecutor(THREADS) as pool:

        def describe(blob: str) -> bool:
            data = container.download_blob(blob).readall()
            with rasterio.MemoryFile(data) as memory, memory.open() as raster:
                bounds = transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
                return bool(raster.overviews(1)) and bool(bounds) and bool(raster.block_shapes)

        return sum(pool.map(describe, blobs))


def _cog(seed: int) -> bytes:
    """A COG of three bands with overviews whose pixels do not compress away."""
    code = f"""
import sys
import numpy as np, rasterio, rasterio.shutil
from rasterio.io import MemoryFile
from rasterio.transform import from_origin
pixels = np.random.default_rng({seed}).integers(0, 256, (3, {_COG_PIXELS}, {_COG_PIXELS}), dtype="uint8")
profile = dict(driver="GTiff", count=3, width={_COG_PIXELS}, height={_COG_PIXELS}, dtype="uint8",
               crs="EPSG:32633", transform=from_origin(400000 + {seed} * 1000, 5800000, 10, 10))
with MemoryFile() as plain:
    with plain.open(**profile) as raster:
        raster.write(pixels)
    with plain.open() as raster, MemoryFile() as cog:
        rasterio.shutil.copy(raster, cog.name, driver="COG", blocksize=256, compress="DEFLATE")
        sys.stdout.buffer.write(cog.read())
"""
    # In a process of its own: GDAL stays out of the one that measures.
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout


def make_container(ours: OurSide, name: str) -> ContainerClient:
    """A container, made unless it is there."""
    with BlobServiceClient.from_connection_string(
        ours.servers.azurite.connection_string, api_version=API_VERSION
    ) as service:
        if not service.get_container_client(name).exists():
            service.create_container(name)
    return blob_container(ours.servers.azurite.connection_string, name)


def blob_container(storage: str, name: str) -> ContainerClient:
    """A client of a container."""
    return ContainerClient.from_connection_string(storage, name, api_version=API_VERSION)


def upload(container: ContainerClient, blobs: Sequence[tuple[str, bytes]]) -> None:
    """Upload blobs, several at once."""
    with ThreadPoolExecutor(min(THREADS, 2 * (os.cpu_count() or 1))) as pool:
        list(pool.map(lambda blob: container.upload_blob(blob[0], blob[1], overwrite=True), blobs))


def _count(status: dict[str, Any]) -> int:
    """How many files a job's result says there are."""
    return int(status["result"]["files"])
