"""Rasters many times larger than the memory of a worker are converted with the default settings."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from azure.storage.blob import BlobServiceClient, ContainerClient
from rasterio.transform import from_origin
from rasterio.warp import transform
from rasterio.windows import Window
from rio_cogeo.cogeo import cog_validate

from interfaces.settings import Settings
from local.stack.postgres import PostgresServer
from tests.fix_app import App, serving

from .crash_harness import report

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3000)]

SECONDS = 2400
LIMITS = Settings()
MEASURED_EVERY_SECONDS = 0.2
BLOCK = 512
WEST, NORTH = 300_000, 6_000_000


@dataclass
class Usage:
    """What the workers took at most, bytes; of the disk, of all of them together."""

    memory: dict[int, int] = field(default_factory=dict)
    disk: int = 0


@dataclass
class Place:
    """A running app, its folder of temporary files, and containers."""

    app: App
    scratch: Path
    container: ContainerClient
    source: str
    target: str


@pytest.fixture
def place(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    container: Callable[[], ContainerClient],
    tmp_path: Path,
) -> Iterator[Place]:
    """The app as it is shipped, with two workers."""
    source, target = container(), container()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with serving(
        postgres_server,
        migrated_template,
        storage_connection_string,
        tmp_path,
        environment={"SCRATCH_FOLDER": str(scratch)},
    ) as app:
        yield Place(app, scratch, target, str(source.container_name), str(target.container_name))


def peak_bytes(pid: int) -> int:
    """The largest resident memory that a process ever had (proc(5), VmHWM)."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found.group(1)) * 1024


def disk_bytes(folder: Path) -> int:
    """What the files below take on the disk now."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            # Files come and go.
            with suppress(FileNotFoundError):
                total += os.stat(os.path.join(parent, name)).st_blocks * 512
    return total


@contextmanager
def measured(place: Place) -> Iterator[Usage]:
    """Look at workers and disk until the block ends."""
    usage, over = Usage(), threading.Event()

    def look() -> None:
        while not over.wait(MEASURED_EVERY_SECONDS):
            usage.disk = max(usage.disk, disk_bytes(place.scratch))

    thread = threading.Thread(target=look)
    thread.start()
    before = set(place.app.workers())
    try:
        yield usage
    finally:
        over.set()
        thread.join()
    assert set(place.app.workers()) == before, "a worker died"
    usage.memory = {pid: peak_bytes(pid) for pid in before}


def write(
    path: Path, blocks: dict[tuple[int, int], Any] | None, *, at: tuple[int, int] = (0, 0), **profile: Any
) -> None:
    """A GeoTIFF with these blocks (column, row), or, for None, smooth everywhere.

    `at` is where it begins (column, row) in a larger one that it is a part of.
    """
    options = {"driver": "GTiff", "count": 1, "crs": "EPSG:32632", "bigtiff": "YES", "num_threads": 2}
    options |= {"transform": from_origin(WEST + at[0] * 10, NORTH - at[1] * 10, 10, 10)}
    with rasterio.open(path, "w", **(options | profile)) as dataset:
        for (column, row), data in (blocks or {}).items():
            dataset.write(data, 1, window=Window(column, row, data.shape[1], data.shape[0]))
        if blocks is None:
            for row in range(0, dataset.height, BLOCK):
                height = min(BLOCK, dataset.height - row)
                dataset.write(
                    smooth(dataset.width, at[1] + row, height, dataset.dtypes[0], at[0]),
                    1,
                    window=Window(0, row, dataset.width, height),
                )


def smooth(width: int, row: int, height: int, dtype: str, column: int = 0) -> Any:
    """Some rows of a raster; every pixel tells where it is."""
    x, y = numpy.arange(column, column + width), numpy.arange(row, row + height)[:, None]
    period = 251 if dtype == "uint8" else 50_021
    return (x * 3 // 7 % period).astype(dtype) + (y * 5 % period).astype(dtype)


def submitted(place: Place, paths: list[Path]) -> str:
    """The job that converts the file, or makes a mosaic of several; they are gone from the disk then."""
    with BlobServiceClient.from_connection_string(place.app.storage) as service:
        for path in paths:
            with path.open("rb") as content:
                blob = service.get_blob_client(place.source, path.name)
                blob.upload_blob(content, max_concurrency=2)
            path.unlink()
    names = [path.name for path in paths]
    given = {"container": place.source, "target_container": place.target}
    if len(paths) > 1:
        # On the grid of the first; the lowest is the one whose name comes first.
        order = {"order": "name", "pixel_size": "first"}
        return place.app.submit("mosaic_to_cog", **given, **order, blobs=names, target_name=names[0])
    return place.app.submit("raster_to_cog", **given, blob=names[0])


@contextmanager
def converted(place: Place, *paths: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The COG of the file, or of several, open, and figures; it is valid, and no limit was exceeded."""
    path, size = paths[0], sum(path.stat().st_size for path in paths)
    began = time.monotonic()
    with measured(place) as usage:
        job_id = submitted(place, list(paths))
        status = place.app.wait(job_id, SECONDS)
    assert status["status"] == "completed", status["error"]
    figures = {
        "seconds": round(time.monotonic() - began),
        "source_mb": round(size / 1e6),
        # What the last stage that plans says.
        "tiles": max(
            row["result"].get("tiles", 0) for row in place.app.results(job_id, stage=min(len(paths), 2) + 1)
        ),
        "peak_mb": [round(peak / 1024**2) for peak in usage.memory.values()],
        "disk_mb": round(usage.disk / 1024**2),
    }
    cog = path.with_name("cog.tif")
    with cog.open("wb") as file:
        place.container.download_blob(path.name, max_concurrency=2).readinto(file)
    figures["cog_mb"] = round(cog.stat().st_size / 1e6)
    report("rasters", path.stem, figures)
    print(path.stem, figures)  # noqa: T201 - the result
    valid, errors, warnings = cog_validate(cog, strict=True, quiet=True)
    assert valid, (errors, warnings)
    with rasterio.open(cog) as dataset:
        yield dataset, figures
    cog.unlink()
    assert max(usage.memory.values()) < LIMITS.task_memory_limit, figures
    assert usage.disk < LIMITS.task_scratch_limit, figures
    assert list(place.scratch.glob("*/*/*")) == [], "temporary files are left"
    assert place.app.violations() == 0


