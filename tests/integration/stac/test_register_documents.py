"""stac_register of documents: what is valid gets into the catalog, all else is named with its reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.stac import item_batches
from services.stac.validation import ItemValidator

from .conftest import SOURCE, Library
from .items import collection, item

CREATE = {"title": "Scenes", "description": "All scenes", "license": "CC-BY-4.0"}


def test_items_of_every_kind_of_document_get_into_their_collection(library: Library) -> None:
    library.put("collection.json", collection())
    library.put("one.json", item(1))
    library.put("many.ndjson", item(2), item(3))
    library.put("feature-collection.geojson", {"type": "FeatureCollection", "features": [item(4), item(5)]})
    library.put("list.json", [item(6)])
    library.put("lines.json", item(7), item(8))
    library.put_bytes(
        "sequence.geojsons", b"".join(b"\x1e" + json.dumps(item(9)).encode() + b"\n" for _ in [0])
    )
    job = library.register()
    assert job["status"] == "completed", job["error"]
    assert [found["id"] for found in library.items("scenes")] == [f"item-{n}" for n in range(1, 10)]
    result = job["result"]
    assert (result["files"], result["items"], result["loaded"]) == (7, 9, 9)
    assert (result["rejected"], result["failed"], result["collections"]) == (0, 0, 1)
    assert library.collection("scenes") == collection()
    assert library.world.violations() == {}


def test_an_item_names_the_job_that_registered_it_and_is_valid_as_it_is_stored(library: Library) -> None:
    library.put("a.json", item(1))
    job = library.register(collection_id="scenes", create_collection=CREATE)
    found = library.item("item-1", "scenes")
    assert job["job_id"] in found["properties"]["processing:lineage"]
    assert f"{SOURCE}/a.json" in found["properties"]["processing:lineage"]
    assert [link["rel"] for link in found["links"]] == ["collection"]
    assert ItemValidator().validate(found).errors == ()


def test_the_lineage_that_an_item_has_is_kept_and_a_later_registration_takes_the_place_of_an_earlier(
    library: Library,
) -> None:
    made = item(1, stac_extensions=["https://stac-extensions.github.io/processing/v1.1.0/schema.json"])
    made["properties"]["processing:lineage"] = "Orthorectified."
    library.put("a.json", made)
    first = library.register(collection_id="scenes", create_collection=CREATE)
    stored = library.item("item-1", "scenes")
    assert stored["properties"]["processing:lineage"].startswith("Orthorectified. Registered by job ")
    assert stored["stac_extensions"] == made["stac_extensions"]
    library.put("b.json", stored)
    second = library.register(blob="b.json")
    lineage = library.item("item-1", "scenes")["properties"]["processing:lineage"]
    assert second["job_id"] in lineage
    assert first["job_id"] not in lineage
    assert lineage.startswith("Orthorectified. ")


def test_a_collection_is_created_as_it_is_described(library: Library) -> None:
    library.put("a.json", item(1, collection=None))
    library.register(collection_id="new", create_collection={**CREATE, "partition_by": "year"})
    made = library.collection("new")
    assert made is not None
    assert (made["title"], made["description"], made["license"]) == tuple(CREATE.values())
    assert ItemValidator().validate(made).errors == ()
    [row] = library.world.rows("SELECT partition_trunc FROM pgstac.collections WHERE id = 'new'")
    assert row["partition_trunc"] == "year"
    assert [found["id"] for found in library.items("new")] == ["item-1"]


def test_a_collection_that_is_missing_fails_the_job_before_anything_is_read(library: Library) -> None:
    library.put("a.json", item(1))
    job = library.register(collection_id="missing")
    assert job["status"] == "failed"
    assert "no collection 'missing'; create_collection makes one" in job["error"]


def test_items_of_collections_that_are_missing_are_counted_and_the_others_are_loaded(
    library: Library,
) -> None:
    library.put("collection.json", collection())
    library.put("a.ndjson", item(1), item(2, collection="missing"), item(3, collection="missing"))
    job = library.register(max_failed_fraction=1.0)
    assert job["status"] == "completed_with_errors"
    assert [found["id"] for found in library.items()] == ["item-1"]
    [failure] = job["result"]["failures"]
    assert "no collection 'missing': 2 items were not loaded" in failure["reason"]
    # And with a document for those that are missing, all are.
    job = library.register(create_collection=CREATE)
    assert job["status"] == "completed", job["error"]
    assert [found["collection"] for found in library.items()] == ["missing", "missing", "scenes"]


def test_a_collection_id_is_that_of_all_items_whatever_they_name(library: Library) -> None:
    other = item(1, links=[{"rel": "collection", "href": "https://example.com/other"}], collection="other")
    library.put("a.ndjson", other, item(2, collection=None))
    job = library.register(collection_id="mine", create_collection=CREATE)
    assert job["result"]["loaded"] == 2
    stored = library.items("mine")
    assert [found["links"] for found in stored] == [
        [{"rel": "collection", "href": "../../mine", "type": "application/json"}]
    ] * 2


def test_invalid_items_are_rejected_one_by_one_and_the_others_are_loaded(library: Library) -> None:
    bad = [item(2, id="a/b"), item(4, stac_version="1.0.0-rc.1"), item(5, geometry=None)]
    library.put("a.ndjson", item(1), *bad, item(3))
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert job["status"] == "completed", job["error"]
    assert [found["id"] for found in library.items()] == ["item-1", "item-3"]
    rejects = [(reject["place"], reject["id"], reject["path"]) for reject in job["result"]["rejects"]]
    assert rejects == [
        ("line 2", "a/b", "id"),
        ("line 3", "item-4", "stac_version"),
        ("line 4", "item-5", "bbox"),
    ]
    assert (job["result"]["items"], job["result"]["loaded"], job["result"]["rejected"]) == (2, 2, 3)


def test_a_schema_that_is_not_met_is_named(library: Library) -> None:
    projection = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
    bad = item(1, stac_extensions=[projection])
    bad["properties"]["proj:shape"] = [1]
    library.put("a.json", bad)
    job = library.register(collection_id="scenes", create_collection=CREATE)
    [reject] = job["result"]["rejects"]
    assert reject["schema_url"] == projection
    assert reject["path"] == "properties.proj:shape"


def test_extensions_that_cannot_be_validated_are_named_and_their_items_loaded(library: Library) -> None:
    unknown = "https://example.com/unknown/v1.0.0/schema.json"
    library.put("a.json", item(1, stac_extensions=[unknown]))
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert (job["result"]["loaded"], job["result"]["unvalidated"]) == (1, [unknown])


def test_lines_that_are_no_json_are_rejected_by_number(library: Library) -> None:
    text = json.dumps(item(1)) + "\n\n{broken\n" + json.dumps(item(2)) + "\n[3]\n"
    library.put_bytes("a.ndjson", b"\xef\xbb\xbf" + text.encode())
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert [found["id"] for found in library.items()] == ["item-1", "item-2"]
    places = [(reject["place"], reject["reason"].split(":")[0]) for reject in job["result"]["rejects"]]
    assert places == [("line 3", "is no JSON"), ("line 5, 0", "is no object")]


def test_a_file_that_is_no_document_fails_alone(library: Library) -> None:
    library.put("a.json", item(1))
    library.put_bytes("b.json", b"<html>")
    library.put_bytes("c.json", b"")
    job = library.register(collection_id="scenes", create_collection=CREATE, max_failed_fraction=1.0)
    assert job["status"] == "completed_with_errors"
    assert job["result"]["loaded"] == 1
    assert sorted(failure["reason"].split(":")[0] for failure in job["result"]["failures"]) == [
        "b.json",
        "c.json",
    ]


def test_an_id_that_occurs_twice_in_a_file_is_loaded_once_and_said(library: Library) -> None:
    library.put("a.ndjson", item(1), item(2), item(1))
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert [found["id"] for found in library.items()] == ["item-1", "item-2"]
    [reject] = job["result"]["rejects"]
    assert (reject["place"], reject["id"], reject["reason"]) == (
        "line 3",
        "item-1",
        "occurs twice in this file: line 1 counts",
    )


def test_an_id_that_two_files_have_is_loaded_once_and_said_whether_or_not_they_share_a_batch(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.put("a/x.json", item(1))
    library.put("b/x.json", item(1))
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert len(library.items()) == 1
    [reject] = job["result"]["rejects"]
    assert reject["file"] == f"{SOURCE}/b/x.json"
    assert f"{SOURCE}/a/x.json" in reject["reason"]
    monkeypatch.setattr(item_batches, "INLINE_BYTES", 0)
    job = library.again(job)
    assert len(library.items()) == 1
    [reject] = job["result"]["rejects"]
    assert reject["file"] != f"{SOURCE}/a/x.json" or f"{SOURCE}/b/x.json" in reject["reason"]
    assert (job["result"]["items"], job["result"]["loaded"], job["result"]["rejected"]) == (2, 1, 1)


def test_run_again_items_are_updated_and_never_doubled(library: Library) -> None:
    library.put("a.ndjson", item(1), item(2))
    first = library.register(collection_id="scenes", create_collection={**CREATE, "partition_by": "month"})
    moved = item(1)
    moved["properties"]["datetime"] = "2031-07-01T00:00:00Z"
    library.put("a.ndjson", moved, item(3))
    second = library.again(first)
    assert (second["result"]["loaded"], second["result"]["replaced"]) == (2, 1)
    assert [found["id"] for found in library.items()] == ["item-1", "item-2", "item-3"]
    assert library.found(datetime="2031-01-01T00:00:00Z/2031-12-31T00:00:00Z") == ["item-1"]


def test_many_items_of_several_collections_travel_in_scratch_blobs_that_go_with_the_run(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(item_batches, "BATCH_ITEMS", 10)
    monkeypatch.setattr(item_batches, "INLINE_BYTES", 3000)
    library.put("x.json", collection("x"))
    library.put("y.json", collection("y"))
    mixed = [item(number, collection="xy"[number % 2]) for number in range(64)]
    library.put("a.ndjson", *mixed)
    job = library.register()
    assert job["status"] == "completed", job["error"]
    assert job["result"]["loaded"] == 64
    assert len(library.items("x")) == len(library.items("y")) == 32
    assert len(library.results(job, 3)) == 8


def test_without_a_catalog_the_job_says_which_one_makes_it(world: Any) -> None:
    world.blobs.ensure_container(SOURCE)
    job = world.run(
        world.submit("stac_register", container=SOURCE, prefix="", kind="documents", collection_id="a").job_id
    )
    assert job["status"] == "failed"
    assert "run stac_setup" in job["error"]


def test_a_line_longer_than_what_is_read_at_once_is_one_line(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.stac.documents.READ_BYTES", 100)
    library.put("a.ndjson", item(1), item(2, title="é" * 200))
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert (job["result"]["loaded"], job["result"]["rejected"]) == (2, 0)


def test_a_document_too_large_to_be_read_whole_is_asked_for_as_lines(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.stac.documents.MAX_DOCUMENT_BYTES", 1000)
    library.put("a.json", [item(number) for number in range(10)])
    library.put("a.ndjson", *[item(number) for number in range(10)])
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert job["result"]["loaded"] == 10
    [failure] = job["result"]["failures"]
    assert "only NDJSON" in failure["reason"]


def test_what_the_database_alone_refuses_is_found_among_many(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check of ours may have a hole; the batch is then loaded in halves."""
    monkeypatch.setattr("services.stac.registered_documents.why_not_storable", lambda _: iter(()))
    bad = item(5)
    bad["properties"]["datetime"] = "0000-01-01T00:00:00Z"
    library.put("a.ndjson", *[item(number) for number in range(5)], bad, item(6))
    job = library.register(collection_id="scenes", create_collection=CREATE)
    assert job["status"] == "completed", job["error"]
    assert (job["result"]["loaded"], job["result"]["rejected"]) == (6, 1)
    [reject] = job["result"]["rejects"]
    assert reject["id"] == "item-5"
    assert "database refuses it" in reject["reason"]


@pytest.mark.parametrize("number", [1e22, -3.4028234663852886e38, 2**70])
def test_numbers_of_more_than_64_bits_are_loaded_as_they_are_and_take_no_neighbour_down(
    library: Library, number: float
) -> None:
    large = item(2)
    large["properties"]["n"] = number
    library.put("a.json", item(1))
    library.put("b.json", large)
    job = library.register(create_collection=CREATE)
    assert job["status"] == "completed", job["error"]
    assert [found["id"] for found in library.items()] == ["item-1", "item-2"]
    assert float(library.item("item-2", "scenes")["properties"]["n"]) == float(number)
