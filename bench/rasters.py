"""Conversions to COGs beside bare GDAL: one large file, a thousand small ones, and tiles on two workers."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from .containers import make_container, upload
from .our_side import OurSide

SMALL_VARIANTS = 40
SIZES = (256, 512, 1024, 2048)
CREATION = {
    "COMPRESS": "DEFLATE",
    "PREDICTOR": "YES",
    "BIGTIFF": "IF_SAFER",
    "BLOCKSIZE": "512",
    # What ours takes for measured values. By itself GDAL takes cubic, and rio-cogeo nearest.
    "OVERVIEW_RESAMPLING": "AVERAGE",
}

Started = Callable[[OurSide], AbstractContextManager[None]]


@dataclass(frozen=True)
class Conversion:
    """Seconds to convert one local file with the same options and threads; the fastest of the rounds."""

    megapixels: float
    threads: int
    gdal: float
    """GDALCreateCopy with the COG driver, which is what `gdal_translate -of COG` does."""
    rio_cogeo: float
    ours: float
    """The conversion itself."""
    ours_with_checks: float
    """And the strict validation and the comparison of all pixels."""


@dataclass(frozen=True)
class SmallRasters:
    """Seconds for so many rasters of 256 to 2,048 pixels a side."""

    rasters: int
    megabytes: float
    gdal: float
    """The sum of what bare GDAL takes for each, one by one: the mean of before the job and after it."""
    ours: float
    """A job over all of them on two workers, with items and thumbnails."""


@dataclass(frozen=True)
class Chunked:
    """Seconds of a raster that is converted in tiles, by number of workers that do one task at a time."""

    gigapixels: float
    tiles: int
    one_worker: float
    two_workers: float


def measure_conversion(pixels: int, rounds: int) -> Conversion:
    """In processes of their own: GDAL stays out of the one that measures."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.tif"
        _script(_MAKE, source, pixels, 3)
        ways = ("gdal", "rio_cogeo", "ours", "ours_with_checks")
        found: dict[str, list[float]] = {way: [] for way in ways}
        threads = 1
        for _ in range(rounds):
            for way, seconds in found.items():
                target = Path(folder) / f"{way}.tif"
                seconds.append(float(_script(_CONVERT, way, source, target, threads, json.dumps(CREATION))))
                target.unlink()
    return Conversion(
        round(3 * pixels**2 / 1e6, 1), threads, **{way: min(seconds) for way, seconds in found.items()}
    )


def measure_small(ours: OurSide, rasters: int, limit: float) -> SmallRasters:
    """Convert a container of small rasters by one job, and the same files by bare GDAL."""
    source, target = "bench-small", "bench-small-cogs"
    make_container(ours, target)
    container = make_container(ours, source)
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for number in range(min(SMALL_VARIANTS, rasters)):
            path = Path(folder) / f"{number:03}.tif"
            _script(_MAKE, path, SIZES[number % len(SIZES)], 1 + number % 3)
            files.append(path)
        contents = [path.read_bytes() for path in files]
        names = [(f"{number:05}.tif", contents[number % len(contents)]) for number in range(rasters)]
        upload(container, names)
        before = _gdal_seconds(files)
        began = time.perf_counter()
        [status] = ours.run_jobs(
            "raster_to_cog",
            [
                {
                    "container": source,
                    "prefix": "",
                    "target_container": target,
                    "profile": {"compression": "deflate"},
                }
            ],
            limit,
        )
        seconds = time.perf_counter() - began
        each = [(one + other) / 2 for one, other in zip(before, _gdal_seconds(files), strict=True)]
    gdal = sum(each[number % len(each)] for number in range(rasters))
    if status["result"]["cogs"] != rasters:
        raise RuntimeError(f"{rasters} rasters became {status['result']}")
    return SmallRasters(rasters, round(sum(len(data) for _, data in names) / 1e6, 1), gdal, seconds)


def _gdal_seconds(files: list[Path]) -> list[float]:
    answer = _script(_GDAL_ALL, json.dumps([str(path) for path in files]), json.dumps(CREATION))
    return [float(seconds) for seconds in json.loads(answer)]


