"""Jobs that convert one raster, over a COG that is there already, and what there must be in the end."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import rasterio
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContainerClient
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate

from tests.chaos.crash_harness import CrashHost
from tests.chaos.crash_shape import Shape

SOURCES = "crash-sources"
COGS = "crash-cogs"
SCRATCH = "job-scratch"
"""Containers."""
NAME = "a.tif"

TABLES = {
    "jobs": ("created_at", "queued_at", "started_at", "updated_at", "completed_at"),
    "stages": ("created_at", "completed_at"),
    "tasks": ("started_at", "completed_at", "due_at"),
    "job_events": ("at",),
}
"""And what of them says when it was."""


@cache
def raster(kind: str) -> bytes:
    """A GeoTIFF that compresses well, or one of 9 MB that does not."""
    width, height, count = (2000, 1500, 3) if kind in ("large", "passing") else (700, 600, 1)
    if kind == "tiled":
        width, height = 1300, 1100
    if count == 3:
        data = numpy.random.default_rng(1).integers(0, 256, (count, height, width), "uint8")
    else:
        y, x = numpy.mgrid[0:height, 0:width]
        data = ((x * 2 + y * 3) % 251).astype("uint8")[numpy.newaxis]
    driver = "COG" if kind == "passing" else "GTiff"
    with rasterio.MemoryFile() as file:
        with file.open(
            driver=driver,
            width=width,
            height=height,
            count=count,
            dtype="uint8",
            crs="EPSG:32632",
            transform=from_origin(500_000, 5_600_000, 10, 10),
        ) as dataset:
            dataset.write(data)
        return bytes(file.read())


OLD = b"what was there before; " * 100_000
"""The content of a target that somebody else wrote."""


def prepare(kind: str) -> Any:
    """Puts the source, and the target that is to be replaced."""

    def put(host: CrashHost, label: str) -> None:
        with BlobServiceClient.from_connection_string(host.app.storage) as service:
            for container in (SOURCES, COGS):
                with suppress(ResourceExistsError):
                    service.create_container(container)
            service.get_blob_client(SOURCES, f"{label}/{NAME}").upload_blob(raster(kind))
            service.get_blob_client(COGS, f"{label}/{NAME}").upload_blob(OLD)

    return put


def label_of(host: CrashHost, job_id: str) -> str:
    """The folder of the job's source, and of its target."""
    return str(host.job(job_id)["parameters"]["prefix"])


def blobs(host: CrashHost, container: str, prefix: str) -> dict[str, bytes]:
    """All blobs whose names begin so."""
    with ContainerClient.from_connection_string(host.app.storage, container) as client:
        if not client.exists():
            return {}
        names = list(client.list_blob_names(name_starts_with=prefix))
        return {name: client.download_blob(name).readall() for name in names}


def verify_published(kind: str) -> Any:
    """The COG, its row, item and thumbnail are there, each once and whole."""

    def verify(host: CrashHost, job_id: str) -> bool:
        assert host.job(job_id)["result"]["cogs"] == 1
        label = label_of(host, job_id)
        found = blobs(host, COGS, f"{label}/")
        assert sorted(found) == [f"{label}/a.item.json", f"{label}/a.thumbnail.png", f"{label}/{NAME}"]
        check_cog(host, kind, label, found[f"{label}/{NAME}"])
        item = json.loads(found[f"{label}/a.item.json"])
        assert item["assets"]["data"]["file:size"] == len(found[f"{label}/{NAME}"])
        thumbnail = found[f"{label}/a.thumbnail.png"]
        with rasterio.MemoryFile(thumbnail) as file, file.open(driver="PNG") as picture:
            assert picture.read().any()
        return True

    return verify


def verify_cancelled(kind: str) -> Any:
    """Nobody runs any more; the target is the old one, or a new one that is whole."""

    def verify(host: CrashHost, job_id: str) -> bool:
        label = label_of(host, job_id)
        content = blobs(host, COGS, f"{label}/{NAME}")[f"{label}/{NAME}"]
        if content != OLD:
            check_file(kind, content)
        return True

    return verify