def test_20_gigabytes_of_which_little_is_written(place: Place, tmp_path: Path) -> None:
    side = 200 * BLOCK
    random = numpy.random.default_rng(1)
    at = [(0, 0), (100 * BLOCK, 100 * BLOCK), (199 * BLOCK, 199 * BLOCK), (8000, 20_001), (70_001, 3)]
    blocks = {place: random.integers(1, 60_000, (BLOCK, BLOCK), "uint16") for place in at}
    sparse: dict[str, Any] = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "sparse_ok": True}
    path = tmp_path / "sparse.tif"
    write(path, blocks, width=side, height=side, dtype="uint16", compress="deflate", **sparse)
    with converted(place, path) as (cog, _):
        assert (cog.width, cog.height, cog.dtypes) == (side, side, ("uint16",))
        for (column, row), data in blocks.items():
            assert numpy.array_equal(cog.read(1, window=Window(column, row, BLOCK, BLOCK)), data)
        for column, row in [(30_000, 30_000), (side - BLOCK, 0), (0, side - BLOCK)]:
            assert not cog.read(1, window=Window(column, row, BLOCK, BLOCK)).any()


def test_2_gigapixels_in_tiles_on_two_workers(place: Place, tmp_path: Path) -> None:
    path, side = tmp_path / "dense.tif", 88 * BLOCK
    tiled: dict[str, Any] = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    write(path, None, width=side, height=side, dtype="uint8", compress="zstd", zstd_level=1, **tiled)
    with converted(place, path) as (cog, figures):
        assert figures["tiles"] > 1
        check_all(cog, side, side, "uint8")


