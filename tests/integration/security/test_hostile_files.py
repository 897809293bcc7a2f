"""Files of strangers, through every job type that opens files: nothing is asked for, nothing leaks.

Through the openers alone, within seconds, they go in tests/unit/services/test_hostile_files.py.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import rasterio
from azure.storage.blob import ContainerClient

from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from tests import hostile_rasters, hostile_vectors
from tests.doubles.listener import Listener
from tests.fix_engine import World
from tests.hostile_machine import Machine

PATIENCE_SECONDS = 400
"""For one job: dozens of files, one after the other. On two busy processors it took 7 to 27 s, nearly all of
it waiting for the servers; the limit is for a job that hangs."""
EVERYWHERE = """
SELECT string_agg(found, E'\\n') AS text FROM (
    SELECT query_to_xml(format('SELECT t::text FROM %I.%I t', table_schema, table_name), true, true, '')::text
        AS found
    FROM information_schema.tables
    WHERE table_schema IN ('app', 'features', 'geo', 'pgstac') AND table_type = 'BASE TABLE'
) AS tables
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv("no_proxy", "*")
    with Listener() as listener:
        yield Machine(tmp_path / "machine", listener)


class Depot:
    """One engine with a catalog, and containers for what comes and what is made."""

    def __init__(self, world: World, blobs: AzureBlobRepository, make: Callable[[], ContainerClient]) -> None:
        self.world, self.blobs = world, blobs
        self.source, self.target = str(make().container_name), str(make().container_name)

    def put(self, files: Mapping[str, bytes]) -> None:
        for name, content in files.items():
            self.blobs.write(self.source, name, content)

    def run(self, job_type: str, **given: Any) -> dict[str, Any]:
        """Run a job to its end."""
        fields = self.world.job_types.get(job_type).parameters_model.model_fields
        places = {"container": self.source, "target_container": self.target, "max_failed_fraction": 1.0}
        asked = {name: value for name, value in places.items() if name in fields} | given
        return self.world.run(self.world.submit(job_type, **asked).job_id, PATIENCE_SECONDS)

    def outcomes(self, job: dict[str, Any], stage: int = 2) -> dict[str, str]:
        """What was said of each file."""
        tasks = self.world.tasks(job["job_id"], stage)
        return {
            (task["parameters"] or {}).get("name", ""): task["error"] or json.dumps(task["result"])
            for task in tasks
        }

    def everything(self) -> str:
        """All rows and all that was written."""
        [row] = self.world.rows(EVERYWHERE)
        return "\n".join([str(row["text"]), *(content.decode("latin-1") for _, content in self.written())])

    def written(self, end: str = "") -> list[tuple[str, bytes]]:
        """Names and contents of all blobs that jobs have made."""
        return [
            (blob.name, self.blobs.read(container, blob.name))
            for container in (self.target, self.world.settings.scratch_container)
            for page in self.blobs.list_pages(container)
            for blob in page
            if blob.name.endswith(end)
        ]


