"""stac_collection on a real pgstac: what a collection says of its items after they were loaded."""

from __future__ import annotations

from typing import Any

import pytest

from controllers import stac_collection
from services.stac.collection_summary import CollectionSummary
from services.stac.validation import ItemValidator

from .conftest import Catalog
from .items import COLLECTION, stac_item

SUMMARIES = ["eo:cloud_cover", "platform"]


@pytest.fixture
def filled(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Ten items in ranges of three."""
    monkeypatch.setattr(stac_collection, "RANGE", 3)
    catalog.create("month", title="People's")
    catalog.add(
        *(
            stac_item(number, month=number + 1, platform=f"p{number % 2}", **{"eo:cloud_cover": number * 10})
            for number in range(10)
        )
    )
    return catalog


def test_a_collection_says_where_when_and_what_its_items_are(filled: Catalog) -> None:
    job = filled.run("stac_collection", collection="scenes", summaries=SUMMARIES)
    assert job["status"] == "completed", job["error"]
    assert filled.document() == {
        **COLLECTION,
        "title": "People's",
        "extent": {
            "spatial": {"bbox": [[0, 0, 10, 1]]},
            "temporal": {"interval": [["2024-01-15T00:00:00Z", "2024-10-15T00:00:00Z"]]},
        },
        "summaries": {"platform": ["p0", "p1"], "eo:cloud_cover": {"minimum": 0, "maximum": 90}},
    }
    assert [result["items"] for result in filled.results(job, 2)] == [3, 3, 3, 1]
    assert job["result"]["items"] == 10
    assert job["result"]["changed"] is True
    assert job["result"]["queryables_added"] == ["eo:cloud_cover", "platform"]
    [row] = filled.call("SELECT get_queryables('scenes') AS found", fetch=True)
    assert row["found"]["properties"]["platform"] == {"type": "string"}


def test_what_was_deleted_is_no_longer_in_the_extent_when_the_job_runs_again(filled: Catalog) -> None:
    first = filled.run("stac_collection", collection="scenes", summaries=SUMMARIES)
    filled.call("DELETE FROM items WHERE id > 'item-004'")
    asked = {"collection": "scenes", "summaries": SUMMARIES}
    again = filled.world.engine.submit("stac_collection", asked, correlation_id="test", rerun=True)
    job = filled.world.run(again.job_id)
    assert job["run"] == first["run"] + 1
    assert filled.document()["extent"]["spatial"]["bbox"] == [[0, 0, 5, 1]]
    assert filled.document()["summaries"]["eo:cloud_cover"] == {"minimum": 0, "maximum": 40}


def test_items_on_both_sides_of_the_antimeridian_have_a_box_on_each(catalog: Catalog) -> None:
    catalog.create()
    crossing: dict[str, Any] = stac_item(0)
    crossing["geometry"] = {
        "type": "MultiPolygon",
        "coordinates": [
            [[[179, 0], [180, 0], [180, 1], [179, 1], [179, 0]]],
            [[[-180, 0], [-178, 0], [-178, 1], [-180, 1], [-180, 0]]],
        ],
    }
    crossing["bbox"] = [179, 0, -178, 1]
    catalog.add(crossing, stac_item(1, west=170))
    job = catalog.run("stac_collection", collection="scenes")
    assert job["status"] == "completed", job["error"]
    assert catalog.document()["extent"]["spatial"]["bbox"] == [
        [-180, 0, 180, 1],
        [170, 0, 180, 1],
        [-180, 0, -178, 1],
    ]
    assert ItemValidator().validate(catalog.document()).errors == ()
    # So that a search for collections finds it there.
    [row] = catalog.call("SELECT collection_search('{\"bbox\": [178.5, 0, 179.5, 1]}') AS found", fetch=True)
    assert [one["id"] for one in row["found"]["collections"]] == ["scenes"]


def test_only_what_is_asked_for_is_written(filled: Catalog) -> None:
    before = filled.document()
    job = filled.run("stac_collection", collection="scenes", summaries="none", extent=False, queryables=False)
    assert job["status"] == "completed", job["error"]
    assert filled.document() == before
    assert job["result"]["changed"] is False
    assert job["result"]["extent"]["spatial"] == {"bbox": [[0, 0, 10, 1]]}


def test_an_empty_collection_keeps_its_extent(catalog: Catalog) -> None:
    catalog.create()
    job = catalog.run("stac_collection", collection="scenes")
    assert job["status"] == "completed", job["error"]
    assert catalog.document() == COLLECTION
    assert job["result"]["items"] == 0


def test_a_collection_that_is_missing_fails_the_job_by_name(catalog: Catalog) -> None:
    job = catalog.run("stac_collection", collection="nowhere")
    assert job["status"] == "failed"
    assert "collection: the catalog has no collection 'nowhere'" in job["error"]
    assert len(catalog.world.tasks(job["job_id"])) == 1
    assert catalog.world.tasks(job["job_id"])[0]["attempt"] == 1


def test_what_somebody_changes_while_it_runs_is_kept(
    filled: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    merge = CollectionSummary.merge

    def edited(self: CollectionSummary, other: CollectionSummary) -> None:
        merge(self, other)
        filled.call(
            "UPDATE collections SET content = content || '{\"title\": \"Edited\"}' WHERE id = 'scenes'"
        )

    monkeypatch.setattr(CollectionSummary, "merge", edited)
    filled.run("stac_collection", collection="scenes", summaries=SUMMARIES)
    document = filled.document()
    assert document["title"] == "Edited"
    assert document["summaries"]["platform"] == ["p0", "p1"]
