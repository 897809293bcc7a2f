"""Searches, listings and queryables, against what the rule of the scenes says must be found."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
import pytest
from pydantic import SecretStr

from interfaces.settings import Settings
from local.stack.postgres import PostgresServer
from repositories.catalog_api import CatalogApi
from tests.catalog_content import FIRST, Scene, collection, fill
from tests.fix_catalog import Catalog, catalog_of, link

SCENES = 300
MADE: list[Scene] = []


@pytest.fixture(scope="module")
def shared(postgres_server: PostgresServer, catalog_template: str) -> Iterator[Catalog]:
    """A filled catalog, which no test of this module changes."""
    url = postgres_server.create_database("searches", catalog_template)
    MADE[:] = fill(url, SCENES)
    settings = Settings(database_url=SecretStr(url))
    api = CatalogApi(settings)
    yield catalog_of(settings, api)
    api.close()
    postgres_server.drop_database("searches")


def ids(scenes: list[Scene]) -> set[str]:
    return {scene.id for scene in scenes}


def hours(count: int) -> str:
    return (FIRST + count * (MADE[1].time - MADE[0].time)).strftime("%Y-%m-%dT%H:%M:%SZ")


BOXES = [(-30.0, -40.0, 60.0, 40.0), (170.0, -90.0, -170.0, 90.0), (-180.0, -90.0, -179.0, 90.0)]


@pytest.mark.parametrize("box", BOXES)
def test_a_box_finds_what_meets_it_also_across_the_antimeridian(
    shared: Catalog, box: tuple[float, float, float, float]
) -> None:
    expected = ids([scene for scene in MADE if scene.meets(*box)])
    assert 0 < len(expected) < SCENES
    assert set(shared.found(bbox=box, limit=SCENES)) == expected
    got = shared.get(f"/search?limit={SCENES}&bbox={','.join(map(str, box))}").json()
    assert {feature["id"] for feature in got["features"]} == expected


@pytest.mark.parametrize(
    ("interval", "holds"),
    [
        ("{10}", lambda n: n == 10),
        ("{10}/{20}", lambda n: 10 <= n <= 20),
        ("../{20}", lambda n: n <= 20),
        ("{290}/..", lambda n: n >= 290),
    ],
)
def test_a_time_finds_what_is_of_it(shared: Catalog, interval: str, holds: Callable[[int], bool]) -> None:
    for number in (10, 20, 290):
        interval = interval.replace(f"{{{number}}}", hours(number))
    expected = ids([scene for scene in MADE if holds(scene.number)])
    assert set(shared.found(datetime=interval, limit=SCENES)) == expected


FILTERS: list[tuple[str, dict[str, Any], Callable[[Scene], bool]]] = [
    (
        "eo:cloud_cover < 20",
        {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]},
        lambda scene: scene.cloud_cover < 20,
    ),
    (
        "eo:cloud_cover BETWEEN 20 AND 30 OR id = 'scene-000001'",
        {
            "op": "or",
            "args": [
                {"op": "between", "args": [{"property": "eo:cloud_cover"}, 20, 30]},
                {"op": "=", "args": [{"property": "id"}, "scene-000001"]},
            ],
        },
        lambda scene: 20 <= scene.cloud_cover <= 30 or scene.number == 1,
    ),
    (
        "title LIKE 'Scene 1%' AND NOT eo:cloud_cover IN (0, 7, 14)",
        {
            "op": "and",
            "args": [
                {"op": "like", "args": [{"property": "title"}, "Scene 1%"]},
                {"op": "not", "args": [{"op": "in", "args": [{"property": "eo:cloud_cover"}, [0, 7, 14]]}]},
            ],
        },
        lambda scene: str(scene.number).startswith("1") and scene.cloud_cover not in (0, 7, 14),
    ),
    (
        "S_INTERSECTS(geometry, POLYGON((-30 -40, 60 -40, 60 40, -30 40, -30 -40)))",
        {
            "op": "s_intersects",
            "args": [
                {"property": "geometry"},
                {
                    "type": "Polygon",
                    "coordinates": [[[-30, -40], [60, -40], [60, 40], [-30, 40], [-30, -40]]],
                },
            ],
        },
        lambda scene: scene.meets(-30, -40, 60, 40),
    ),
]


@pytest.mark.parametrize(("text", "document", "holds"), FILTERS)
def test_a_filter_finds_the_same_as_text_and_as_json(
    shared: Catalog, text: str, document: dict[str, Any], holds: Callable[[Scene], bool]
) -> None:
    expected = ids([scene for scene in MADE if holds(scene)])
    assert 0 < len(expected) < SCENES
    by_text = shared.get(f"/search?limit={SCENES}&filter-lang=cql2-text&filter={quote(text)}").json()
    assert {feature["id"] for feature in by_text["features"]} == expected
    by_url = quote(json.dumps(document))
    by_json = shared.get(f"/search?limit={SCENES}&filter-lang=cql2-json&filter={by_url}").json()
    assert {feature["id"] for feature in by_json["features"]} == expected
    assert set(shared.found(filter=document, **{"filter-lang": "cql2-json"}, limit=SCENES)) == expected


def test_items_are_sorted_as_asked(shared: Catalog) -> None:
    answer = shared.get(f"/search?limit={SCENES}&sortby=-eo:cloud_cover,%2Bid").json()
    wanted = sorted(MADE, key=lambda scene: (-scene.cloud_cover, scene.id))
    assert [feature["id"] for feature in answer["features"]] == [scene.id for scene in wanted]
    asked = [{"field": "datetime", "direction": "asc"}]
    assert shared.found(sortby=asked, limit=3) == [scene.id for scene in MADE[:3]]


def test_only_the_fields_that_were_asked_for_are_answered(shared: Catalog) -> None:
    answer = shared.get("/search?limit=1&fields=id,properties.title")
    assert answer.mimetype == "application/geo+json"
    [feature] = answer.json()["features"]
    assert feature["properties"] == {"title": f"Scene {SCENES - 1}"}
    assert "geometry" not in feature
    chosen = shared.post("/search", {"limit": 1, "fields": {"exclude": ["assets"]}})
    assert chosen.mimetype == "application/geo+json"
    assert "assets" not in chosen.json()["features"][0]


def test_the_query_extension_compares_properties(shared: Catalog) -> None:
    expected = ids([scene for scene in MADE if 10 <= scene.cloud_cover < 20])
    query = {"eo:cloud_cover": {"gte": 10, "lt": 20}}
    assert set(shared.found(query=query, limit=SCENES)) == expected
    by_get = shared.get(f"/search?limit={SCENES}&query={quote(json.dumps(query))}").json()
    assert {feature["id"] for feature in by_get["features"]} == expected


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_pages_lead_through_everything_once_and_back(shared: Catalog, method: str) -> None:
    seen: list[str] = []
    path, body = "/search?limit=70", {"limit": 70}
    answer = shared.get(path) if method == "GET" else shared.post("/search", body)
    while True:
        document = answer.json()
        seen += [feature["id"] for feature in document["features"]]
        following = [link for link in document["links"] if link["rel"] == "next"]
        if not following:
            break
        assert following[0]["method"] == method
        answer = _followed(shared, following[0])
    assert seen == [scene.id for scene in reversed(MADE)]
    back = next(link for link in document["links"] if link["rel"] in ("prev", "previous"))
    before = _followed(shared, back).json()["features"]
    assert [feature["id"] for feature in before] == seen[210:280]


def _followed(catalog: Catalog, found: dict[str, Any]) -> Any:
    parts = urlsplit(found["href"])
    path = parts.path.removeprefix("/api/stac") + (f"?{parts.query}" if parts.query else "")
    return catalog.post(path, found["body"]) if found["method"] == "POST" else catalog.get(path)


def test_collections_are_searched_by_text_box_and_filter(
    make_catalog: Callable[..., Catalog], catalog_database_url: str
) -> None:
    catalog = make_catalog(catalog_database_url)
    for name, west in (("north", 0), ("south", 100)):
        extent = {
            "spatial": {"bbox": [[west, 0, west + 10, 10]]},
            "temporal": {"interval": [["2022-01-01T00:00:00Z", None]]},
        }
        made = collection(name) | {"title": f"The {name}", "extent": extent, "description": name}
        assert catalog.post("/collections", made).status == 201

    def found(query: str) -> list[str]:
        return [one["id"] for one in catalog.get(f"/collections?{query}").json()["collections"]]

    assert sorted(found("")) == ["north", "south"]
    assert found("q=north") == ["north"]
    assert found("bbox=99,0,101,1") == ["south"]
    assert found("filter-lang=cql2-text&filter=id%3D%27south%27") == ["south"]
    first = catalog.get("/collections?limit=1&sortby=id").json()
    assert first["numberMatched"] == 2
    assert "offset=1" in link(first, "next")


def test_queryables_name_what_can_be_asked_for(shared: Catalog) -> None:
    for path in ("/queryables", "/collections/scenes/queryables"):
        answer = shared.get(path)
        assert (answer.status, answer.mimetype) == (200, "application/schema+json")
        document = answer.json()
        assert document["$id"] == f"http://127.0.0.1/api/stac{path}"
        assert {"id", "datetime", "geometry", "eo:cloud_cover"} <= document["properties"].keys()
    assert shared.get("/collections/none/queryables").status == 404


def test_a_search_writes_nothing(shared: Catalog) -> None:
    shared.found(limit=1)
    shared.found(limit=2, conf={"readonly": False})
    with psycopg.connect(shared.settings.database_url.get_secret_value()) as connection:
        kept = connection.execute("SELECT count(*) FROM pgstac.searches").fetchone()
    assert kept == (0,)


def test_matches_are_counted_for_who_asks(shared: Catalog) -> None:
    asked = {"limit": 1, "bbox": BOXES[0], "conf": {"context": "on", "nohydrate": True}}
    answer = shared.post("/search", asked).json()
    assert answer["numberMatched"] == len([scene for scene in MADE if scene.meets(*BOXES[0])])
    assert answer["features"][0]["assets"]["data"]["roles"] == ["data"]


def test_pages_are_as_large_as_those_of_other_listings_at_most(
    make_catalog: Callable[..., Catalog], shared: Catalog
) -> None:
    url = shared.settings.database_url.get_secret_value()
    small = make_catalog(url, max_page_size=20)
    assert len(small.found(limit=10_000)) == 20
    for path in ("/search?limit=10000", "/collections/scenes/items?limit=10000"):
        page = small.get(path).json()
        assert len(page["features"]) == 20
        following = urlsplit(link(page, "next"))
        again = small.get(f"{following.path.removeprefix('/api/stac')}?{following.query}").json()
        assert [one["id"] for one in again["features"]] == [f"scene-{n:06}" for n in range(279, 259, -1)]
    assert len(small.found()) == 10
