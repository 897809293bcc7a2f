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
from functools import partial
from itertools import chain
from pathlib import Path

from azure.storage.blob import ContainerClient
from psycopg.conninfo import conninfo_to_dict

from .containers import make_container
from .cpu import cpu_seconds, parse_stat
from .our_side import OurSide

SOURCE = "bench-vectors"
LIMITS = {"TASK_SCRATCH_LIMIT": "16GiB"}
WARMING = 8_000
"""Polygons of the loads before the first that counts: chunks enough for every worker to have one."""
WARMING_CHUNK = 1_000
MOST_WARMING_LOADS = 10
LOADERS = """
SELECT count(DISTINCT t.worker) FROM app.tasks t JOIN app.stages s USING (job_id, run, stage)
WHERE s.stage_key = 'load' AND t.job_id = %s
"""

Started = Callable[[OurSide], AbstractContextManager[None]]


@dataclass(frozen=True)
class VectorLoad:
    """Median seconds to load one GeoPackage into an indexed, analysed table."""

    polygons: int
    megabytes: float
    ogr2ogr: float
    """With PG_USE_COPY, transactions of 65,536, and ANALYZE; a process of its own that reads a local file."""
    fetched_ogr2ogr: float
    """The same of a file that is fetched from blob storage first, by the SDK, two pieces at a time."""
    one_worker: float
    """The whole job, which fetches the file from blob storage; one task at a time, by workers that have
    loaded before."""
    two_workers: float
    """The same by two, of which both load chunks of each job."""
    peak_mib: float
    """The largest resident memory that a worker ever had."""
    cpu: dict[str, float]
    """Median seconds of CPU of the same: of ogr2ogr or the workers, and of the servers that they use."""


def measure_vectors(ours: OurSide, polygons: int, rounds: int, limit: float, started: Started) -> VectorLoad:
    """Load by each in turn. Raises `RuntimeError` where ogr2ogr is not installed."""
    if shutil.which("ogr2ogr") is None:
        raise RuntimeError("ogr2ogr is missing: apt-get install gdal-bin")
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    ways = {1: "one_worker", 2: "two_workers"}
    peak = 0.0
    with tempfile.TemporaryDirectory() as folder:
        path, small = Path(folder) / "polygons.gpkg", Path(folder) / "small.gpkg"
        _make(path, polygons)
        _make(small, WARMING)
        for workers, way in ways.items():
            one = replace(ours, workers=workers, tasks_at_once=1, environment=LIMITS)
            with started(one):
                one.rows("CREATE EXTENSION IF NOT EXISTS postgis")
                container = make_container(one, SOURCE)
                _upload(container, small)
                _warm(one, small.name, limit)
                for number in range(rounds):
                    # Anew each time: a worker keeps the copy of a blob that stays as it was.
                    _upload(container, path)
                    for way_, load in (
                        ("ogr2ogr", partial(_ogr2ogr, one, path)),
                        ("fetched_ogr2ogr", partial(_fetched_ogr2ogr, one, container, path)),
                    ):
                        found[way_].append(_measured(one, load))
                        _check_ogr2ogr(one, polygons)
                    name = f"loaded_{number}"
                    found[way].append(_measured(one, partial(_load, one, path.name, polygons, name, limit)))
                    one.rows(f"DROP TABLE features.{name}")
                peak = max(peak, *_peaks(one.processes()["workers"]))
        megabytes = path.stat().st_size / 1e6
    seconds = {way: statistics.median(wall for wall, _ in runs) for way, runs in found.items()}
    return VectorLoad(
        polygons,
        round(megabytes, 1),
        seconds["ogr2ogr"],
        seconds["fetched_ogr2ogr"],
        seconds["one_worker"],
        seconds["two_workers"],
        round(peak, 1),
        {way: round(statistics.median(cpu for _, cpu in runs), 2) for way, runs in found.items()},
    )


def _upload(container: ContainerClient, path: Path) -> None:
    with path.open("rb") as file:
        container.upload_blob(path.name, file, overwrite=True, max_concurrency=2)


def _make(path: Path, polygons: int) -> None:
    command = [sys.executable, "-c", _MAKE, str(path), str(polygons)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise RuntimeError(made.stderr[-2000:])


def _warm(ours: OurSide, blob: str, limit: float) -> None:
    """Let every worker load something, as in a service that has run for a while."""
    for number in range(MOST_WARMING_LOADS):
        table = f"warming_{number}"
        if _load(ours, blob, WARMING, table, limit, chunk_features=WARMING_CHUNK, loaders=1) == ours.workers:
            return
    raise RuntimeError(f"of {ours.workers} workers some loaded nothing in {MOST_WARMING_LOADS} jobs")


def _measured(ours: OurSide, load: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and seconds of CPU of all that take part."""
    # What was written before is not this one's to write.
    ours.rows("CHECKPOINT")
    # This one too: of ogr2ogr, which has ended then, it knows the time.
    roots = {"all": [os.getpid(), *chain.from_iterable(ours.processes().values())]}
    before, began = cpu_seconds(roots)["all"], time.perf_counter()
    load()
    return time.perf_counter() - began, cpu_seconds(roots)["all"] - before


def _load(
    ours: OurSide,
    blob: str,
    polygons: int,
    table: str,
    limit: float,
    *,
    chunk_features: int | None = None,
    loaders: int | None = None,
) -> int:
    """Load by a job; answers how many workers loaded chunks, of which there must be `loaders`, or all."""
    given: dict[str, object] = {"container": SOURCE, "blob": blob, "target_table": table}
    if chunk_features is not None:
        given["chunk_features"] = chunk_features
    [status] = ours.run_jobs("vector_to_postgis", [given], limit)
    if status["result"]["loaded"] != polygons:
        raise RuntimeError(f"{polygons} polygons became {status['result']}")
    [(workers,)] = ours.rows(LOADERS, status["job_id"])
    if workers < (ours.workers if loaders is None else loaders):
        raise RuntimeError(f"of {ours.workers} workers {workers} took part")
    return int(workers)


def _fetched_ogr2ogr(ours: OurSide, container: ContainerClient, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fetched = Path(folder) / path.name
        with fetched.open("wb") as file:
            container.download_blob(path.name, max_concurrency=2).readinto(file)
        _ogr2ogr(ours, fetched)


def _ogr2ogr(ours: OurSide, path: Path) -> None:
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
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    ours.rows("ANALYZE public.ogr")


def _check_ogr2ogr(ours: OurSide, polygons: int) -> None:
    """What counts its rows, and what removes them, is not part of the load."""
    if ours.rows("SELECT count(*) FROM public.ogr") != [(polygons,)]:
        raise RuntimeError("ogr2ogr loaded another number of polygons")
    ours.rows("DROP TABLE public.ogr")


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
