"""stac_export on a real pgstac and a real blob service, read back by the libraries that people use."""

from __future__ import annotations

import io
import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import geopandas
import pyarrow.dataset
import pyarrow.parquet
import pystac
import pytest
from azure.storage.blob import BlobServiceClient
from stac_geoparquet.arrow import stac_table_to_items

from controllers import stac_export
from interfaces.errors import ServiceUnavailable
from interfaces.workflows import RetryPolicy
from services.export_blobs import ExportBlobs
from services.stac.exporting import MARK
from services.stac.validation import ItemValidator

from .conftest import Catalog
from .items import stac_item


@pytest.fixture
def filled(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Seven items in ranges of three, which are not all alike."""
    monkeypatch.setattr(stac_export, "RANGE", {"geoparquet": 3, "static": 3})
    catalog.create(
        title="Scenes",
        links=[
            {"rel": "license", "href": "https://example.com/license"},
            {"rel": "items", "href": "https://example.com/api/items"},
        ],
        providers=[{"name": "me"}],
    )
    catalog.add(*items())
    return catalog


def items() -> list[dict[str, Any]]:
    made = [stac_item(number, month=number + 1, gsd=10) for number in range(7)]
    made[1]["properties"]["gsd"] = 2.5
    made[5]["properties"] |= {"platform": "a", "created": "2024-01-02T03:04:05Z"}
    made[5]["assets"]["extra"] = {"href": "https://example.com/x.json", "roles": ["metadata"]}
    made[6]["assets"]["data"]["bands"] = [{"name": "B1", "nodata": "nan", "data_type": "float32"}]
    made[6]["links"] = [{"rel": "derived_from", "href": "https://example.com/source"}]
    return made


def download(catalog: Catalog, folder: Path) -> Path:
    """The container as files, as a person would take it home."""
    for name in catalog.names():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(catalog.blobs.read(catalog.target, name))
    return folder


def export(catalog: Catalog, format: str, **more: Any) -> dict[str, Any]:  # noqa: A002
    job = catalog.run(
        "stac_export",
        **({"collections": ["scenes"], "format": format, "target_container": catalog.target} | more),
    )
    assert job["status"] == "completed", (job["error"], catalog.world.tasks(job["job_id"]))
    result = job["result"]
    assert isinstance(result, dict)
    return result


def without_nulls(value: Any) -> Any:
    """A table has null where an item has nothing, and so have structs in it."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


def same_times(item: dict[str, Any]) -> dict[str, Any]:
    """Times of a table have microseconds."""
    times = ("created", "datetime")
    given = {
        key: pystac.utils.str_to_datetime(value).isoformat() if key in times else value
        for key, value in item["properties"].items()
    }
    return {**item, "properties": given}


def test_a_static_catalog_is_read_by_pystac_from_any_place_with_every_item_equal(
    filled: Catalog, tmp_path: Path
) -> None:
    result = export(filled, "static", target_prefix="public/stac")
    assert result["items"] == 7
    root = pystac.Catalog.from_file(str(download(filled, tmp_path) / "public/stac/catalog.json"))
    assert [one.id for one in root.get_children()] == ["scenes"]
    read = {item.id: item for item in root.get_items(recursive=True)}
    for item in items():
        found = read[item["id"]]
        assert found.get_collection() is not None
        given = found.to_dict(include_self_link=False, transform_hrefs=False)
        kept = [link for link in given["links"] if link["rel"] == "derived_from"]
        assert {**given, "links": kept} == item
    collection = pystac.Collection.from_file(str(tmp_path / "public/stac/scenes/collection.json"))
    assert (collection.title, collection.license) == ("Scenes", "other")
    assert [link.rel for link in collection.links if link.rel in ("license", "items")] == ["license"]


def test_no_link_of_a_static_catalog_is_absolute_but_those_to_things_outside_of_it(
    filled: Catalog, tmp_path: Path
) -> None:
    export(filled, "static")
    for path in download(filled, tmp_path).rglob("*.json"):
        for link in json.loads(path.read_text())["links"]:
            if link["rel"] in ("license", "derived_from"):
                continue
            assert (path.parent / link["href"]).resolve().is_file(), (path, link)
            assert link["rel"] != "self"


def test_every_document_of_a_static_catalog_meets_its_schema(filled: Catalog) -> None:
    export(filled, "static")
    validator = ItemValidator()
    checked = {"Feature": 0, "Collection": 0}
    for name in filled.names():
        document = json.loads(filled.blobs.read(filled.target, name))
        if document["type"] in checked:
            assert validator.validate(document).errors == (), name
            checked[document["type"]] += 1
        else:
            assert pystac.Catalog.from_dict(document).description
    assert checked == {"Feature": 7, "Collection": 1}


def test_items_of_a_single_range_are_linked_by_the_collection_itself(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.create()
    catalog.add(stac_item(1), stac_item(2, id="Zürich/a:b"))
    export(catalog, "static")
    collection = pystac.Collection.from_file(str(download(catalog, tmp_path) / "scenes/collection.json"))
    assert {item.id for item in collection.get_items()} == {"item-001", "Zürich/a:b"}


def test_tables_are_read_as_one_dataset_by_pyarrow_and_geopandas_with_every_item_equal(
    filled: Catalog, tmp_path: Path
) -> None:
    result = export(filled, "geoparquet", target_prefix="tables")
    assert result["collections"][0]["files"] == 3
    folder = download(filled, tmp_path) / "tables/scenes/items"
    table = pyarrow.dataset.dataset(folder).to_table()
    read = {item["id"]: same_times(without_nulls(item)) for item in stac_table_to_items(table)}
    for item in items():
        assert read[item["id"]] == same_times(item)
    frame = geopandas.read_parquet(folder)
    assert sorted(frame["id"]) == sorted(item["id"] for item in items())
    assert frame.crs.to_epsg() == 4326
    assert list(frame.sort_values("id").geometry.bounds["minx"]) == [float(n) for n in range(7)]


def test_the_collection_beside_the_tables_names_each_of_them(filled: Catalog, tmp_path: Path) -> None:
    export(filled, "geoparquet")
    collection = pystac.Collection.from_file(str(download(filled, tmp_path) / "scenes/collection.json"))
    tables = [asset for asset in collection.assets.values() if asset.roles == ["stac-items"]]
    assert (
        sum(pyarrow.parquet.read_metadata(tmp_path / "scenes" / asset.href).num_rows for asset in tables) == 7
    )
    metadata = pyarrow.parquet.read_schema(tmp_path / "scenes" / tables[0].href).metadata
    assert json.loads(metadata[b"stac-geoparquet"])["collections"]["scenes"]["title"] == "Scenes"


@pytest.mark.parametrize("format", ["geoparquet", "static"])
def test_only_the_items_that_are_asked_for_are_exported(filled: Catalog, format: str) -> None:  # noqa: A002
    result = export(filled, format, bbox=[1.5, 0, 4.5, 1], datetime="2024-03-01/..")
    assert result["items"] == 3


@pytest.mark.parametrize("format", ["geoparquet", "static"])
def test_a_second_export_replaces_the_first_and_removes_what_is_no_longer_there(
    filled: Catalog,
    format: str,  # noqa: A002
    tmp_path: Path,
) -> None:
    export(filled, format)
    before = set(filled.names())
    filled.blobs.write(filled.target, "scenes/mine.txt", b"x")
    filled.call("DELETE FROM items WHERE id > 'item-001'")
    filled.call(
        "UPDATE items SET content = jsonb_set(content, '{properties,gsd}', '77') WHERE id = 'item-000'"
    )
    # A blob's time has whole seconds.
    time.sleep(1.1)
    asked = {"collections": ["scenes"], "format": format, "target_container": filled.target}
    again = filled.world.engine.submit("stac_export", asked, correlation_id="test", rerun=True)
    job = filled.world.run(again.job_id)
    assert job["status"] == "completed", job["error"]
    after = set(filled.names())
    assert after < before | {"scenes/mine.txt"}
    assert "scenes/mine.txt" in after
    assert len([name for name in after if "/items/" in name]) == (2 if format == "static" else 1)
    download(filled, tmp_path)
    if format == "static":
        collection = pystac.Collection.from_file(str(tmp_path / "scenes/collection.json"))
        assert [item.properties["gsd"] for item in collection.get_items()] == [77, 2.5]
    else:
        table = pyarrow.parquet.read_table(tmp_path / "scenes/items/part-00000.parquet")
        assert table["gsd"].to_pylist() == [77, 2.5]


def test_collections_of_other_exports_stay_in_the_catalog(filled: Catalog, tmp_path: Path) -> None:
    export(filled, "static")
    filled.create(id="others", title="Others")
    filled.add(stac_item(1, collection="others"))
    export(filled, "geoparquet", collections=["others"])
    root = pystac.Catalog.from_file(str(download(filled, tmp_path) / "catalog.json"))
    assert [(one.id, one.title) for one in root.get_children()] == [
        ("others", "Others"),
        ("scenes", "Scenes"),
    ]


@pytest.mark.parametrize("format", ["geoparquet", "static"])
def test_an_empty_collection_is_exported_with_its_document(
    catalog: Catalog,
    format: str,  # noqa: A002
    tmp_path: Path,
) -> None:
    catalog.create()
    assert export(catalog, format)["items"] == 0
    assert catalog.names() == ["catalog.json", "scenes/collection.json"]


def test_items_whose_values_fit_no_table_fail_the_job_with_the_reason(filled: Catalog) -> None:
    filled.add(stac_item(7, gsd="ten"))
    job = filled.run(
        "stac_export", collections=["scenes"], format="geoparquet", target_container=filled.target
    )
    assert job["status"] == "failed"
    assert "values of different types" in job["error"]
    assert filled.names() == []


def test_the_first_export_makes_the_container_of_scratch_blobs(
    catalog: Catalog, storage_connection_string: str
) -> None:
    catalog.create()
    with BlobServiceClient.from_connection_string(storage_connection_string) as service:
        service.delete_container(catalog.world.settings.scratch_container)
    assert export(catalog, "static")["items"] == 0


def test_a_container_that_is_missing_fails_the_job_by_name(filled: Catalog) -> None:
    job = filled.run(
        "stac_export", collections=["scenes"], format="geoparquet", target_container="no-such-container"
    )
    assert job["status"] == "failed"
    assert "no-such-container" in job["error"]


def test_a_worker_that_dies_at_any_write_leaves_whole_files_and_a_second_attempt_finishes(
    filled: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ever later requests that write are the last ones of their attempts, before or after they were made."""
    made = {"n": 0}
    copy = filled.blobs.copy

    def dying(*arguments: Any, **more: Any) -> Any:
        made["n"] += 1
        number = made["n"]
        if number in (1, 3, 6, 10):
            raise ServiceUnavailable("the answer was lost")
        done = copy(*arguments, **more)
        if number in (2, 5, 9, 14):
            raise ServiceUnavailable("the answer was lost")
        return done

    monkeypatch.setattr(filled.blobs, "copy", dying)
    filled.world.register(None, *with_patience(filled), replace=True)
    export(filled, "geoparquet")
    assert made["n"] > 14
    names = [name for name in filled.names() if name.endswith(".parquet")]
    tables = [
        pyarrow.parquet.read_table(io.BytesIO(filled.blobs.read(filled.target, name))) for name in names
    ]
    assert sum(table.num_rows for table in tables) == 7


def with_patience(catalog: Catalog) -> list[Any]:
    """The tasks that publish, tried at once and often."""
    policy = RetryPolicy(max_attempts=30, base_delay=timedelta(0))
    return [
        replace(catalog.world.task_types.get(name), retry=policy)
        for name in ("export_items", "export_collection", "export_catalog")
    ]


def test_a_document_that_another_export_changed_meanwhile_is_read_again(filled: Catalog) -> None:
    class Context:
        job_id, run, stage, task_index, fence = "a" * 64, 1, 1, 0, 7

        def check(self) -> None: ...

        def scratch_name(self, suffix: str) -> str:
            return f"x{suffix}"

    exports = ExportBlobs(filled.blobs, filled.world.settings.scratch_container, MARK)
    seen: list[bytes | None] = []

    def content(before: bytes | None) -> bytes:
        seen.append(before)
        if len(seen) == 1:
            filled.blobs.write(filled.target, "catalog.json", b"another's")
        return (before or b"") + b" and mine"

    exports.publish(filled.target, "catalog.json", content, "application/json", Context())  # type: ignore[arg-type]
    assert seen == [None, b"another's"]
    assert filled.blobs.read(filled.target, "catalog.json") == b"another's and mine"


def test_a_number_of_more_than_64_bits_is_exported_as_a_floating_point_number(
    catalog: Catalog, tmp_path: Path
) -> None:
    catalog.create()
    lowest = -3.4028234663852886e38
    numbers: list[dict[str, Any]] = [{"raster:nodata": lowest}, {"raster:nodata": 0.5}]
    catalog.add(*(stac_item(number, **given) for number, given in enumerate(numbers)))
    job = catalog.run(
        "stac_export", collections=["scenes"], format="geoparquet", target_container=catalog.target
    )
    assert job["status"] == "completed", job["error"]
    frame = geopandas.read_parquet(download(catalog, tmp_path) / "scenes/items")
    assert sorted(frame["raster:nodata"]) == [lowest, 0.5]