def test_strips_of_200_000_pixels(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "strips.tif"
    strips: dict[str, Any] = {"compress": "zstd", "zstd_level": 1, "blockysize": 1}
    write(path, None, width=200_000, height=5_000, dtype="uint16", **strips)
    with converted(place, path) as (cog, _):
        check_all(cog, 200_000, 5_000, "uint16")


def test_2_gigapixels_in_strips_of_100_000_pixels(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "strips_in_tiles.tif"
    strips: dict[str, Any] = {"compress": "zstd", "zstd_level": 1, "blockysize": 1}
    write(path, None, width=100_000, height=20_000, dtype="uint8", **strips)
    with converted(place, path) as (cog, figures):
        assert figures["tiles"] > 1
        check_all(cog, 100_000, 20_000, "uint8")


def test_one_strip_that_is_larger_than_the_memory(place: Place, tmp_path: Path) -> None:
    path, side = tmp_path / "strip.tif", 40_000
    write(path, None, width=side, height=side, dtype="uint8", compress="zstd", zstd_level=1, blockysize=side)
    # GDAL takes a strip line by line where its compression allows.
    with converted(place, path) as (cog, _):
        check_all(cog, side, side, "uint8")


def test_one_tile_that_is_larger_than_the_memory_is_refused_with_the_figures(
    place: Place, tmp_path: Path
) -> None:
    path, side = tmp_path / "tile.tif", 64 * BLOCK
    tiled: dict[str, Any] = {"tiled": True, "blockxsize": side, "blockysize": side}
    write(path, None, width=side, height=side, dtype="uint8", compress="zstd", zstd_level=1, **tiled)
    with measured(place) as usage:
        job_id = submitted(place, [path])
        status = place.app.wait(job_id, 120)
    assert status["status"] == "failed"
    assert f"blocks of the source are {side} × {side} pixels" in status["error"], status
    assert "of 1024 MB that a task may take" in status["error"], status
    assert max(usage.memory.values()) < LIMITS.task_memory_limit / 2


def test_a_mosaic_of_20_rasters_some_in_strips_and_one_in_another_zone(place: Place, tmp_path: Path) -> None:
    side, step, columns, rows = 7500, 7400, 5, 4
    corners = [(column * step, row * step) for row in range(rows) for column in range(columns)]
    east = corners.pop()
    paths = [tmp_path / f"mosaic{number:02}.tif" for number in range(len(corners))]
    # By its name the lowest, so that all others are seen as they are.
    warped = tmp_path / "a.tif"
    x, y = (WEST + (east[0] + side // 2) * 10, NORTH - (east[1] + side // 2) * 10)
    (x,), (y,) = transform("EPSG:32632", "EPSG:32633", [x], [y])
    there: dict[str, Any] = {
        "crs": "EPSG:32633",
        "transform": from_origin(x - side * 5, y + side * 5, 10, 10),
    }
    stored: dict[str, Any] = {"width": side, "height": side, "dtype": "uint8", "compress": "zstd"}
    tiled: dict[str, Any] = {"tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK}
    write(warped, None, **stored, **there)
    for number, (path, at) in enumerate(zip(paths, corners, strict=True)):
        layout: dict[str, Any] = {"blockysize": 1} if number % 2 else tiled
        write(path, None, at=at, **stored, **layout)
    with converted(place, *paths, warped) as (cog, figures):
        assert figures["tiles"] > 1
        assert cog.width * cog.height > 10**9
        for left, top in corners:
            # A warped raster is not straight: the mosaic may begin above or left of the others.
            row, column = cog.index(WEST + left * 10 + 5, NORTH - top * 10 - 5)
            for down in range(0, side, BLOCK):
                height = min(BLOCK, side - down)
                found = cog.read(1, window=Window(column, row + down, side, height))
                assert numpy.array_equal(found, smooth(side, top + down, height, "uint8", left))
        row, column = cog.index(WEST + (east[0] + side // 2) * 10, NORTH - (east[1] + side // 2) * 10)
        assert cog.read_masks(1, window=Window(column - 500, row - 500, 1000, 1000)).all()


def check_all(cog: Any, width: int, height: int, dtype: str) -> None:
    """Every pixel of a smooth raster."""
    assert (cog.width, cog.height, cog.dtypes) == (width, height, (dtype,))
    for row in range(0, height, BLOCK):
        rows = min(BLOCK, height - row)
        found = cog.read(1, window=Window(0, row, width, rows))
        assert numpy.array_equal(found, smooth(width, row, rows, dtype))
