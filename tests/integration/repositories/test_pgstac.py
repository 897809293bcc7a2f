"""The catalog on a real pgstac: what a load promises, whoever else loads, dies or is late."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import psycopg
import pytest
from psycopg.rows import dict_row
from pydantic import SecretStr

from interfaces.catalog import (
    CatalogItem,
    CatalogNotSetUp,
    CollectionNotFound,
    Holder,
    ItemsRefused,
)
from interfaces.errors import LeaseLost, TaskError
from interfaces.settings import Settings
from repositories import pgstac_loader
from repositories.connection import Connection
from repositories.database import Database
from repositories.pgstac import PgstacCatalog

COLLECTION: dict[str, Any] = {
    "type": "Collection",
    "stac_version": "1.1.0",
    "id": "scenes",
    "description": "Scenes",
    "license": "other",
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
    "links": [],
}
EPOCH = datetime(2024, 1, 15, tzinfo=UTC)


def document(number: int, *, days: float = 0, **properties: Any) -> dict[str, Any]:
    time = (EPOCH + timedelta(days=days)).isoformat().replace("+00:00", "Z")
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": f"item-{number}",
        "collection": "scenes",
        "geometry": {"type": "Point", "coordinates": [number % 180, number % 90]},
        "bbox": [number % 180, number % 90] * 2,
        "properties": {"datetime": time, **properties},
        "links": [],
        "assets": {},
    }


def as_text(document: dict[str, Any], source: str = "bronze/0.tif") -> CatalogItem:
    return CatalogItem(document["id"], source, orjson.dumps(document))


def item(number: int, *, source: str | None = None, **changes: Any) -> CatalogItem:
    return as_text(document(number, **changes), source or f"bronze/{number}.tif")


class Catalog:
    """A catalog, tasks that fill it, and what the database has of it."""

    def __init__(self, url: str) -> None:
        self.database = Database(Settings(database_url=SecretStr(url)))
        self.repository = PgstacCatalog(self.database)
        self.admin = psycopg.connect(url, autocommit=True, row_factory=dict_row)
        self.admin.execute("SET search_path = pgstac, public")

    def attempt(self, *, task: int = 0, fence: int = 1, run: int = 1, job: str = "a") -> Holder:
        """The newest attempt of a task: the database says so."""
        self.admin.execute(
            "INSERT INTO app.tasks (job_id, run, stage, task_index, parameters, status, fence, lease_until)"
            " VALUES (%s, %s, 3, %s, '{}', 'processing', %s, now())"
            " ON CONFLICT (job_id, run, stage, task_index) DO UPDATE SET fence = EXCLUDED.fence",
            (job * 64, run, task, fence),
        )
        return Holder(job * 64, run, 3, task, fence)

    def load(self, *items: CatalogItem, holder: Holder | None = None, exclusive: bool = False) -> Any:
        return self.repository.load("scenes", items, holder or self.attempt(), exclusive=exclusive)

    def rows(self, query: str) -> list[dict[str, Any]]:
        return self.admin.execute(query.encode()).fetchall()

    def ids(self) -> list[str]:
        return [row["id"] for row in self.rows("SELECT id FROM items ORDER BY id")]

    def found(self, **search: Any) -> list[str]:
        answer = self.admin.execute(
            "SELECT search(%s) AS found", [psycopg.types.json.Jsonb(search)]
        ).fetchone()
        assert answer is not None
        return sorted(feature["id"] for feature in answer["found"]["features"])


@pytest.fixture
def catalog(catalog_database_url: str) -> Iterator[Catalog]:
    """A catalog without any collection."""
    made = Catalog(catalog_database_url)
    yield made
    made.admin.close()
    made.database.close()


@pytest.fixture(params=["none", "month"])
def scenes(catalog: Catalog, request: pytest.FixtureRequest) -> Catalog:
    """A catalog with an empty collection, in one partition or in one a month."""
    assert catalog.repository.create_collection(COLLECTION, request.param, catalog.attempt())
    return catalog


def test_items_are_found_by_a_search_once_they_are_loaded(scenes: Catalog) -> None:
    done = scenes.load(item(1), item(2, days=40), item(3, days=400))
    assert (done.loaded, done.replaced, done.refused) == (3, 0, {})
    assert scenes.found(datetime="2024-02-01T00:00:00Z/..") == ["item-2", "item-3"]
    assert scenes.found(bbox=[0.5, 0.5, 1.5, 1.5]) == ["item-1"]


def test_what_was_loaded_comes_back_as_it_was(scenes: Catalog) -> None:
    one = document(1, days=0.3, nested={"a": [1, 2.5, None, "é"]})
    scenes.load(as_text(one))
    [row] = scenes.rows("SELECT get_item('item-1', 'scenes') AS item")
    assert row["item"] == one


def test_an_item_that_is_loaded_again_is_replaced_even_where_its_month_has_changed(scenes: Catalog) -> None:
    scenes.load(item(1), item(2))
    done = scenes.load(item(1, days=90), item(3))
    assert (done.loaded, done.replaced) == (2, 1)
    assert scenes.ids() == ["item-1", "item-2", "item-3"]
    assert scenes.found(datetime="2024-04-01T00:00:00Z/..") == ["item-1"]


@pytest.mark.parametrize(
    "times",
    [
        ["2024-01-01T00:00:00.5Z", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00.25Z"],
        ["2024-01-31T23:59:59.999999Z", "2024-02-01T00:00:00Z", "2024-01-31T23:59:59+00:00"],
    ],
)
def test_times_that_sort_otherwise_as_text_are_loaded_one_after_the_other(
    scenes: Catalog, times: list[str]
) -> None:
    for number, time in enumerate(times):
        one = document(number)
        one["properties"]["datetime"] = time
        scenes.load(as_text(one))
    assert len(scenes.ids()) == len(times)


def test_an_attempt_that_lost_its_task_changes_nothing_however_late(scenes: Catalog) -> None:
    late = scenes.attempt(fence=1)
    scenes.load(item(1, source="b", note="new"), holder=scenes.attempt(fence=2))
    with pytest.raises(LeaseLost):
        scenes.load(item(1, source="b", note="old"), item(2), holder=late)
    assert scenes.ids() == ["item-1"]
    [row] = scenes.rows("SELECT content->'properties'->>'note' AS note FROM items")
    assert row["note"] == "new"
    with pytest.raises(LeaseLost):
        scenes.repository.put_collection({**COLLECTION, "title": "late"}, late)
    assert "title" not in (scenes.repository.collection("scenes") or {})


def test_the_same_attempt_may_load_again_what_it_does_not_know_it_loaded(scenes: Catalog) -> None:
    for fence in (1, 1, 2):
        scenes.load(item(1), item(2, days=31), holder=scenes.attempt(fence=fence))
    assert scenes.ids() == ["item-1", "item-2"]


def test_one_run_does_not_load_two_files_under_one_id(scenes: Catalog) -> None:
    first, second = scenes.attempt(task=0), scenes.attempt(task=1)
    scenes.load(item(1, source="bronze/x/a.tif"), holder=first)
    done = scenes.load(item(1, source="bronze/y/a.tif"), item(2), holder=second)
    assert done.loaded == 1
    assert "bronze/x/a.tif" in done.refused["item-1"]
    # The next run may: the file was moved.
    done = scenes.load(item(1, source="bronze/y/a.tif"), holder=scenes.attempt(run=2))
    assert (done.loaded, done.replaced) == (1, 1)


def test_an_exclusive_load_leaves_ids_of_other_files_alone_whoever_loaded_them(scenes: Catalog) -> None:
    scenes.load(item(1, source="bronze/a.tif"))
    done = scenes.load(item(1, source="silver/a.tif"), holder=scenes.attempt(job="b"), exclusive=True)
    assert done.loaded == 0
    assert "bronze/a.tif" in done.refused["item-1"]


def broken(change: dict[str, Any]) -> CatalogItem:
    return as_text(document(1) | change)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"geometry": {"type": "Nonsense", "coordinates": []}}, "nonsense"),
        ({"properties": {"datetime": None}}, "Invalid datetime"),
    ],
    ids=["no geometry type", "no datetime"],
)
def test_an_item_that_has_no_form_to_be_stored_in_is_refused_by_itself(
    scenes: Catalog, change: dict[str, Any], reason: str
) -> None:
    done = scenes.load(item(0), broken(change), item(2))
    assert done.loaded == 2
    assert reason in done.refused["item-1"]
    assert scenes.ids() == ["item-0", "item-2"]


@pytest.mark.parametrize(
    "change",
    [
        {"properties": {"datetime": "0000-01-01T00:00:00Z"}},
        {"properties": {"datetime": "2024-01-01T00:00:00Z", "text": "a\0b"}},
    ],
    ids=["year 0", "U+0000"],
)
def test_what_only_the_database_refuses_is_refused_with_all_that_came_with_it(
    scenes: Catalog, change: dict[str, Any]
) -> None:
    with pytest.raises(ItemsRefused) as refusal:
        scenes.load(item(0), broken(change), item(2))
    assert refusal.value.detail
    assert scenes.ids() == []
    scenes.load(item(0), item(2))
    assert scenes.ids() == ["item-0", "item-2"]


def test_a_collection_that_is_missing_is_named(catalog: Catalog) -> None:
    with pytest.raises(CollectionNotFound, match="'scenes'"):
        catalog.load(item(1))


def test_a_database_without_pgstac_says_which_job_mends_it(database_url: str) -> None:
    database = Database(Settings(database_url=SecretStr(database_url)))
    try:
        with pytest.raises(CatalogNotSetUp, match="stac_setup"):
            PgstacCatalog(database).collection("scenes")
        assert not PgstacCatalog(database).state().ready
    finally:
        database.close()


def test_a_collection_is_created_once_and_replaced_only_where_it_differs(catalog: Catalog) -> None:
    holder, create = catalog.attempt(), catalog.repository.create_collection
    assert create(COLLECTION, "none", holder)
    assert not create({**COLLECTION, "title": "other"}, "none", holder)
    assert "title" not in (catalog.repository.collection("scenes") or {})
    assert not catalog.repository.put_collection(COLLECTION, holder)
    assert catalog.repository.put_collection({**COLLECTION, "title": "other"}, holder)
    assert (catalog.repository.collection("scenes") or {})["title"] == "other"


def test_a_collection_whose_shared_assets_change_while_items_are_made_ready_keeps_them_whole(
    scenes: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared: dict[str, Any] = {"item_assets": {"data": {"type": "image/tiff", "roles": ["data"]}}}
    scenes.repository.put_collection({**COLLECTION, **shared}, scenes.attempt())
    one = document(1)
    one["assets"] = {"data": {"href": "a.tif", "type": "image/tiff", "roles": ["data"]}}
    made = pgstac_loader.row_of
    changes: Iterator[dict[str, Any]] = iter([{"item_assets": {"data": {"type": "image/png"}}}])

    def row_of(*arguments: Any) -> Any:
        row = made(*arguments)
        for change in changes:
            scenes.repository.put_collection({**COLLECTION, **change}, scenes.attempt(task=9))
        return row

    monkeypatch.setattr("repositories.pgstac.row_of", row_of)
    scenes.load(as_text(one))
    [row] = scenes.rows("SELECT get_item('item-1', 'scenes') AS item")
    assert row["item"]["assets"] == one["assets"]


def test_loads_into_one_collection_at_once_all_arrive_without_a_deadlock(
    scenes: Catalog, catalog_database_url: str
) -> None:
    """Overlapping ids, months in opposite orders, two processes' worth of connections."""
    other = Database(Settings(database_url=SecretStr(catalog_database_url)))
    repositories = [scenes.repository, PgstacCatalog(other)]

    def load(task: int) -> int:
        numbers = range(30) if task % 2 else reversed(range(30))
        items = [item(number, days=number * 11, source="bronze/all.ndjson") for number in numbers]
        holder = scenes.attempt(task=task)
        return repositories[task % 2].load("scenes", items, holder, exclusive=False).loaded

    for task in range(8):
        scenes.attempt(task=task)
    try:
        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(load, range(8))) == [30] * 8
    finally:
        other.close()
    assert len(scenes.ids()) == 30
    assert len(scenes.found(limit=100)) == 30


