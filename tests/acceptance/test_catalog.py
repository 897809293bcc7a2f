"""The STAC API of the running app as a client has it that people use, and its keys."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from pystac_client import Client
from pystac_client.exceptions import APIError

from local.stack.postgres import PostgresServer
from repositories.pgstac_schema import library_version
from tests.catalog_content import FIRST, Scene, collection, fill, item, scenes
from tests.fix_app import App, MakeApp, serving

SCENES = 1_000
MANY_SCENES = 10_000
ANTIMERIDIAN = [170.0, -60.0, -165.0, 60.0]


@dataclass(frozen=True)
class Filled:
    """A running app, what its catalog holds, and the key that it asks for."""

    app: App
    scenes: list[Scene]
    key: str

    @property
    def url(self) -> str:
        return f"{self.app.url}/api/stac"

    @property
    def headers(self) -> dict[str, str]:
        return {"x-functions-key": self.key}

    def client(self) -> Client:
        return Client.open(self.url, headers=self.headers)


@pytest.fixture(scope="module")
def filled(
    request: pytest.FixtureRequest,
    postgres_server: PostgresServer,
    catalog_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Filled]:
    """A thousand items, with --chaos ten thousand; two workers."""
    folder = tmp_path_factory.mktemp("catalog")
    keys = folder / "keys.json"
    keys.write_text(json.dumps({"function": "f-key", "admin": "a-key"}))
    arguments = ("--auth", "--keys", str(keys))
    with serving(postgres_server, catalog_template, storage_connection_string, folder, *arguments) as app:
        count = MANY_SCENES if request.config.getoption("--chaos") else SCENES
        yield Filled(app, fill(app.database_url, count), "f-key")


def ids(made: list[Scene]) -> set[str]:
    return {scene.id for scene in made}


def every_item_is_found_once(filled: Filled) -> None:
    found = [found.id for found in filled.client().search(limit=250, max_items=None).items()]
    assert len(found) == len(filled.scenes)
    assert set(found) == ids(filled.scenes)


def searches_find_what_they_must(filled: Filled) -> None:
    client, made = filled.client(), filled.scenes
    expected = ids([scene for scene in made if scene.meets(*ANTIMERIDIAN)])
    for method in ("GET", "POST"):
        search = client.search(method=method, bbox=ANTIMERIDIAN, limit=100, max_items=None)
        assert {found.id for found in search.items()} == expected
    middle = made[len(made) // 2].time
    interval = client.search(datetime=[FIRST, middle], limit=500, max_items=None)
    assert {found.id for found in interval.items()} == ids([s for s in made if s.time <= middle])
    cloudless = client.search(
        method="GET",
        filter="eo:cloud_cover <= 10 AND S_INTERSECTS(geometry, POLYGON((0 0, 90 0, 90 90, 0 90, 0 0)))",
        filter_lang="cql2-text",
        limit=100,
        max_items=None,
    )
    assert {found.id for found in cloudless.items()} == ids(
        [scene for scene in made if scene.cloud_cover <= 10 and scene.meets(0, 0, 90, 90)]
    )
    document = {"op": ">", "args": [{"property": "eo:cloud_cover"}, 95]}
    cloudy = client.search(filter=document, sortby="-properties.eo:cloud_cover", limit=100, max_items=None)
    found = [one.properties["eo:cloud_cover"] for one in cloudy.items()]
    assert found == sorted((s.cloud_cover for s in made if s.cloud_cover > 95), reverse=True)


def test_a_client_walks_through_the_catalog(filled: Filled) -> None:
    client = filled.client()
    [found] = list(client.get_collections())
    assert (found.id, found.title) == ("scenes", "Scenes")
    first = next(iter(found.get_items()))
    assert first.get_self_href() == f"{filled.url}/collections/scenes/items/{first.id}"
    again = found.get_item(first.id)
    assert again is not None
    assert again.to_dict()["geometry"] == first.to_dict()["geometry"]
    # `/` and `` are the same catalog.
    assert Client.open(f"{filled.url}/", headers=filled.headers).id == client.id


def test_a_client_pages_through_all_items(filled: Filled) -> None:
    every_item_is_found_once(filled)


def test_a_client_searches_by_box_time_and_filter(filled: Filled) -> None:
    searches_find_what_they_must(filled)


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_a_client_pages_and_searches_through_ten_thousand_items(filled: Filled) -> None:
    assert len(filled.scenes) == MANY_SCENES
    every_item_is_found_once(filled)
    searches_find_what_they_must(filled)


def test_without_the_key_nothing_is_read_or_changed(filled: Filled) -> None:
    one = item(scenes(1)[0])
    place = f"{filled.url}/collections/scenes/items/{one['id']}"
    with httpx.Client() as http:
        for method, url in (("GET", filled.url), ("POST", f"{filled.url}/search"), ("DELETE", place)):
            assert http.request(method, url).status_code == 401
        assert http.post(f"{filled.url}/collections", json=collection("mine")).status_code == 401
        assert http.get(place, headers=filled.headers).status_code == 200
        assert http.get(f"{place}?code={filled.key}").status_code == 200
    with pytest.raises(APIError):
        Client.open(filled.url)


def test_with_the_key_collections_and_items_are_made_and_deleted(filled: Filled) -> None:
    with httpx.Client(base_url=filled.url, headers=filled.headers) as http:
        assert http.post("/collections", json=collection("mine")).status_code == 201
        one = item(scenes(1)[0], "mine")
        assert http.post("/collections/mine/items", json=one).status_code == 201
        place = f"/collections/mine/items/{one['id']}"
        assert http.patch(place, json={"properties": {"title": "new"}}).status_code == 200
        assert http.get(place).json()["properties"]["title"] == "new"
        assert http.delete(place).status_code == 200
        assert http.get(place).status_code == 404
        assert http.delete("/collections/mine").status_code == 200


def test_the_job_that_sets_the_catalog_up_makes_the_api_answer(make_app: MakeApp) -> None:
    app = make_app()
    before = app.get("/stac/collections")
    assert (before.status_code, before.json()["type"]) == (503, "urn:problem:catalog-missing")
    assert app.get("/stac").status_code == 200
    assert app.get("/health").json()["checks"]["catalog"]["pgstac"] is None
    assert app.wait(app.submit("stac_setup"))["status"] == "completed"
    assert app.get("/stac/collections").json()["collections"] == []
    assert app.get("/health").json()["checks"]["catalog"]["pgstac"] == library_version()


def test_health_names_the_version_of_the_catalog(filled: Filled) -> None:
    with httpx.Client(base_url=filled.app.url, headers=filled.headers) as http:
        check = http.get("/api/health").json()["checks"]["catalog"]
    assert (check["status"], check["pgstac"]) == ("ok", library_version())
