"""Items of a real pgstac, read in ranges, and a collection's document that others change too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from interfaces.catalog import CatalogNotSetUp, CollectionNotFound, Holder
from interfaces.catalog_items import EVERY_ITEM, ItemFilter, ItemRange
from interfaces.errors import LeaseLost
from interfaces.settings import Settings
from repositories.database import Database
from repositories.pgstac_items import PgstacItems
from tests.integration.collections.items import COLLECTION, stac_item

WHOLE = ItemRange(collection="scenes", number=0, ranges=1)


class Scene:
    """A catalog with one collection, and the repository that reads it."""

    def __init__(self, url: str) -> None:
        self.database = Database(Settings(database_url=SecretStr(url)))
        self.items = PgstacItems(self.database)
        self.admin = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self.admin.execute("SET search_path = pgstac, public")

    def create(self, *, partition_by: str | None = None, **more: Any) -> None:
        self.admin.execute(
            "INSERT INTO collections (content, partition_trunc) VALUES (%s, %s)",
            [Jsonb({**COLLECTION, **more}), partition_by],
        )

    def add(self, *items: dict[str, Any]) -> None:
        self.admin.execute("SELECT create_items(%s)", [Jsonb(list(items))])

    def holder(self, fence: int = 1) -> Holder:
        self.admin.execute(
            "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, fence, lease_until)"
            " VALUES (%s, 1, 1, 0, '{}', 'processing', %s, now())"
            " ON CONFLICT (job_id, run, stage, task_index) DO UPDATE SET fence = EXCLUDED.fence",
            ("a" * 64, fence),
        )
        return Holder("a" * 64, 1, 1, 0, fence)

    def ids(self, part: ItemRange, wanted: ItemFilter = EVERY_ITEM, limit: int = 3) -> list[str]:
        return [item["id"] for page in self.items.items(part, wanted, limit) for item in page]


@pytest.fixture
def scene(catalog_database_url: str) -> Iterator[Scene]:
    made = Scene(catalog_database_url)
    yield made
    made.admin.close()
    made.database.close()


@pytest.fixture(params=[None, "month"])
def scenes(scene: Scene, request: pytest.FixtureRequest) -> Scene:
    """Ten items, a month apart, in one partition or in one a month."""
    scene.create(partition_by=request.param)
    scene.add(*(stac_item(number, month=number + 1) for number in range(10)))
    return scene


def test_ranges_cover_a_collection_without_a_gap_whatever_is_added_later(scenes: Scene) -> None:
    boundaries = scenes.items.boundaries("scenes", 4, EVERY_ITEM)
    assert boundaries == ["item-003", "item-007"]
    ends = [None, *boundaries, None]
    ranges = [
        ItemRange(collection="scenes", number=n, ranges=3, after=ends[n], upto=ends[n + 1]) for n in range(3)
    ]
    scenes.add(stac_item(10, id="item-003b"), stac_item(11, id="a"), stac_item(12, id="z"))
    assert [scenes.ids(part) for part in ranges] == [
        ["a", "item-000", "item-001", "item-002", "item-003"],
        ["item-003b", "item-004", "item-005", "item-006", "item-007"],
        ["item-008", "item-009", "z"],
    ]


def test_items_are_read_whole_also_what_they_share_with_their_collection(scene: Scene) -> None:
    scene.create(item_assets={"data": {"type": "image/tiff", "roles": ["data"]}})
    item = stac_item(1)
    scene.add(item)
    [[read]] = scene.items.items(WHOLE, EVERY_ITEM, 10)
    assert read == item


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"datetime": "2024-03-15T00:00:00Z"}, ["item-002"]),
        ({"datetime": "2024-09-01/.."}, ["item-008", "item-009"]),
        ({"datetime": "../2024-01-31"}, ["item-000"]),
        ({"bbox": [4.5, -1, 6.5, 0.5]}, ["item-004", "item-005", "item-006"]),
        ({"bbox": [7.5, -1, 20, 1], "datetime": "../2024-09-01"}, ["item-007"]),
        ({"bbox": [170, -10, -170, 10]}, []),
    ],
)
def test_a_box_and_an_interval_choose_items(scenes: Scene, wanted: dict[str, Any], found: list[str]) -> None:
    chosen = ItemFilter.model_validate_json(json.dumps(wanted))
    assert scenes.ids(WHOLE, chosen) == found
    assert scenes.items.boundaries("scenes", 1, chosen) == found


def test_a_box_across_the_antimeridian_finds_what_is_on_both_sides(scene: Scene) -> None:
    scene.create()
    scene.add(stac_item(0, west=178), stac_item(1, west=-179), stac_item(2, west=0))
    assert scene.ids(WHOLE, ItemFilter(bbox=[170, -10, -170, 10])) == ["item-000", "item-001"]


def test_the_extent_of_a_range_joins_longitudes_that_touch(scenes: Scene) -> None:
    scenes.add(stac_item(20, west=100, south=-40, month=12))
    extent = scenes.items.extent(WHOLE)
    assert extent.items == 11
    assert extent.longitudes == [(0, 10), (100, 101)]
    assert (extent.south, extent.north) == (-40, 1)
    assert [time and time.isoformat() for time in (extent.start, extent.end)] == [
        "2024-01-15T00:00:00+00:00",
        "2024-12-15T00:00:00+00:00",
    ]


def test_a_range_without_items_has_no_extent(scene: Scene) -> None:
    scene.create()
    extent = scene.items.extent(WHOLE)
    assert (extent.items, extent.start, extent.south, extent.longitudes) == (0, None, None, [])


def test_values_are_found_in_properties_assets_and_bands_also_those_shared_with_the_collection(
    scene: Scene,
) -> None:
    scene.create(item_assets={"data": {"type": "image/tiff", "roles": ["data"], "gsd": 30}})
    scene.add(stac_item(0, platform="a", instruments=["x", "y"]))
    shared = stac_item(1, platform="b", instruments=["y"])
    shared["assets"]["data"] |= {"gsd": 30, "bands": [{"name": "B1", "data_type": "uint8"}]}
    scene.add(shared)
    found = {
        one.field: one
        for one in scene.items.values(WHOLE, ["platform", "instruments", "gsd", "data_type"], 9)
    }
    assert {field: one.values for field, one in found.items()} == {
        "platform": ["a", "b"],
        "instruments": ["x", "y"],
        "gsd": [30],
        "data_type": ["uint8"],
    }
    assert (found["gsd"].minimum, found["gsd"].maximum, found["gsd"].more) == (30, 30, False)


def test_more_values_than_asked_for_are_counted_not_carried(scene: Scene) -> None:
    scene.create()
    scene.add(*(stac_item(n, platform=f"p{n}", **{"eo:cloud_cover": n}) for n in range(8)))
    clouds, platforms = scene.items.values(WHOLE, ["platform", "eo:cloud_cover"], 5)
    assert platforms.more
    assert len(platforms.values) == 5
    assert (clouds.minimum, clouds.maximum) == (0, 7)


def test_long_texts_are_not_carried_around(scene: Scene) -> None:
    scene.create()
    scene.add(stac_item(0, platform="a", mission="m" * 299), stac_item(1, platform="b" * 1000))
    mission, platform = scene.items.values(WHOLE, ["platform", "mission"], 5)
    assert (platform.values, platform.more) == (["a"], True)
    assert (mission.values, mission.more) == ([], True)


def test_a_change_of_the_document_keeps_what_others_wrote(scene: Scene) -> None:
    scene.create(title="people's")
    assert scene.items.change("scenes", lambda document: {**document, "keywords": ["a"]}, scene.holder())
    assert scene.items.document("scenes") == {**COLLECTION, "title": "people's", "keywords": ["a"]}
    assert not scene.items.change("scenes", lambda document: dict(document), scene.holder())


def test_an_attempt_that_lost_its_task_changes_no_document_and_adds_no_queryable(scene: Scene) -> None:
    scene.create()
    scene.add(stac_item(0, platform="a"))
    late = scene.holder(fence=1)
    scene.holder(fence=2)
    with pytest.raises(LeaseLost):
        scene.items.change("scenes", lambda document: {**document, "title": "late"}, late)
    with pytest.raises(LeaseLost):
        scene.items.add_queryables("scenes", late)
    assert scene.items.document("scenes") == COLLECTION
    assert queryables(scene) == {}


def queryables(scene: Scene) -> dict[str, Any]:
    """Those of this collection alone, as the API answers them."""
    mine = {
        row["name"]
        for row in scene.admin.execute("SELECT name FROM queryables WHERE 'scenes' = ANY(collection_ids)")
    }
    answer = scene.admin.execute("SELECT get_queryables('scenes') AS found").fetchone()
    assert answer is not None
    return {name: given for name, given in answer["found"]["properties"].items() if name in mine}


def test_queryables_are_added_for_what_items_have_and_stay_as_people_defined_them(scene: Scene) -> None:
    scene.create()
    unknown: dict[str, Any] = {"proj:code": None, "processing:software": {"gdal": "3"}}
    scene.add(stac_item(0, platform="a", gsd=10, **unknown))
    scene.admin.execute(
        "SELECT upsert_queryable('gsd', %s, NULL, NULL, '{scenes}')",
        [Jsonb({"type": "number", "title": "mine"})],
    )
    added = scene.items.add_queryables("scenes", scene.holder())
    assert [one.name for one in added] == ["platform"]
    assert queryables(scene) == {"platform": {"type": "string"}, "gsd": {"type": "number", "title": "mine"}}
    assert scene.items.add_queryables("scenes", scene.holder()) == []


def test_a_collection_that_is_missing_is_named(scene: Scene) -> None:
    with pytest.raises(CollectionNotFound, match="collection: the catalog has no collection 'scenes'"):
        scene.items.document("scenes")
    with pytest.raises(CollectionNotFound):
        scene.items.change("scenes", lambda document: document, scene.holder())


def test_a_database_without_pgstac_says_which_job_mends_it(database_url: str) -> None:
    database = Database(Settings(database_url=SecretStr(database_url)))
    try:
        with pytest.raises(CatalogNotSetUp, match="stac_setup"):
            PgstacItems(database).document("scenes")
    finally:
        database.close()