def check_cog(host: CrashHost, kind: str, label: str, content: bytes) -> None:
    """The file is right, and its only row says so."""
    check_file(kind, content)
    [row] = host.rows("SELECT * FROM geo.cogs WHERE container = %s AND name = %s", COGS, f"{label}/{NAME}")
    with ContainerClient.from_connection_string(host.app.storage, COGS) as client:
        seen = client.get_blob_client(f"{label}/{NAME}").get_blob_properties()
    assert row["etag"] == seen.etag.strip('"')
    assert (row["size"], row["md5"]) == (len(content), hashlib.md5(content).hexdigest())
    assert row["publication"] == seen.metadata["publication"]


def check_file(kind: str, content: bytes) -> None:
    """A strictly valid COG with the source's pixels."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cog.tif"
        path.write_bytes(content)
        valid, errors, warnings = cog_validate(path, strict=True, quiet=True)
        assert valid, (errors, warnings)
        with (
            rasterio.MemoryFile(raster(kind)) as source,
            source.open() as before,
            rasterio.open(path) as after,
        ):
            assert numpy.array_equal(before.read(), after.read())
            assert (after.crs, after.transform) == (before.crs, before.transform)


def cancel_after_the_death(host: CrashHost, job_id: str) -> None:
    """Cancel while what the dead worker held is still held."""
    host.until(host.crashes, "a worker died")
    host.post(f"/jobs/{job_id}/cancel", expected=(200, 202))


def clean_up(host: CrashHost, job_id: str) -> None:
    """The clean-up, as if the job had ended an hour ago."""
    for table, columns in TABLES.items():
        earlier = ", ".join(f"{column} = {column} - interval '1 hour'" for column in columns)
        host.rows(f"UPDATE app.{table} SET {earlier} WHERE job_id = %s RETURNING 1", job_id)
    host.rows("UPDATE geo.cog_publications SET began_at = began_at - interval '1 hour' RETURNING 1")
    host.post("/db/maintenance/cleanup", (200,), {"dry_run": False})


def check_nothing_left(host: CrashHost, job_id: str) -> None:
    """No scratch blob of the job and no intent; a target that was replaced has its row."""
    assert blobs(host, SCRATCH, job_id) == {}
    assert host.rows("SELECT * FROM geo.cog_publications") == []
    label = label_of(host, job_id)
    [content] = blobs(host, COGS, f"{label}/{NAME}").values()
    rows = host.rows("SELECT md5 FROM geo.cogs WHERE container = %s AND name = %s", COGS, f"{label}/{NAME}")
    assert [row["md5"] for row in rows] == ([] if content == OLD else [hashlib.md5(content).hexdigest()])
    assert host.app.violations() == 0


def converts(kind: str, **parameters: Any) -> Shape:
    """A job that converts one raster of this kind."""
    # What is there was written by somebody else.
    given = {"container": SOURCES, "target_container": COGS, "overwrite": "always", **parameters}
    return Shape("raster_to_cog", given, label="prefix", prepare=prepare(kind), verify=verify_published(kind))


def cancelled(shape: Shape, kind: str) -> Shape:
    """The same, cancelled after a worker died."""
    return replace(shape, status="cancelled", act=cancel_after_the_death, verify=verify_cancelled(kind))


IN_TILES = {"chunk_threshold": 1_000_000, "profile": {"block_size": 256}}
RASTER_SHAPES = {
    "raster": converts("small"),
    "large raster": converts("large"),
    "passing raster": converts("passing"),
    "tiled raster": converts("tiled", **IN_TILES),
    # Overviews that look beyond tiles: GDAL compresses all of them again.
    "large tiled raster": converts(
        "large", chunk_threshold=1_000_000, profile={"block_size": 256, "overview_resampling": "cubic"}
    ),
}
RASTER_SHAPES |= {
    "cancelled raster": cancelled(RASTER_SHAPES["large raster"], "large"),
    "cancelled tiled raster": cancelled(RASTER_SHAPES["tiled raster"], "tiled"),
}
