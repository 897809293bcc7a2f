"""Jobs that export a layer, over a file that is there already, and what there must be in the end."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow.parquet
import pyogrio
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from psycopg import sql

from tests.chaos.crash_harness import CrashHost
from tests.chaos.crash_shape import Shape
from tests.chaos.raster_shapes import blobs, cancel_after_the_death

TARGET = "crash-layers"
COUNT = 25_000
"""Features, of which ten thousand at most are in memory."""
OLD = b"old"
MAKE = """
CREATE SCHEMA IF NOT EXISTS features;
CREATE TABLE {table} (fid bigint PRIMARY KEY, number integer, geom geometry(Point, 4326));
INSERT INTO {table}
SELECT n, n, ST_SetSRID(ST_MakePoint(n % 100, n % 80), 4326) FROM generate_series(1, {count}) AS n;
INSERT INTO geo.layers (target_schema, target_table, title, srid, geometry_column, geometry_type, key,
                        columns, row_count, job_id, run)
VALUES ('features', {name}, 'made', 4326, 'geom', 'Point', '["fid"]',
        '[{{"name": "number", "type": "integer", "original": "number"}}]', {count}, 'job', 1)
"""


def name_of(label: str, parameters: dict[str, Any]) -> str:
    """The blob that a job writes."""
    return f"features/t_{label}.{'gpkg' if parameters['format'] == 'geopackage' else 'parquet'}"


def prepare(host: CrashHost, label: str) -> None:
    """Makes the table, and puts what is to be replaced."""
    prepare_first(host, label)
    with BlobServiceClient.from_connection_string(host.app.storage) as service:
        for extension in ("parquet", "gpkg"):
            service.get_blob_client(TARGET, f"features/t_{label}.{extension}").upload_blob(OLD)


def prepare_first(host: CrashHost, label: str) -> None:
    """Makes the table."""
    name = f"t_{label}"
    made = sql.SQL(MAKE).format(
        table=sql.Identifier("features", name), name=sql.Literal(name), count=sql.Literal(COUNT)
    )
    host.execute(made.as_string())
    with BlobServiceClient.from_connection_string(host.app.storage) as service, suppress(ResourceExistsError):
        service.create_container(TARGET)


class Export(Shape):
    """An export of the table that the label names."""

    def submission(self, label: str) -> tuple[str, dict[str, Any]]:
        """The table is named so that it is a name in SQL, too."""
        return self.job_type, {**self.parameters, self.label: f"t_{label}"}


def features(content: bytes) -> int:
    """How many features a whole file has; raises for a part of one."""
    if content[:4] == b"PAR1":
        file = pyarrow.parquet.ParquetFile(io.BytesIO(content))
        assert json.loads(file.metadata.metadata[b"geo"])["version"] == "1.1.0"
        return int(file.read().num_rows)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.gpkg"
        path.write_bytes(content)
        return len(pyogrio.raw.read(path, columns=[])[2])


def verify(host: CrashHost, job_id: str) -> bool:
    """The file is whole, and the result says what is in it."""
    job = host.job(job_id)
    label = str(job["parameters"]["source_table"]).removeprefix("t_")
    [content] = blobs(host, TARGET, name_of(label, job["parameters"])).values()
    assert (features(content), job["result"]["features"]) == (COUNT, COUNT)
    assert job["result"]["size"] == len(content)
    return True


def verify_untouched(host: CrashHost, job_id: str) -> bool:
    """The file is as it was."""
    label = str(host.job(job_id)["parameters"]["source_table"]).removeprefix("t_")
    [content] = blobs(host, TARGET, f"features/t_{label}.parquet").values()
    assert content == OLD
    return True


def exports(kind: str, **given: Any) -> Shape:
    """A job that exports the layer."""
    asked = {"format": kind, "target_container": TARGET, "overwrite": "always", **given}
    return Export("export_vector", asked, label="source_table", prepare=prepare, verify=verify)


EXPORT_SHAPES = {
    "parquet": exports("geoparquet"),
    "package": exports("geopackage"),
    "first parquet": replace(exports("geoparquet", overwrite="never"), prepare=prepare_first),
    "cancelled parquet": replace(
        exports("geoparquet"), status="cancelled", act=cancel_after_the_death, verify=verify_untouched
    ),
}
