"""Conversions of rasters hand their items to the catalog where there is one, and publish the same without."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import ContainerClient

from interfaces.errors import ServiceUnavailable
from repositories.blobs import AzureBlobRepository
from repositories.pgstac import PgstacCatalog
from repositories.storage_account import StorageAccount
from services.stac.validation import ItemValidator
from tests.fix_engine import World

from .conftest import Library
from .test_register_rasters import raster

MakeContainer = Callable[[], ContainerClient]


class Conversions(Library):
    """A library on a real blob service, with a container for COGs."""

    def __init__(self, world: World, blobs: AzureBlobRepository, source: str, target: str) -> None:
        self.world = world
        self.azure, self.source, self.target = blobs, source, target
        for name in ("2024/a_20240501.tif", "2025/b_20250501.tif"):
            blobs.write(source, name, raster("GTiff"))

    def convert(self, job_type: str = "raster_to_cog", **parameters: Any) -> dict[str, Any]:
        given = {"container": self.source, "prefix": "", "target_container": self.target} | parameters
        return self.world.run(self.world.submit(job_type, **given).job_id, 120)

    def names(self) -> list[str]:
        return [blob.name for page in self.azure.list_pages(self.target) for blob in page]


def conversions(url: str, storage: str, container: MakeContainer) -> Iterator[Conversions]:
    blobs = AzureBlobRepository(StorageAccount(storage))
    scratch, source, target = (str(container().container_name) for _ in range(3))
    world = World(url, storage=blobs, storage_connection_string=storage, scratch_container=scratch)
    yield Conversions(world, blobs, source, target)
    world.close()


@pytest.fixture
def with_catalog(
    catalog_database_url: str, storage_connection_string: str, container: MakeContainer
) -> Iterator[Conversions]:
    yield from conversions(catalog_database_url, storage_connection_string, container)


@pytest.fixture
def without_catalog(
    database_url: str, storage_connection_string: str, container: MakeContainer
) -> Iterator[Conversions]:
    yield from conversions(database_url, storage_connection_string, container)


def test_what_is_converted_is_found_in_the_catalog(with_catalog: Conversions) -> None:
    with_catalog.world.rows("SET search_path = pgstac, public", fetch=False)
    job = with_catalog.convert()
    assert job["status"] == "completed", job["error"]
    assert (job["result"]["registered"], job["result"]["catalog"]) == (2, "loaded")
    items = with_catalog.items(with_catalog.target)
    assert len(items) == 2
    for item in items:
        assert ItemValidator().validate(item).errors == ()
        assert job["job_id"] in item["properties"]["processing:lineage"]
        assert set(item["assets"]) == {"data", "thumbnail"}
    assert with_catalog.found(datetime="2024-05-01T00:00:00Z") != []
    made = with_catalog.collection(with_catalog.target)
    assert made is not None
    assert with_catalog.target in made["description"]
    assert with_catalog.world.violations() == {}


def test_a_conversion_over_another_updates_its_item_and_a_registration_finds_the_same_id(
    with_catalog: Conversions,
) -> None:
    with_catalog.world.rows("SET search_path = pgstac, public", fetch=False)
    with_catalog.convert(collection_id="scenes")
    ids = [item["id"] for item in with_catalog.items("scenes")]
    again = with_catalog.convert(
        collection_id="scenes", overwrite="always", profile={"level": 9, "compression": "deflate"}
    )
    assert again["result"]["registered"] == 2
    job = with_catalog.register(
        60, container=with_catalog.target, kind="rasters", prefix="", collection_id="scenes"
    )
    assert (job["result"]["loaded"], job["result"]["replaced"]) == (2, 2)
    items = with_catalog.items()
    assert [item["id"] for item in items] == ids
    for item in items:
        lineage = item["properties"]["processing:lineage"]
        assert job["job_id"] in lineage
        assert f"The file was made by job {again['job_id']} from {with_catalog.source}/" in lineage


def test_without_a_catalog_everything_is_published_and_the_result_says_so(
    without_catalog: Conversions,
) -> None:
    job = without_catalog.convert()
    assert job["status"] == "completed", job["error"]
    assert (job["result"]["cogs"], job["result"]["registered"]) == (2, 0)
    assert job["result"]["catalog"] == "not_set_up"
    assert "2024/a_20240501.item.json" in without_catalog.names()


def test_what_was_published_before_there_was_a_catalog_is_registered_from_its_documents(
    without_catalog: Conversions,
) -> None:
    without_catalog.convert()
    world = without_catalog.world
    world.run(world.submit("stac_setup").job_id)
    world.rows("SET search_path = pgstac, public", fetch=False)
    job = without_catalog.register(
        60, container=without_catalog.target, prefix="", collection_id="late", create_collection={}
    )
    assert (job["result"]["loaded"], job["result"]["rejected"]) == (2, 0)


def test_a_mosaic_is_one_item(with_catalog: Conversions) -> None:
    with_catalog.world.rows("SET search_path = pgstac, public", fetch=False)
    job = with_catalog.convert("mosaic_to_cog", target_name="all.tif", collection_id="mosaics")
    assert job["status"] == "completed", job["error"]
    [item] = with_catalog.items("mosaics")
    assert item["id"] == "all"
    assert item["properties"]["start_datetime"] == "2024-05-01T00:00:00Z"


def test_a_catalog_that_fails_leaves_what_is_published(
    with_catalog: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a defect")

    monkeypatch.setattr(PgstacCatalog, "load", broken)
    job = with_catalog.convert(blob="2024/a_20240501.tif", prefix=None)
    assert job["status"] == "completed_with_errors"
    assert job["result"]["cogs"] == 1
    assert [failure["stage"] for failure in job["result"]["failures"]] == ["register"]
    assert "2024/a_20240501.item.json" in with_catalog.names()


def test_an_outage_of_the_catalog_is_waited_for(
    with_catalog: Conversions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The breaker puts the task off; no attempt is spent."""
    load, calls = PgstacCatalog.load, []

    def failing(self: PgstacCatalog, *arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise ServiceUnavailable("database: connection failed")
        return load(self, *arguments, **named)

    def unreachable(_: PgstacCatalog) -> None:
        if len(calls) < 3:
            raise ServiceUnavailable("database: connection failed")

    monkeypatch.setattr(PgstacCatalog, "load", failing)
    monkeypatch.setattr(PgstacCatalog, "ping", unreachable)
    job = with_catalog.convert(blob="2024/a_20240501.tif", prefix=None)
    assert job["status"] == "completed", job["error"]
    assert job["result"]["registered"] == 1
    [task] = with_catalog.world.tasks(job["job_id"], 7)
    assert task["attempt"] == 1
