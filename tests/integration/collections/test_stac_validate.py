"""stac_validate on a real pgstac: valid items, invalid ones, and files that are or are not there."""

from __future__ import annotations

from typing import Any

import pytest

from controllers import stac_validate
from services.stac import validating

from .conftest import Catalog
from .items import stac_item

EO = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
NOWHERE = "https://example.com/own/v1.0.0/schema.json"


@pytest.fixture
def filled(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> Catalog:
    """Eight items in ranges of three; one has a cloud cover of 140 %, one a schema of its own."""
    monkeypatch.setattr(stac_validate, "RANGE", 3)
    monkeypatch.setattr(stac_validate, "RANGE_WITH_ASSETS", 3)
    catalog.create()
    cloudy: dict[str, Any] = stac_item(4, **{"eo:cloud_cover": 140})
    cloudy["stac_extensions"] = [EO]
    own = stac_item(7, month=6)
    own["stac_extensions"] = [NOWHERE]
    catalog.add(*(stac_item(number) for number in range(4)), cloudy, stac_item(5), stac_item(6), own)
    return catalog


def test_every_item_is_counted_and_a_reject_says_where_and_why(filled: Catalog) -> None:
    job = filled.run("stac_validate", collection="scenes")
    assert job["status"] == "completed", job["error"]
    result = job["result"]
    assert (result["items"], result["valid"], result["invalid"]) == (8, 7, 1)
    [reject] = result["rejects"]
    assert (reject["id"], reject["path"]) == ("item-004", "properties.eo:cloud_cover")
    assert reject["schema_url"] == EO
    assert "140" in reject["reason"]
    assert result["unknown_schemas"] == {NOWHERE: 1}
    assert result["assets"] is None
    assert result["collection_rejects"] == []
    assert [task["items"] for task in filled.results(job, 2)] == [3, 3, 2]


def test_the_document_of_the_collection_is_held_against_its_schema_too(catalog: Catalog) -> None:
    catalog.create(license=5)
    catalog.add(stac_item(1))
    job = catalog.run("stac_validate", collection="scenes")
    [reject] = job["result"]["collection_rejects"]
    assert (reject["id"], reject["path"]) == ("scenes", "license")
    assert (job["result"]["items"], job["result"]["invalid"]) == (1, 0)


def test_a_result_stays_small_enough_to_be_added_up(filled: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(validating, "MAX_LISTED_BYTES", 500)
    filled.call("UPDATE items SET content = jsonb_set(content, '{stac_version}', '\"9\"')")
    job = filled.run("stac_validate", collection="scenes")
    result = job["result"]
    assert (result["items"], result["invalid"]) == (8, 8)
    assert 0 < len(result["rejects"]) < 8
    assert len(result["rejects"]) + result["not_listed"] == 8


def test_only_the_items_that_are_asked_for_are_validated(filled: Catalog) -> None:
    job = filled.run("stac_validate", collection="scenes", datetime="2024-06-01/..")
    assert (job["result"]["items"], job["result"]["valid"]) == (1, 1)


def test_files_of_our_storage_are_looked_for_and_those_of_others_are_counted(filled: Catalog) -> None:
    container = filled.target
    there = filled.blobs.write(container, "folder/a file.tif", b"x")
    gone = filled.blobs.url(container, "gone.tif")
    for number, href in enumerate((there, gone, filled.blobs.url("no-such-container", "a.tif"))):
        item = stac_item(number, month=9, id=f"with-{number}")
        item["assets"]["data"]["href"] = href
        filled.add(item)
    job = filled.run("stac_validate", collection="scenes", datetime="2024-09-01/..", check_assets=True)
    assert job["status"] == "completed", job["error"]
    assert job["result"]["assets"] == {"found": 1, "missing": 2, "elsewhere": 0}
    assert [(one["id"], one["asset"], one["href"]) for one in job["result"]["missing_assets"]] == [
        ("with-1", "data", gone),
        ("with-2", "data", filled.blobs.url("no-such-container", "a.tif")),
    ]
    job = filled.run("stac_validate", collection="scenes", datetime="../2024-02-01", check_assets=True)
    assert job["result"]["assets"]["elsewhere"] == 7


def test_an_empty_collection_has_no_invalid_item(catalog: Catalog) -> None:
    catalog.create()
    job = catalog.run("stac_validate", collection="scenes")
    assert job["status"] == "completed", job["error"]
    assert (job["result"]["items"], job["result"]["rejects"]) == (0, [])


def test_a_collection_that_is_missing_fails_the_job_by_name(catalog: Catalog) -> None:
    job = catalog.run("stac_validate", collection="nowhere")
    assert job["status"] == "failed"
    assert "no collection 'nowhere'" in job["error"]
