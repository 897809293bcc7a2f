"""Collections and items are made, replaced, patched and deleted over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from tests.catalog_content import collection, item, scenes
from tests.fix_catalog import Catalog

[SCENE] = scenes(1)
ITEMS = "/collections/scenes/items"
PLACE = f"{ITEMS}/{SCENE.id}"
OPEN = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1]]]}
"""PostGIS stores it, and fails at every search that meets it."""
FAR = {"type": "Point", "coordinates": [200, 0]}


@pytest.fixture
def filled(catalog: Catalog) -> Catalog:
    """A catalog with one item."""
    assert catalog.post("/collections", collection()).status == 201
    assert catalog.post(ITEMS, item(SCENE)).status == 201
    return catalog


def properties(catalog: Catalog) -> dict[str, Any]:
    answer = catalog.get(PLACE)
    assert answer.status == 200
    return dict(answer.json()["properties"])


def test_what_was_posted_is_found_by_its_id(filled: Catalog) -> None:
    found = filled.get(PLACE)
    assert (found.status, found.mimetype) == (200, "application/geo+json")
    for member in ("id", "collection", "geometry", "bbox", "properties", "assets"):
        assert found.json()[member] == item(SCENE)[member]
    assert filled.get("/collections/scenes").json()["title"] == "Scenes"


def test_many_items_are_posted_at_once(filled: Catalog) -> None:
    others = [item(scene) for scene in scenes(4)[1:]]
    answer = filled.post(ITEMS, {"type": "FeatureCollection", "features": others})
    assert answer.status == 201
    assert len(filled.get(ITEMS).json()["features"]) == 4


def test_an_item_is_replaced(filled: Catalog) -> None:
    other = item(SCENE) | {"properties": {"datetime": "2023-06-01T00:00:00Z", "title": "new"}}
    assert filled.call("PUT", PLACE, other).status == 200
    assert properties(filled) == other["properties"]
    assert len(filled.get(ITEMS).json()["features"]) == 1


def test_an_item_whose_month_changes_stays_one(filled: Catalog) -> None:
    moved = item(SCENE) | {"properties": {"datetime": "2019-01-01T00:00:00Z"}}
    assert filled.call("PUT", PLACE, moved).status == 200
    assert filled.found() == [SCENE.id]


def test_an_item_is_patched_by_merging(filled: Catalog) -> None:
    assert filled.call("PATCH", PLACE, {"properties": {"eo:cloud_cover": 99, "title": None}}).status == 200
    assert properties(filled)["eo:cloud_cover"] == 99
    assert "title" not in properties(filled)


def test_an_item_is_patched_by_operations(filled: Catalog) -> None:
    operations = [
        {"op": "test", "path": "/properties/eo:cloud_cover", "value": 0},
        {"op": "replace", "path": "/properties/eo:cloud_cover", "value": 5},
        {"op": "remove", "path": "/properties/title"},
    ]
    assert filled.call("PATCH", PLACE, operations).status == 200
    assert properties(filled)["eo:cloud_cover"] == 5
    # The first operation does not hold any more, so none is carried out.
    assert filled.call("PATCH", PLACE, operations).status == 400
    assert properties(filled)["eo:cloud_cover"] == 5


def test_a_collection_is_replaced_and_patched_and_keeps_its_items(filled: Catalog) -> None:
    assert filled.call("PUT", "/collections/scenes", collection() | {"title": "Other"}).status == 200
    assert filled.call("PATCH", "/collections/scenes", {"description": "Patched"}).status == 200
    found = filled.get("/collections/scenes").json()
    assert (found["title"], found["description"]) == ("Other", "Patched")
    assert filled.found() == [SCENE.id]


def test_deleted_items_and_collections_are_gone(filled: Catalog) -> None:
    assert filled.call("DELETE", PLACE).status == 200
    assert filled.get(PLACE).status == 404
    assert filled.call("DELETE", PLACE).status == 404
    assert filled.call("DELETE", "/collections/scenes").status == 200
    assert filled.get("/collections/scenes").status == 404
    assert filled.get("/collections").json()["collections"] == []


def test_the_same_id_twice_is_a_conflict(five_scenes: Catalog) -> None:
    assert five_scenes.post("/collections", collection()).status == 409
    assert five_scenes.post(ITEMS, item(SCENE)).status == 409


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/collections/none/items", item(SCENE, "none")),
        ("PUT", "/collections/none/items/a", item(SCENE, "none") | {"id": "a"}),
        ("PUT", f"{ITEMS}/none", item(SCENE) | {"id": "none"}),
        ("PATCH", f"{ITEMS}/none", {"properties": {"a": 1}}),
        ("PUT", "/collections/none", collection("none")),
        ("PATCH", "/collections/none", {"title": "none"}),
        ("DELETE", "/collections/none", b""),
    ],
)
def test_what_is_not_there_is_not_changed(five_scenes: Catalog, method: str, path: str, body: object) -> None:
    answer = five_scenes.call(method, path, body)
    assert (answer.status, answer.mimetype) == (404, "application/problem+json"), answer.text()


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", ITEMS, {}, "type"),
        ("POST", ITEMS, b"", "type"),
        ("POST", ITEMS, [item(SCENE)], "must be a JSON object"),
        ("POST", ITEMS, b"null", "must be a JSON object"),
        ("POST", ITEMS, b"{", "is not JSON"),
        ("POST", ITEMS, item(SCENE) | {"id": "a/b"}, "no URL leads to it"),
        ("POST", ITEMS, item(SCENE) | {"id": "z", "geometry": None, "bbox": None}, "geometry"),
        ("POST", ITEMS, item(SCENE) | {"id": "z", "properties": {}}, "datetime"),
        ("POST", ITEMS, item(SCENE) | {"id": "z", "collection": "other"}, "other"),
        ("POST", ITEMS, item(SCENE) | {"id": "z\u0000"}, "U+0000"),
        ("PUT", PLACE, item(SCENE) | {"id": "z"}, "z"),
        ("PATCH", PLACE, [{"op": "remove", "path": "/properties/none"}], "none"),
        ("PATCH", PLACE, [{"op": "move", "path": "/properties/none"}], "from"),
        ("PATCH", PLACE, {"id": "z"}, "z"),
        ("PATCH", PLACE, b"3", "JSON object"),
        ("PATCH", PLACE, {"geometry": OPEN}, "geometry.coordinates.0: the ring is not closed"),
        ("PATCH", PLACE, {"geometry": FAR}, "longitude 200"),
        ("PUT", PLACE, item(SCENE) | {"geometry": FAR}, "longitude 200"),
        ("POST", ITEMS, item(SCENE) | {"id": "z", "geometry": FAR}, "longitude 200"),
        ("POST", ITEMS, {"type": "FeatureCollection", "features": [item(SCENE) | {"geometry": FAR}]}, "200"),
        ("PUT", "/collections/scenes", collection("other"), "id: must stay 'scenes'"),
        ("PATCH", "/collections/scenes", {"id": "other"}, "id: must stay 'scenes'"),
        (
            "PATCH",
            "/collections/scenes",
            [{"op": "replace", "path": "/id", "value": "other"}],
            "id: must stay 'scenes'",
        ),
        ("PATCH", "/collections/scenes", [{"op": "remove", "path": "/id"}], "id: must stay 'scenes'"),
        (
            "PATCH",
            "/collections/scenes",
            [{"op": "move", "from": "/id", "path": "/title"}],
            "id: must stay 'scenes'",
        ),
        ("POST", "/collections", {"id": "c"}, "description"),
        ("POST", "/collections", collection("a/b"), "no URL leads to it"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_the_reason(
    five_scenes: Catalog, method: str, path: str, body: object, said: str
) -> None:
    answer = five_scenes.call(method, path, body)
    assert (answer.status, answer.mimetype) == (400, "application/problem+json"), answer.text()
    assert said in answer.json()["detail"]
    assert properties(five_scenes) == item(SCENE)["properties"]


@pytest.mark.parametrize("number", [1e22, -3.4028234663852886e38])
def test_numbers_that_no_64_bits_hold_as_integers_are_kept(filled: Catalog, number: float) -> None:
    large = item(SCENE) | {"id": "large"}
    large["properties"] = {**large["properties"], "n": number}
    assert filled.post(ITEMS, large).status == 201
    assert filled.get(f"{ITEMS}/large").json()["properties"]["n"] == float(number)
    assert filled.call("PATCH", f"{ITEMS}/large", {"properties": {"m": 1}}).status == 200
    assert filled.call("PUT", f"{ITEMS}/large", large).status == 200


@pytest.mark.parametrize("identifier", ["..", "a\\b", "a\nb", "a" * 513])
def test_an_id_that_no_url_leads_to_is_refused(five_scenes: Catalog, identifier: str) -> None:
    named = item(SCENE) | {"id": identifier}
    for path, body in (
        (ITEMS, named),
        (ITEMS, {"type": "FeatureCollection", "features": [named]}),
        ("/collections/scenes/bulk_items", {"items": {"a": named}, "method": "insert"}),
        ("/collections", collection() | {"id": identifier}),
    ):
        answer = five_scenes.post(path, body)
        assert (answer.status, "id: " in answer.text()) == (400, True), answer.text()


def test_of_many_items_at_once_each_that_cannot_be_found_is_refused_alone(filled: Catalog) -> None:
    good, bad = item(SCENE) | {"id": "good"}, item(SCENE) | {"id": "bad", "geometry": OPEN}
    answer = filled.post("/collections/scenes/bulk_items", {"items": {"good": good, "bad": bad}})
    assert answer.status == 200, answer.text()
    assert answer.json()["success"] == 1
    [error] = answer.json()["errors"]
    assert (error["id"], error["msg"]) == (
        "bad",
        "geometry.coordinates.0: the ring is not closed (RFC 7946, 3.1.6)",
    )
    assert sorted(filled.found()) == ["good", SCENE.id]


def test_a_collections_own_id_may_be_said_again(filled: Catalog) -> None:
    same = {"id": "scenes", "title": "Other"}
    assert filled.call("PATCH", "/collections/scenes", same).status == 200
    steps = [{"op": "test", "path": "/id", "value": "scenes"}, {"op": "remove", "path": "/title"}]
    assert filled.call("PATCH", "/collections/scenes", steps).status == 200
    assert "title" not in filled.get("/collections/scenes").json()
