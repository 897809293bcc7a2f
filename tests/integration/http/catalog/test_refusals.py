"""What cannot be answered is a problem, as everywhere in the API: never a 500, never a trace."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from local.stack.ports import free_ports
from tests.catalog_content import collection, fill, item, scenes
from tests.fix_catalog import Catalog
from tests.unit.triggers.http_client import Answer

MakeCatalog = Callable[..., Catalog]
CALLS: list[tuple[str, str, object]] = [
    ("GET", "/collections", b""),
    ("GET", "/collections/scenes", b""),
    ("GET", "/collections/scenes/items", b""),
    ("GET", "/collections/scenes/items/a", b""),
    ("GET", "/search", b""),
    ("GET", "/queryables", b""),
    ("GET", "/collections/scenes/queryables", b""),
    ("POST", "/search", {}),
    ("POST", "/collections", collection()),
    ("POST", "/collections/scenes/items", item(scenes(1)[0])),
    ("DELETE", "/collections/scenes", b""),
]


def problem(answer: Answer) -> dict[str, Any]:
    assert answer.mimetype == "application/problem+json", answer.text()
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status
    assert document["correlation_id"] == answer.headers["x-correlation-id"]
    assert document["instance"].startswith("/api/stac")
    return document


def test_without_a_catalog_the_answer_says_how_to_make_one(
    make_catalog: MakeCatalog, database_url: str
) -> None:
    catalog = make_catalog(database_url)
    for method, path, body in CALLS:
        document = problem(catalog.call(method, path, body))
        assert (document["status"], document["type"]) == (503, "urn:problem:catalog-missing"), (method, path)
        assert "run the job stac_setup" in document["detail"]


def test_the_catalog_is_found_as_soon_as_it_is_made(
    make_catalog: MakeCatalog, catalog_database_url: str
) -> None:
    with psycopg.connect(catalog_database_url, autocommit=True) as connection:
        connection.execute("ALTER SCHEMA pgstac RENAME TO hidden")
        catalog = make_catalog(catalog_database_url)
        assert catalog.get("/collections").status == 503
        connection.execute("ALTER SCHEMA hidden RENAME TO pgstac")
    assert catalog.get("/collections").status == 200


@pytest.mark.parametrize(("method", "path", "body"), CALLS[:8])
def test_without_a_database_the_answer_says_so_and_names_no_host(
    make_catalog: MakeCatalog, method: str, path: str, body: object
) -> None:
    [port] = free_ports(1)
    catalog = make_catalog(
        f"postgresql://somebody:s3cret@127.0.0.1:{port}/nothing", database_timeout_seconds=0.3
    )
    answer = catalog.call(method, path, body)
    document = problem(answer)
    assert (document["status"], document["type"]) == (503, "urn:problem:service-unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    for secret in ("127.0.0.1", "somebody", "s3cret", str(port)):
        assert secret not in answer.text()


def test_a_search_that_takes_too_long_is_given_up(
    make_catalog: MakeCatalog, catalog_database_url: str
) -> None:
    catalog = make_catalog(catalog_database_url, catalog_search_seconds=0.3)
    with psycopg.connect(catalog_database_url) as connection:
        connection.execute("LOCK TABLE pgstac.collections IN ACCESS EXCLUSIVE MODE")
        document = problem(catalog.get("/collections"))
        assert (document["status"], document["detail"]) == (
            503,
            "the catalog took too long to answer: ask for less, or more precisely",
        )
    assert catalog.get("/collections").status == 200


DENIED = '{"op":"not","args":[' * 300 + "true" + "]}" * 300
SEARCHES = {
    "a box of two numbers": ("bbox=1,2", "2"),
    "a box of words": ("bbox=a,b,c,d", ""),
    "a box upside down": ("bbox=0,10,10,0", ""),
    "no time": ("datetime=yesterday", ""),
    "an interval backwards": ("datetime=2023-01-01T00:00:00Z/2022-01-01T00:00:00Z", ""),
    "a limit of nothing": ("limit=0", "limit"),
    "a limit of words": ("limit=many", "limit"),
    "a token of somebody else": ("token=next:zz", "token"),
    "a token of nonsense": ("token=x", ""),
    "half a filter": ("filter-lang=cql2-text&filter=a%3D", "filter"),
    "a filter in endless parentheses": (
        f"filter-lang=cql2-text&filter={'(' * 2500}a%3D1{')' * 2500}",
        "filter",
    ),
    "a filter that is open": (f"filter-lang=cql2-text&filter={'(' * 25}a", "filter"),
    "a filter that denies itself": (f"filter-lang=cql2-text&filter={'NOT%20' * 2500}a%3D1", "filter"),
    "JSON that denies itself": (f"filter-lang=cql2-json&filter={quote(DENIED)}", "filter"),
    "a filter that is a word": ("filter-lang=cql2-text&filter=a", "filter"),
    "a filter of an unknown language": ("filter-lang=cql3&filter=a%3D1", "filter-lang"),
    "a filter that is no JSON": ("filter-lang=cql2-json&filter=a", "filter"),
    "geometry that is no JSON": ("intersects=a", "JSON"),
    "geometry that is none": (f"intersects={quote(json.dumps({'type': 'Polygon'}))}", "intersects"),
    "a query that is no JSON": ("query=a", "JSON"),
    "NUL": ("ids=a%00b", ""),
    "a box and a geometry": (
        f"bbox=0,0,1,1&intersects={quote(json.dumps({'type': 'Point', 'coordinates': [0, 0]}))}",
        "mutually exclusive",
    ),
    "a box across the antimeridian and a geometry": (
        f"bbox=170,0,-170,1&intersects={quote(json.dumps({'type': 'Point', 'coordinates': [0, 0]}))}",
        "mutually exclusive",
    ),
}


@pytest.mark.parametrize("case", SEARCHES)
def test_a_search_that_cannot_be_read_is_refused(five_scenes: Catalog, case: str) -> None:
    query, said = SEARCHES[case]
    document = problem(five_scenes.get(f"/search?{query}"))
    assert document["status"] == 400
    assert said in document["detail"]


BODIES: dict[str, tuple[object, str]] = {
    "an unknown operator": ({"filter": {"op": "foo", "args": [1]}}, "foo"),
    "a filter of too few arguments": ({"filter": {"op": "=", "args": []}}, ""),
    "a filter that is text": ({"filter": "a=1"}, "filter"),
    "a geometry that is none": ({"intersects": {"type": "Polygon", "coordinates": [[[0, 0]]]}}, "intersects"),
    "a filter with a geometry that is none": (
        {"filter": {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "Polygon"}]}},
        "",
    ),
    "an array": ([], "must be a JSON object"),
    "half a document": (b'{"limit": 1', "is not JSON"),
    "NaN": (b'{"limit": NaN}', "NaN"),
    "a name twice": (b'{"limit": 1, "limit": 2}', "is there twice"),
    "a box of words": ({"bbox": ["a", "b", "c", "d"]}, "bbox"),
    "no such sort": ({"sortby": [{"field": "a", "direction": "sideways"}]}, "sortby"),
    "an unknown comparison": ({"query": {"a": {"like": "b"}}}, "query"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_cannot_be_read_is_refused(five_scenes: Catalog, case: str) -> None:
    body, said = BODIES[case]
    document = problem(five_scenes.post("/search", body))
    assert document["status"] == 400
    assert said in document["detail"]


@pytest.mark.parametrize("path", ["/search", "/collections", "/collections/scenes/items"])
@pytest.mark.parametrize("query", ["0", "[]", "false", '"a"', "null,"])
def test_a_query_that_is_no_object_is_refused(five_scenes: Catalog, path: str, query: str) -> None:
    assert problem(five_scenes.get(f"{path}?query={quote(query)}"))["status"] == 400


def test_errors_of_fields_name_them(five_scenes: Catalog) -> None:
    assert problem(five_scenes.get("/search?limit=x"))["errors"][0]["field"] == "limit"
    assert problem(five_scenes.post("/search", {"limit": "x"}))["errors"][0]["field"] == "limit"


def test_bodies_have_a_largest_size(make_catalog: MakeCatalog, catalog_database_url: str) -> None:
    catalog = make_catalog(catalog_database_url, max_parameters_bytes=1000, catalog_max_body_bytes=3000)
    assert problem(catalog.post("/search", {"ids": ["x" * 1000]}))["status"] == 413
    made = collection() | {"description": "x" * 1500}
    assert catalog.post("/collections", made).status == 201
    assert problem(catalog.post("/collections", made | {"description": "x" * 4000}))["status"] == 413


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/collections/scenes/nothing", 404),
        ("GET", "/collections/%ff", 400),
        ("PUT", "/search", 405),
        ("DELETE", "/collections", 405),
        ("PATCH", "", 405),
    ],
)
def test_addresses_and_methods_that_are_none(
    five_scenes: Catalog, method: str, path: str, status: int
) -> None:
    answer = five_scenes.call(method, path, b"")
    assert problem(answer)["status"] == status
    assert ("Allow" in answer.headers) == (status == 405)


def test_head_is_answered_as_get_and_options_with_the_methods(five_scenes: Catalog) -> None:
    assert five_scenes.call("HEAD", "/collections").status == 200
    plain = five_scenes.call("OPTIONS", "/collections")
    assert (plain.status, plain.headers["Allow"]) == (204, "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT")
    headers = {"Origin": "https://browser.example", "Access-Control-Request-Method": "POST"}
    asked = five_scenes.call("OPTIONS", "/search", headers=headers)
    assert (asked.status, asked.headers["access-control-allow-origin"]) == (200, "*")
    assert five_scenes.get("", Origin="https://browser.example").headers["access-control-allow-origin"] == "*"


def test_every_answer_has_the_headers_of_the_api(five_scenes: Catalog) -> None:
    for path in ("", "/collections", "/nothing"):
        answer = five_scenes.get(path, **{"x-correlation-id": "mine"})
        assert answer.headers["x-correlation-id"] == "mine"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_answers_are_compressed_for_who_asks(catalog: Catalog, catalog_database_url: str) -> None:
    fill(catalog_database_url, 50)
    plain = catalog.get("/search?limit=50")
    packed = catalog.get("/search?limit=50", **{"Accept-Encoding": "br"})
    assert packed.headers["content-encoding"] == "br"
    assert len(packed.body) < len(plain.body) / 3
