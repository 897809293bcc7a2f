"""Jobs of several types over one container, no two of them the same; and what they must leave."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy
import rasterio
from azure.storage.blob import BlobServiceClient, ContainerClient
from rio_cogeo.cogeo import cog_validate

from tests.fix_app import App

from .checks import Wish, a_greeting
from .raster_shapes import SCRATCH, TABLES, raster

SOURCES, COGS = "mixed-sources", "mixed-cogs"
TEXTS, RASTERS = 40, 3
FILES = TEXTS + RASTERS
KIND = "small"

WRONG_RESULTS = """
SELECT job_id, job_type, result FROM app.jobs
WHERE status = 'completed'
  AND CASE job_type
          WHEN 'list_container' THEN (result ->> 'files')::integer <> %s OR result ->> 'not_described' <> '0'
          WHEN 'raster_to_cog' THEN (result ->> 'cogs')::integer <> %s
      END
"""

LEFT_OVER = """
SELECT (SELECT count(*) FROM geo.cog_publications) AS publications,
       (SELECT count(*) FROM app.stages s
        CROSS JOIN LATERAL app.abandoned_items(s.job_id, s.run, s.stage)) AS items
"""
"""What attempts left that were not the last."""


def upload(storage: str) -> None:
    """The container's files."""
    with BlobServiceClient.from_connection_string(storage) as service:
        service.create_container(COGS)
        container = service.create_container(SOURCES)
        for number in range(TEXTS):
            container.upload_blob(f"texts/{number}.txt", b"x" * number)
        for number in range(RASTERS):
            container.upload_blob(f"rasters/{number}.tif", raster(KIND))


def a_job(chance: random.Random, name: str) -> Wish:
    """Mostly greetings; now and then a list of all files, or the rasters turned into COGs."""
    kind = chance.choices(("greeting", "list", "cogs"), weights=(16, 3, 2))[0]
    if kind == "greeting":
        return a_greeting(chance, name)
    if kind == "list":
        # A limit that is never reached makes each job another one.
        parameters = {
            "container": SOURCES,
            "limit": FILES + chance.randrange(900_000),
            "metadata_level": "full",
        }
        return Wish("list_container", parameters, "completed")
    into = {"target_container": COGS, "path_template": f"{name}/{{stem}}.tif"}
    return Wish("raster_to_cog", {"container": SOURCES, "prefix": "rasters/", **into}, "completed")


def check_results(app: App) -> int:
    """Lists are complete, and each COG is there once, whole, and as its row says; answers how many COGs."""
    assert app.rows(WRONG_RESULTS, FILES, RASTERS) == []
    rows = {row["name"]: row for row in app.rows("SELECT * FROM geo.cogs WHERE container = %s", COGS)}
    [jobs] = app.rows("SELECT count(*) AS n FROM app.jobs WHERE job_type = 'raster_to_cog'")
    assert len(rows) == RASTERS * jobs["n"]
    with ContainerClient.from_connection_string(app.storage, COGS) as client:
        blobs = {blob.name: blob for blob in client.list_blobs(include=["metadata"])}
        beside = {
            f"{name.removesuffix('.tif')}{end}" for name in rows for end in (".item.json", ".thumbnail.png")
        }
        assert set(blobs) == set(rows) | beside
        for name, row in rows.items():
            assert blobs[name].etag.strip('"') == row["etag"]
            assert blobs[name].metadata["publication"] == row["publication"]
        for name in random.Random(1).sample(sorted(rows), min(len(rows), 20)):
            _check_cog(client.download_blob(name).readall())
    return len(rows)


def _check_cog(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cog.tif"
        path.write_bytes(content)
        assert cog_validate(path, strict=True, quiet=True)[0]
        with _source() as before, rasterio.open(path) as after:
            assert numpy.array_equal(before.read(), after.read())


@contextmanager
def _source() -> Iterator[rasterio.DatasetReader]:
    with rasterio.MemoryFile(raster(KIND)) as file, file.open() as dataset:
        yield dataset


def check_cleaned_up(app: App) -> None:
    """The clean-up, as if all had ended an hour ago, leaves nothing of attempts that were not the last."""
    for table, columns in TABLES.items():
        earlier = ", ".join(f"{column} = {column} - interval '1 hour'" for column in columns)
        app.execute(f"UPDATE app.{table} SET {earlier}")
    app.execute("UPDATE geo.cog_publications SET began_at = began_at - interval '1 hour'")
    for _ in range(10):
        answer = app.http.post("/db/maintenance/cleanup", json={"dry_run": False})
        assert answer.status_code == 200, answer.text
        if not answer.json()["more"]:
            break
    assert list(app.rows(LEFT_OVER)[0].values()) == [0, 0]
    with ContainerClient.from_connection_string(app.storage, SCRATCH) as client:
        assert not client.exists() or list(client.list_blob_names()) == []