def measure_chunked(ours: OurSide, side: int, limit: float, started: Started) -> Chunked:
    """The same large raster on one worker and on two, each of which does one task at a time."""
    seconds: dict[int, float] = {}
    tiles = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.tif"
        large_raster(path, side)
        make_container(ours, "bench-large-cogs")
        # Once: both read the same blob, and gigabytes written between two runs leave the disk busy.
        with path.open("rb") as file:
            make_container(ours, "bench-large").upload_blob("large.tif", file, max_concurrency=2)
        path.unlink()
        for workers in (1, 2):
            environment = {"CONVERSION_THREADS": "1", "TASK_SCRATCH_LIMIT": "16GiB"}
            one = replace(ours, workers=workers, tasks_at_once=1, environment=environment)
            with started(one):
                began = time.perf_counter()
                [status] = one.run_jobs(
                    "raster_to_cog",
                    [
                        {
                            "container": "bench-large",
                            "blob": "large.tif",
                            "target_container": "bench-large-cogs",
                            "overwrite": "always",
                            "profile": {"compression": "deflate"},
                            "chunk_threshold": min(10**9, side * side - 1),
                        }
                    ],
                    limit,
                )
                seconds[workers] = time.perf_counter() - began
                tiles = status["stages"][2]["task_count"]
    return Chunked(round(side * side / 1e9, 2), tiles, seconds[1], seconds[2])


def large_raster(path: Path, side: int) -> None:
    """The source of `measure_chunked`: uint16 of one band, `side` pixels on each side."""
    _script(_MAKE, path, side, 1)


def _script(code: str, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, check=False, text=True
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return done.stdout.strip()


_MAKE = """
import sys
import numpy as np, rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window
path, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = np.random.default_rng(size * 10 + count)
# Terrain: smooth with a little noise, as satellite images and elevations are.
tile = 1024
y, x = np.mgrid[0:tile, 0:tile]
base = (2000 + 500 * np.sin(x / 97) + 300 * np.cos(y / 61)).astype("uint16")
profile = dict(driver="GTiff", width=size, height=size, count=count, dtype="uint16", crs="EPSG:32633",
               transform=from_origin(400000, 5800000, 10, 10), tiled=size > 2048, BIGTIFF="IF_SAFER")
if size > 30000:
    profile |= dict(compress="zstd", zstd_level=1)
with rasterio.open(path, "w", **profile) as dataset:
    for band in range(1, count + 1):
        for row in range(0, size, tile):
            for column in range(0, size, tile):
                h, w = min(tile, size - row), min(tile, size - column)
                data = base[:h, :w] + chance.integers(0, 16, (h, w), dtype="uint16") + row // 100 + band
                dataset.write(data.astype("uint16"), band, window=Window(column, row, w, h))
"""

_GDAL_ALL = """
import json, sys, time
import rasterio, rasterio.shutil
files, creation = json.loads(sys.argv[1]), json.loads(sys.argv[2])
seconds = []
for path in [files[0], *files]:
    began = time.perf_counter()
    rasterio.shutil.copy(path, path + ".cog.tif", driver="COG", NUM_THREADS="1", **creation)
    seconds.append(time.perf_counter() - began)
print(json.dumps(seconds[1:]))
"""

_CONVERT = """
import json, sys, time
way, source, target, threads = sys.argv[1:5]
creation = json.loads(sys.argv[5])
import rasterio, rasterio.shutil
if way == "gdal":
    began = time.perf_counter()
    rasterio.shutil.copy(source, target, driver="COG", NUM_THREADS=threads, **creation)
elif way == "rio_cogeo":
    from rio_cogeo.cogeo import cog_translate
    from rio_cogeo.profiles import cog_profiles
    profile = cog_profiles.get("deflate") | {"PREDICTOR": 2, "NUM_THREADS": threads}
    began = time.perf_counter()
    cog_translate(source, target, profile, in_memory=False, quiet=True, forward_band_tags=True,
                  overview_resampling=creation["OVERVIEW_RESAMPLING"].lower())
else:
    from pathlib import Path
    from interfaces.conversions import SourceBlob
    from interfaces.rasters import CogOptions
    from services.cog import conversion, fidelity, validation
    from services.cog.plan import plan_conversion
    options = CogOptions.model_validate_json('{"profile": {"compression": "deflate"}}')
    blob = SourceBlob(container="local", name="source.tif", etag="1", size=Path(source).stat().st_size)
    began = time.perf_counter()
    with rasterio.open(source) as dataset:
        limits = dict(chunk_threshold=10**10, memory_limit=2**31, scratch_limit=2**36)
        plan = plan_conversion(dataset, blob, options, **limits)
    conversion.convert(plan, [source], target, threads=int(threads))
    if way == "ours_with_checks":
        validation.validate(target)
        fidelity.compare(plan, [source], target, lambda: None)
print(time.perf_counter() - began)
"""
