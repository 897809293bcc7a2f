"""Loading polygons into PostGIS beside ogr2ogr: the same file, the same server, in turn."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from .containers import make_container
from .cpu import parse_stat
from .our_side import OurSide

SOURCE = "bench-vectors"
LIMITS = {"TASK_SCRATCH_LIMIT": "16GiB"}

Started = Callable[[OurSide], AbstractContextManager[None]]


@dataclass(frozen=True)
class VectorLoad:
    """Median seconds to load one GeoPackage into an indexed, analysed table."""

    polygons: int
    megabytes: float
    ogr2ogr: float
    """With PG_USE_COPY, transactions of 65,536, and ANALYZE; a local file."""
    one_worker: float
    """The whole job, which fetches the file from blob storage; one task at a time."""
    two_workers: float
    peak_mib: float
    """The largest resident memory that a worker ever had."""


def measure_vectors(ours: OurSide, polygons: int, rounds: int, limit: float, started: Started) -> VectorLoad:
    """Load by each in turn. Raises `RuntimeError` where ogr2ogr is not installed."""
    if shutil.which("ogr2ogr") is None:
        raise RuntimeError("ogr2ogr is missing: apt-get install gdal-bin")
    seconds: dict[str, list[float]] = defaultdict(list)
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "polygons.gpkg"
        made = subprocess.run(
            [sys.executable, "-c", _MAKE, str(path), str(polygons)],
            capture_output=True,
            text=True,
            check=False,
        )
        if made.returncode:
            raise RuntimeError(made.stderr[-2000:])
        for workers in (1, 2):
            one = replace(ours, workers=workers, tasks_at_once=1, environment=LIMITS)
            with started(one):
                one.rows("CREATE EXTENSION IF NOT EXISTS postgis")
                with path.open("rb") as file:
                    container = make_container(one, SOURCE)
                    container.upload_blob(path.name, file, overwrite=True, max_concurrency=2)
                for number in range(rounds):
                    if workers == 1:
                        seconds["ogr2ogr"].append(_ogr2ogr(one, path, polygons))
                    seconds[f"ours {workers}"].append(_job(one, path.name, polygons, number, limit))
                peak = max(peak, *_peaks(one.processes()["workers"]))
        megabytes = path.stat().st_size / 1e6
    return VectorLoad(
        polygons,
        round(megabytes, 1),
        statistics.median(seconds["ogr2ogr"]),
        statistics.median(seconds["ours 1"]),
        statistics.median(seconds["ours 2"]),
        round(peak, 1),
    )


def _job(ours: OurSide, blob: str, polygons: int, number: int, limit: float) -> float:
    given = {"container": SOURCE, "blob": blob, "target_table": f"loaded_{number}"}
    began = time.perf_counter()
    [status] = ours.run_jobs("vector_to_postgis", [given], limit)
    seconds = time.perf_counter() - began
    if status["result"]["loaded"] != polygons:
        raise RuntimeError(f"{polygons} polygons became {status['result']}")
    ours.rows(f"DROP TABLE features.loaded_{number}")
    return seconds


def _ogr2ogr(ours: OurSide, path: Path, polygons: int) -> float:
    known = conninfo_to_dict(ours.database_url)
    target = "PG:" + " ".join(f"{name}='{value}'" for name, value in known.items() if name != "password")
    environment = {**os.environ, "PGPASSWORD": str(known.get("password", "")), "PG_USE_COPY": "YES"}
    command = [
        "ogr2ogr",
        "-f",
        "PostgreSQL",
        target,
        str(path),
        "-nln",
        "public.ogr",
        "-nlt",
        "PROMOTE_TO_MULTI",
    ]
    command += ["-lco", "GEOMETRY_NAME=geom", "-lco", "SPATIAL_INDEX=GIST", "-gt", "65536", "-overwrite"]
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    ours.rows("ANALYZE public.ogr")
    seconds = time.perf_counter() - began
    if done.returncode or ours.rows("SELECT count(*) FROM public.ogr") != [(polygons,)]:
        raise RuntimeError(done.stderr[-2000:] or "ogr2ogr loaded another number of polygons")
    ours.rows("DROP TABLE public.ogr")
    return seconds


def _peaks(roots: list[int]) -> list[float]:
    """VmHWM of these processes and of all below them, MiB."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(process.name)] = parse_stat((process / "stat").read_text()).parent
    below = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    peaks = []
    for pid in below:
        with suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            peaks += [int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return peaks


_MAKE = """
import sys
import numpy as np, pyarrow as pa, shapely
from pyogrio.raw import write_arrow
path, count = sys.argv[1], int(sys.argv[2])
chance = np.random.default_rng(5)
angles = np.linspace(0, 2 * np.pi, 17)[:-1]
for first in range(0, count, 100_000):
    n = min(100_000, count - first)
    # Sixteen corners each, as buildings and parcels have about; a country full of them, none of them broken.
    centre = np.stack([chance.uniform(5.9, 15.0, n), chance.uniform(47.3, 55.0, n)], -1)[:, None, :]
    radius = chance.uniform(0.0002, 0.0006, (n, 16, 1))
    ring = centre + radius * np.stack([np.cos(angles), np.sin(angles)], -1)[None]
    ring = np.concatenate([ring, ring[:, :1]], 1)
    polygons = shapely.polygons(shapely.linearrings(ring))
    numbers = np.arange(first, first + n)
    table = pa.table({
        "parcel": pa.array([f"DE-{number:08}" for number in numbers]),
        "class": pa.array(numbers % 17, pa.int32()),
        "area": pa.array(chance.uniform(10, 5000, n)),
        "surveyed": pa.array((18_000 + numbers % 2_000).astype("datetime64[D]")),
        "geom": pa.array(shapely.to_wkb(polygons), pa.binary()),
    })
    write_arrow(table, path, layer="parcels", driver="GPKG", geometry_name="geom", geometry_type="Polygon",
                crs="EPSG:4326", append=first > 0)
"""
