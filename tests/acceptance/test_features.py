"""The features API of the running app, read by GDAL's own driver for it, as ogr2ogr and others have it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow
import pyogrio
import pytest
from azure.storage.blob import BlobServiceClient

from local.stack.postgres import PostgresServer
from tests.fix_app import App, serving

COUNT = 1203
KEY = {"x-functions-key": "f-key"}


@dataclass(frozen=True)
class Served:
    """A running app with a layer that a job has loaded."""

    app: App
    layer: str
    headers: str
    """A file with the key, as GDAL reads it."""

    @property
    def url(self) -> str:
        return f"{self.app.url}/api/features"

    def read(self, **selection: Any) -> pyarrow.Table:
        """What GDAL reads of the layer, page by page."""
        _, table = pyogrio.read_arrow(f"OAPIF:{self.url}", layer=self.layer, **selection)
        return table


def town(number: int) -> dict[str, Any]:
    """A feature of the file that is loaded."""
    point = {"type": "Point", "coordinates": [number % 360 - 180, number % 180 - 90]}
    properties = {"name": f"Ort {number} ß", "class": number % 3, "paved": number % 2 == 0}
    return {"type": "Feature", "properties": properties, "geometry": point}


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Served]:
    """Towns, loaded by `vector_to_postgis`; the app asks for keys."""
    folder = tmp_path_factory.mktemp("features")
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"function": "f-key", "admin": "a-key"}))
    towns = json.dumps({"type": "FeatureCollection", "features": [town(number) for number in range(COUNT)]})
    with BlobServiceClient.from_connection_string(storage_connection_string) as blobs:
        container = blobs.create_container(folder.name)
        container.upload_blob("towns.geojson", towns.encode())
    arguments = ("--auth", "--keys", str(keys))
    with serving(postgres_server, migrated_template, storage_connection_string, folder, *arguments) as app:
        app.http.headers.update(KEY)
        job = app.submit("vector_to_postgis", container=folder.name, prefix="")
        assert app.wait(job)["status"] == "completed"
        headers = folder / "headers"
        headers.write_text("x-functions-key: f-key\n")
        pyogrio.set_gdal_config_options({"GDAL_HTTP_HEADER_FILE": str(headers)})
        yield Served(app, "features.towns", str(headers))
        pyogrio.set_gdal_config_options({"GDAL_HTTP_HEADER_FILE": None})


def test_the_driver_finds_the_layer_and_its_columns(served: Served) -> None:
    assert [name for name, _ in pyogrio.list_layers(f"OAPIF:{served.url}")] == [served.layer]
    info = pyogrio.read_info(f"OAPIF:{served.url}", layer=served.layer)
    assert {"fid", "name", "class", "paved"} <= set(info["fields"])
    assert info["features"] == COUNT
    assert [round(edge) for edge in info["total_bounds"]] == [-180, -90, 179, 89]


def test_the_driver_reads_every_feature_of_the_table_once_and_right(served: Served) -> None:
    table = served.read()
    rows = served.app.rows("SELECT name, class, paved FROM features.towns ORDER BY fid")
    assert len(rows) == COUNT
    read = sorted(zip(*(table.column(name).to_pylist() for name in ("name", "class", "paved")), strict=True))
    assert read == sorted((row["name"], row["class"], row["paved"]) for row in rows)


WEST = "class = 2 AND name LIKE '%7%' AND geom && ST_MakeEnvelope(-180, -90, 0, 90, 4326)"


@pytest.mark.parametrize(
    ("selection", "condition"),
    [
        ({"bbox": (0, -90, 40, -40)}, "geom && ST_MakeEnvelope(0, -90, 40, -40, 4326)"),
        ({"where": "class = 2"}, "class = 2"),
        ({"where": "class = 2 AND name LIKE '%7%'", "bbox": (-180, -90, 0, 90)}, WEST),
    ],
)
def test_the_driver_selects_as_sql_does(served: Served, selection: dict[str, Any], condition: str) -> None:
    table = served.read(**selection)
    rows = served.app.rows(f"SELECT name FROM features.towns WHERE {condition}")
    assert len(rows) > 10
    assert sorted(table.column("name").to_pylist()) == sorted(row["name"] for row in rows)


def test_an_older_gdal_counts_the_same(served: Served) -> None:
    program = shutil.which("ogrinfo")
    if program is None:
        pytest.skip("ogrinfo is not installed")
    options = ("-ro", "-so", "--config", "GDAL_HTTP_HEADER_FILE", served.headers)
    done = subprocess.run(
        [program, *options, f"OAPIF:{served.url}", served.layer],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert f"Feature Count: {COUNT}" in done.stdout, done.stdout + done.stderr


def test_without_the_key_nothing_is_read_and_health_says_nothing_of_it(served: Served) -> None:
    for path in ("", "/collections", f"/collections/{served.layer}/items"):
        assert httpx.get(served.url + path).status_code == 401
        assert httpx.get(served.url + path, headers=KEY).status_code == 200
    assert served.app.get("/health").status_code == 200
