"""All documents of the corpus, each in the catalog afterwards or rejected for what is wrong with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from services.stac.validation import ItemValidator

from .conftest import SOURCE, Library

LOADED: dict[str, tuple[int, int]] = {
    # Items and collections of each file.
    "opendatacube+odc-stac/S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json": (1, 0),
    "stac-extensions+projection/examples__item.json": (1, 0),
    "stac-extensions+raster/item-sentinel2.json": (1, 0),
    # Without a link to its collection, which is added.
    "stac-utils+pgstac/LM04_L1GS_001001_19830527_02_T2.json": (1, 0),
    "stac-utils+pgstac/landsat-c2-l1.json": (0, 1),
    "stac-utils+pgstac/naip__collection.json": (0, 1),
    "stac-utils+pystac/1.1.0__collection.json": (0, 1),
    "stac-utils+pystac/core-item.json": (1, 0),
    "stac-utils+pystac/proj-example.json": (1, 0),
    "stac-utils+pystac/simple-item.json": (1, 0),
    # Its datetime is null, and it has a start and an end.
    "stac-utils+stac-check/core-item-null-datetime.json": (1, 0),
    "stac-utils+stac-fastapi-pgstac/index.geojson": (30, 0),
    "stac-utils+stac-fastapi-pgstac/joplin__collection.json": (0, 1),
    # With an extension that is not at hand, which is said.
    "stac-utils+stac-validator/extended-item.json": (1, 0),
}
REJECTED: dict[str, tuple[int, str, str]] = {
    # How many of each file, where, and why.
    "opendatacube+odc-stac/lidar_dem.json": (1, "stac_version", "'1.0.0-beta.2'; known are 1.0.0, 1.1.0"),
    "stac-utils+pgstac/collections.ndjson": (
        2,
        "type",
        "'None' is neither an item (Feature) nor a Collection",
    ),
    "stac-utils+pgstac/items_duplicate_ids.ndjson": (2, "stac_version", "'1.0.0-beta.2'"),
    "stac-utils+pgstac/testdata__items.ndjson": (100, "stac_version", "'1.0.0-beta.2'"),
    "stac-utils+stac-check/core-item-unlocated.json": (1, "bbox", "geometry: is null"),
    # A box and a polygon that go round the Earth the long way, and agree: only who wrote them knows better.
    "stac-utils+stac-check/invalid-antimeridian-bbox.json": (1, "collection", "names no collection"),
    "stac-utils+stac-validator/bad-item.json": (1, "item", '"id" is a required property'),
    "stac-utils+stac-validator/test-sar-item-invalid.json": (
        1,
        "properties.processing:version",
        '0.1 is not of type "string"',
    ),
}
UNVALIDATED = "https://stac-extensions.github.io/remote-data/v1.0.0/schema.json"
SAME_ID = "20201211_223832_CS2"
"""Of five items in two collections: the corpus has its examples from several places."""


@pytest.fixture
def documents(corpus: Path, library: Library) -> dict[str, bytes]:
    """Every file of the corpus's STAC documents, put where jobs find it."""
    folder = corpus / "stac"
    files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*json")}
    assert files
    for name, content in files.items():
        library.put_bytes(name, content)
    return files


def test_every_document_is_loaded_or_rejected_for_the_right_reason(
    library: Library, documents: dict[str, bytes]
) -> None:
    assert set(documents) == set(LOADED) | set(REJECTED)
    create = {"description": "From the corpus"}
    job = library.register(create_collection=create, max_failed_fraction=1.0)
    assert job["status"] == "completed", job["error"]
    built = {found["file"]: found for found in library.results(job, 2)}
    assert {
        name: (found["items"], found["collections"]) for name, found in built.items() if not found["rejected"]
    } == LOADED
    for name, (count, path, reason) in REJECTED.items():
        found = built[name]
        assert (found["items"], found["collections"], found["rejected"]) == (0, 0, count), name
        for reject in found["rejects"]:
            assert reject["path"] == path, (name, reject)
            assert reason in reject["reason"], (name, reject)
    result = job["result"]
    assert UNVALIDATED in result["unvalidated"]
    # What shares its id with another file's item is told when it is loaded.
    shared = [reject for task in library.results(job, 3) for reject in task["rejects"]]
    assert {reject["id"] for reject in shared} == {SAME_ID}
    items = sum(items for items, _ in LOADED.values())
    assert result["items"] == items
    assert result["loaded"] == items - len(shared) == len(library.items())
    assert result["rejected"] == sum(count for count, _, _ in REJECTED.values()) + len(shared)
    counts = Counter((found["collection"], found["id"]) for found in library.items())
    assert set(counts.values()) == {1}


def test_every_item_comes_back_as_it_was_but_for_its_lineage_and_the_link_to_its_collection(
    library: Library, documents: dict[str, bytes]
) -> None:
    import orjson

    create = {"description": "From the corpus"}
    library.register(create_collection=create, max_failed_fraction=1.0)
    compared = 0
    for name, (items, _) in LOADED.items():
        if items != 1:
            continue
        item = orjson.loads(documents[name])
        stored = library.item(item["id"], item["collection"])
        if f"{SOURCE}/{name}." not in stored["properties"]["processing:lineage"]:
            continue  # It is another file's item of the same id.
        compared += 1
        if item["properties"]["datetime"] is None:
            item["properties"]["datetime"] = item["properties"]["start_datetime"]
        assert _without_nulls(_bare(stored)) == _without_nulls(_bare(item)), name
        validation = ItemValidator().validate(stored)
        assert validation.errors == (), name
    assert compared >= 5


def test_the_item_without_a_collection_is_valid_in_one(library: Library, documents: dict[str, bytes]) -> None:
    job = library.register(
        blob="stac-utils+stac-check/invalid-antimeridian-bbox.json",
        collection_id="anywhere",
        create_collection={},
    )
    assert job["result"]["loaded"] == 1
    assert library.found(bbox=[0, 0, 1, 1]) == ["invalid-antimeridian-bbox"]


def test_with_more_schemas_at_hand_more_is_validated(
    corpus: Path, catalog_database_url: str, documents: dict[str, bytes]
) -> None:
    from tests.fix_engine import World

    world = World(catalog_database_url, stac_schemas=corpus.parent / "schemas")
    try:
        other = Library(world)
        name = "stac-utils+stac-validator/test-sar-item-invalid.json"
        other.put_bytes(name, documents[name])
        job = other.register(blob=name, create_collection={})
        [reject] = job["result"]["rejects"]
        assert '"sar:instrument_mode" is a required property' in reject["reason"]
    finally:
        world.close()


def _bare(item: dict[str, Any]) -> dict[str, Any]:
    """Without what a registration adds."""
    properties = {key: value for key, value in item["properties"].items() if key != "processing:lineage"}
    extensions = [uri for uri in item.get("stac_extensions", []) if "/processing/" not in uri]
    links = [link for link in item["links"] if link["rel"] != "collection"]
    return {**item, "properties": properties, "stac_extensions": extensions, "links": links}


def _without_nulls(value: Any) -> Any:
    """As pgstac gives items back: members that are null are gone."""
    if isinstance(value, dict):
        return {key: _without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [_without_nulls(inner) for inner in value] if isinstance(value, list) else value