def test_statistics_of_partitions_are_up_to_date_once_the_last_load_is_over(scenes: Catalog) -> None:
    scenes.load(item(1), item(2, days=2))
    assert scenes.rows("SELECT * FROM query_queue") == []
    ranges = scenes.rows("SELECT lower(dtrange) AS first, upper(dtrange) AS last FROM partition_stats")
    assert [(row["first"], row["last"]) for row in ranges] == [(EPOCH, EPOCH + timedelta(days=2))]


def test_what_a_dead_process_left_in_the_queue_is_worked_off_by_the_next_load(
    scenes: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as dead:
        dead.setattr(PgstacCatalog, "_settle", lambda *_: None)
        scenes.load(item(1))
    assert scenes.rows("SELECT * FROM query_queue") != []
    # Right without it.
    assert scenes.found(datetime="2024-01-15T00:00:00Z") == ["item-1"]
    scenes.load(item(1))
    assert scenes.rows("SELECT * FROM query_queue") == []


def test_the_process_goes_on_reading_json_as_it_did(scenes: Catalog) -> None:
    """The loader's library sets functions for all connections, which lose digits of large numbers."""
    scenes.load(item(1))
    with scenes.database.connection() as connection:
        row = connection.execute("SELECT '123456789012345678901234567890'::jsonb AS number").fetchone()
    assert row == {"number": 123456789012345678901234567890}


@pytest.mark.parametrize(
    ("defect", "told"),
    [
        ("loses", "of 3 items that were loaded the catalog has 2"),
        ("doubles", "and 2 of 1 that were there before"),
    ],
)
def test_a_loader_that_loses_or_doubles_an_item_is_noticed_and_undone(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, defect: str, told: str
) -> None:
    """pgstac's upsert leaves two rows of an item whose month changes."""
    catalog.repository.create_collection(COLLECTION, "month", catalog.attempt())
    catalog.load(item(1))
    write = pgstac_loader.write_rows

    def defective(connection: Connection, storage: pgstac_loader.Storage, rows: Any) -> None:
        if defect == "doubles":
            monkeypatch.setattr(pgstac_loader._library(), "delsert", "upsert")
        write(connection, storage, rows[: -1 if defect == "loses" else None])

    monkeypatch.setattr("repositories.pgstac.write_rows", defective)
    with pytest.raises(TaskError, match=told):
        catalog.load(item(1, days=90), item(2), item(3))
    assert catalog.ids() == ["item-1"]
    assert catalog.found(datetime="2024-02-01T00:00:00Z/..") == []


def undefined_table_once(catalog: Catalog, table: str, times: int = 2) -> None:
    """Let inserts fail as pgstac's functions do where others make or undo a partition meanwhile."""
    catalog.admin.execute("CREATE SEQUENCE failures; GRANT ALL ON SEQUENCE failures TO PUBLIC")
    catalog.admin.execute(
        "CREATE FUNCTION vanished() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF nextval('pgstac.failures') <= {times} THEN"
        """ RAISE undefined_table USING MESSAGE = 'relation "_items_9" does not exist'; END IF;"""
        " RETURN NEW; END $$".encode()
    )
    catalog.admin.execute(
        f"CREATE TRIGGER vanished BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION vanished()".encode()
    )


@pytest.mark.parametrize("table", ["collections", "items", "partition_stats"])
def test_a_partition_that_vanishes_meanwhile_is_no_catalog_that_is_missing(
    catalog: Catalog, table: str
) -> None:
    undefined_table_once(catalog, table)
    assert catalog.repository.create_collection(COLLECTION, "none", catalog.attempt())
    assert catalog.load(item(1), item(2)).loaded == 2
    assert catalog.ids() == ["item-1", "item-2"]


def test_many_collections_are_made_and_filled_at_once(catalog: Catalog) -> None:
    def made(number: int) -> int:
        holder = attempts[number]
        name = f"new-{number}"
        catalog.repository.create_collection({**COLLECTION, "id": name}, "none", holder)
        one = as_text({**document(number), "collection": name})
        return int(catalog.repository.load(name, [one], holder, exclusive=False).loaded)

    attempts = [catalog.attempt(task=number) for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(made, range(40))) == 40
    assert len(catalog.rows("SELECT id FROM items")) == 40