@pytest.fixture
def depot(
    catalog_database_url: str, storage_connection_string: str, container: Callable[[], ContainerClient]
) -> Iterator[Depot]:
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    world = World(
        catalog_database_url,
        storage=blobs,
        storage_connection_string=storage_connection_string,
        scratch_container=str(container().container_name),
    )
    yield Depot(world, blobs, container)
    world.close()


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_rasters_have_no_job_read_the_machine_or_ask_a_server(
    depot: Depot, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    depot.put(hostile_rasters.files(machine.raster, machine.text, machine.url))
    everything = {"glob": "**"}

    described = depot.run("list_container", metadata_level="full")
    depot.run("validate_raster", prefix="", filter=everything)
    depot.run("raster_to_cog", prefix="", filter=everything, path_template="cogs/{folder}/{name}.tif")
    reprojected = {"target_crs": "EPSG:3857", "path_template": "web/{folder}/{name}.tif"}
    depot.run("reproject_raster", prefix="", filter=everything, **reprojected)
    depot.run("mosaic_to_cog", prefix="", filter=everything, target_name="mosaic.tif")
    collection = {"collection_id": "hostile", "create_collection": {}}
    depot.run("stac_register", prefix="", filter=everything, kind="rasters", **collection)

    assert machine.listener.connections == []
    said = depot.everything()
    assert machine.leaks(said + caplog.text) == set()
    for name, content in depot.written(".tif"):
        with rasterio.MemoryFile(content) as file, file.open() as dataset:
            assert hostile_rasters.CANARY not in dataset.read(), name
    outcomes = depot.outcomes(described)
    for name in ("virtual/local.vrt", "virtual/local.tif", "hierarchical/link.h5", "tags/remote.tif"):
        assert "refused" in outcomes[name], outcomes[name]


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_vectors_have_no_job_read_the_machine_or_ask_a_server(
    depot: Depot, machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (tmp_path / "made").mkdir()
    depot.put(hostile_vectors.files(machine.vector, machine.text, machine.url, tmp_path / "made"))
    names = [blob.name for page in depot.blobs.list_pages(depot.source) for blob in page]

    depot.run("list_container", metadata_level="full")
    depot.run("validate_vector", blobs=names)
    loaded = depot.run("vector_to_postgis", blobs=names, assume_crs="EPSG:4326", if_exists="append")
    tables = depot.world.rows("SELECT target_table FROM geo.layers ORDER BY 1")
    assert tables
    for kind in ("geoparquet", "flatgeobuf", "geopackage"):
        depot.run("export_vector", source_table=tables[0]["target_table"], format=kind)

    assert machine.listener.connections == []
    assert machine.leaks(depot.everything() + caplog.text) == set()
    outcomes = depot.outcomes(loaded)
    for name in ("virtual/local.geojson", "xml/entity.kml", "archive/link.zip", "database/virtual.gpkg"):
        assert "refused" in outcomes[name] or "not followed" in outcomes[name], outcomes[name]


def test_items_have_no_job_fetch_what_they_name(
    depot: Depot, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    link = {"href": f"{machine.url}/item.json", "type": "application/json"}
    item: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "stac_extensions": [f"{machine.url}/schema.json", f"file://{machine.text}"],
        "id": "a",
        "collection": "hostile",
        "geometry": {"type": "Point", "coordinates": [1, 2]},
        "bbox": [1, 2, 1, 2],
        "properties": {"datetime": "2024-05-01T00:00:00Z"},
        "links": [{**link, "rel": rel} for rel in ("self", "parent", "collection", "root")],
        "assets": {"remote": link, "local": {"href": f"file://{machine.text}"}, "up": {"href": "../../x"}},
    }
    kept = depot.world.settings.results_container
    depot.blobs.ensure_container(kept)
    depot.blobs.write(kept, "kept.json", b"{}")
    item["assets"] |= {name: {"href": depot.blobs.url(kept, name)} for name in ("kept.json", "nothing.json")}
    plain = {**item, "id": "b", "stac_extensions": []}
    depot.put({"a.json": json.dumps(item).encode(), "b.json": json.dumps(plain).encode()})
    collection = {"collection_id": "hostile", "create_collection": {}}
    depot.run("stac_register", prefix="", kind="documents", **collection)
    validated = depot.run("stac_validate", collection="hostile", check_assets=True)
    said = json.dumps(depot.outcomes(validated, 1)) + json.dumps(depot.outcomes(validated))
    said = said.replace("\\", "")
    for kind in ("static", "geoparquet"):
        depot.run("stac_export", collections=["hostile"], format=kind, target_prefix=kind)

    assert machine.listener.connections == []
    assert machine.leaks(depot.everything() + caplog.text) == set()
    # Nor is it told what is there.
    for name in ("kept.json", "nothing.json"):
        assert f'{name}", "reason": "container: {kept} is this app\'s own container' in said, said
