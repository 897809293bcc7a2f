"""Names and links of an exported catalog."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from services.stac import export_layout as layout

COLLECTION: dict[str, Any] = {"id": "scenes", "links": [{"rel": "self", "href": "https://x"}]}


@pytest.mark.parametrize("text", ["a/b", "a:b", "Zürich", "..", ".", "a b", "%2e", "x" * 1000, "日本", "é"])
def test_a_file_name_is_the_same_in_an_address_and_stays_in_its_folder(text: str) -> None:
    name = layout.file_name(text)
    assert quote(name) == name
    assert name.strip(".")
    assert "/" not in name
    assert len(name) <= 220


def test_different_ids_have_different_files() -> None:
    ids = ["a/b", "a-b", "a:b", "a b", "Zürich", "Zurich", "Z-rich", "日本", "本日", "..", ".", "-"]
    assert len({layout.file_name(one) for one in ids}) == len(ids)


def test_plain_ids_are_names_as_they_are() -> None:
    assert layout.file_name("S2A_MSIL2A_20240501T101031_N0510") == "S2A_MSIL2A_20240501T101031_N0510"


def test_a_document_keeps_links_to_other_things_and_no_link_into_the_api() -> None:
    license_: layout.Link = {"rel": "license", "href": "https://example.com"}
    made = layout.collection_document({**COLLECTION, "links": [*COLLECTION["links"], license_]}, [], {})
    assert [one["rel"] for one in made["links"]] == ["root", "parent", "license"]


def test_links_of_a_part_lead_to_the_same_files_as_those_of_the_collection() -> None:
    part = layout.part_document(COLLECTION, 3, [layout.item_link("a")])
    assert part["id"] == "scenes-00003"
    assert [one["href"] for one in part["links"]] == [
        "../../catalog.json",
        "../collection.json",
        "../items/a.json",
    ]


def test_a_root_keeps_its_name_and_other_collections_and_has_each_once() -> None:
    before = layout.catalog_document(None, {"a": "Old", "b": None})
    before |= {"id": "mine", "description": "My catalog"}
    after = layout.catalog_document(before, {"a": "New", "c": "C"})
    assert (after["id"], after["description"]) == ("mine", "My catalog")
    children = [(one["href"], one.get("title")) for one in after["links"] if one["rel"] == "child"]
    assert children == [
        ("./a/collection.json", "New"),
        ("./b/collection.json", None),
        ("./c/collection.json", "C"),
    ]
