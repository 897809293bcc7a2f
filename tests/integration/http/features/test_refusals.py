"""What cannot be answered is a problem, as everywhere in the API: never a 500, never a trace."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from local.stack.ports import free_ports
from tests.fix_features import Features, publish
from tests.unit.triggers.http_client import Answer

from .conftest import MakeFeatures


def problem(answer: Answer) -> dict[str, Any]:
    assert answer.mimetype == "application/problem+json", answer.text()
    document: dict[str, Any] = answer.json()
    assert document["status"] == answer.status
    assert document["correlation_id"] == answer.headers["x-correlation-id"]
    assert document["instance"].startswith("/api/features")
    return document


ITEMS: list[tuple[str, str, str]] = [
    ("bbox", "1,2", "four or six numbers"),
    ("bbox", "a,b,c,d", "four or six numbers"),
    ("bbox", "nan,0,1,1", "four or six numbers"),
    ("bbox", "1_0,0,20,٢", "four or six numbers"),
    ("bbox", "0,0,inf,1", "four or six numbers"),
    ("bbox", "0,10,10,0", "south"),
    ("bbox", "0,0,200,10", "in degrees"),
    ("bbox-crs", "http://www.opengis.net/def/crs/EPSG/0/3857", "CRS84 only"),
    ("crs", "http://www.opengis.net/def/crs/EPSG/0/3857", "CRS84 only"),
    ("filter-crs", "EPSG:3857", "CRS84 only"),
    ("datetime", "yesterday", "RFC 3339"),
    ("datetime", "2024-01-01T00:00:00Z/2023-01-01T00:00:00Z", "ends before it starts"),
    ("datetime", "../..", "neither a start nor an end"),
    ("datetime", "a/b/c", "an interval of two"),
    ("limit", "0", "at least 1"),
    ("limit", "-1", "limit"),
    ("limit", "many", "limit"),
    ("offset", "-1", "whole number"),
    ("offset", "9" * 30, "whole number"),
    ("simplify", "nan", "greater than 0"),
    ("simplify", "-1", "greater than 0"),
    ("sortby", "town", "town"),
    ("properties", "name,town", "'town' is no column"),
    ("geom-column", "shape", "shape"),
    ("datetime-column", "then", "then"),
    ("town", "Rome", "is no parameter of this address, and no column"),
    ("größe", "wide", "invalid input syntax"),
    ("f", "html", "f: "),
    ("f", "shp", "f: "),
    ("name", "a\x00b", "U+0000"),
    ("filter", "", "is empty"),
    ("filter", "name", "is no condition"),
    ("filter", "name > 5", "operator does not exist"),
    ("filter", "fid / 0 = 1", "division by zero"),
    ("filter", "note = 1", "operator does not exist"),
    ("filter", "fid = 'x'", "invalid input syntax"),
    ("filter", "pg_sleep(10) = 1", "no operator or function"),
    ("filter", "S_INTERSECTS(name, POINT(1 1))", "refuses this"),
    ("filter", "(" * 3000, "filter: "),
    ("filter", "NULL", "is no condition"),
    ("filter", "S_INTERSECTS(geom, POINT EMPTY)", "is no CQL2 text"),
    ("filter", '{"op": "in", "args": [{"property": "fid"}, 5]}', "refuses this"),
    (
        "filter",
        '{"op": "s_intersects", "args": [{"property": "geom"}, {"bbox": ["1", 2, 3, 4]}]}',
        "four or six numbers",
    ),
    ("filter-lang", "cql3", "filter-lang"),
]


@pytest.mark.parametrize(("parameter", "value", "said"), ITEMS)
def test_a_parameter_that_cannot_be_understood_is_refused(
    layers: Features, parameter: str, value: str, said: str
) -> None:
    query: dict[str, object] = {parameter: value}
    if parameter == "datetime-column":
        query["datetime"] = "2024-01-01T00:00:00Z"
    document = problem(layers.get("/collections/features.places/items", **query))
    assert document["status"] == 400
    assert said in document["detail"]
    assert "SELECT" not in document["detail"]
    if parameter in ("sortby", "geom-column", "datetime-column"):
        assert [error["field"] for error in document["errors"]] == [parameter]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/nothing", 404),
        ("/collections/features", 404),
        ("/collections/features.nothing", 404),
        ("/collections/.", 404),
        ("/collections/features.%00", 404),
        ("/collections/features.places/nothing", 404),
        ("/collections/features.places/items/99", 404),
        ("/collections/features.places/items/1?f=csv", 400),
        ("/collections/features.places/items/1?town=a", 400),
        ("/collections/features.places/tiles/Mars/0/0/0", 400),
        ("/collections/features.places/tiles/WebMercatorQuad/a/0/0", 400),
        ("/collections/features.places/tiles/WebMercatorQuad/0/0/0?limit=0", 400),
        ("/collections/features.places/tiles/WebMercatorQuad/0/0/0?geom-column=none", 400),
        ("/collections/features.places/tiles/WebMercatorQuad/0/0/0?filter=town%3D1", 400),
        ("/collections/features.places/tiles/WebMercatorQuad/style.json?maxzoom=99999999999999999999", 400),
        ("/collections/features.many/items?datetime=2024-01-01T00:00:00Z", 400),
        ("/collections/features.places/tiles/WebMercatorQuad/tilejson.json?minzoom=5&maxzoom=3", 400),
        ("/collections?bbox=1", 400),
        ("/collections?type=Function", 400),
        ("/collections?town=a", 400),
        ("/?town=a", 400),
        ("/conformance?f=html", 400),
        ("/collections/features.places/queryables?f=html", 400),
        ("/tileMatrixSets/Mars", 400),
    ],
)
def test_an_address_that_is_none_is_refused(layers: Features, path: str, status: int) -> None:
    assert problem(layers.client.get(f"/api/features{path}"))["status"] == status


@pytest.mark.parametrize(("srid", "point"), [(32632, "POINT(1e15 0)"), (104903, "POINT(1 2)")])
def test_a_layer_of_another_planet_or_of_nowhere_says_so_and_is_read_without_geometries(
    features: Features, database_url: str, srid: int, point: str
) -> None:
    publish(database_url, "odd", "fid integer, name text", [(1, "a", point)], srid=srid)
    for path in ("items", "items?f=csv", "items/1", "tiles/WebMercatorQuad/0/0/0"):
        document = problem(features.client.get(f"/api/features/collections/features.odd/{path}"))
        assert document["status"] == 400
        assert "without longitudes and latitudes" in document["detail"]
    [feature] = features.items("features.odd", geom_column="none")["features"]
    assert feature["properties"] == {"fid": 1, "name": "a"}
    assert features.get("/collections/features.odd").status == 200
    assert features.get("/collections").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_is_changed_here(layers: Features, method: str) -> None:
    answer = layers.client.request(method, "/api/features/collections/features.places/items", {})
    assert (problem(answer)["status"], answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_browsers_may_read_from_anywhere(layers: Features) -> None:
    answer = layers.get("/collections", {"Origin": "https://maps.example.org"})
    assert answer.headers["access-control-allow-origin"] == "*"
    preflight = {"Origin": "https://maps.example.org", "Access-Control-Request-Method": "GET"}
    asked = {**preflight, "Access-Control-Request-Headers": "x-functions-key"}
    assert layers.client.request("OPTIONS", "/api/features/collections", b"", asked).status == 200
    assert (
        layers.client.request("OPTIONS", "/api/features/collections").headers["Allow"] == "GET, HEAD, OPTIONS"
    )


@pytest.mark.parametrize("path", ["/collections", "/collections/features.places/items"])
def test_without_a_database_the_answer_says_so_and_names_no_host(
    make_features: MakeFeatures, path: str
) -> None:
    [port] = free_ports(1)
    url = f"postgresql://somebody:s3cret@127.0.0.1:{port}/nothing"
    answer = make_features(url, database_timeout_seconds=0.3).get(path)
    document = problem(answer)
    assert (document["status"], document["type"]) == (503, "urn:problem:service-unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    for secret in ("127.0.0.1", "somebody", "s3cret", str(port)):
        assert secret not in answer.text()


@pytest.mark.parametrize("path", ["/collections", "/collections/features.places/items"])
def test_without_the_schema_the_answer_says_so(
    make_features: MakeFeatures, empty_database_url: str, path: str
) -> None:
    document = problem(make_features(empty_database_url).get(path))
    assert (document["status"], document["type"]) == (503, "urn:problem:schema-missing")


def test_a_query_that_takes_too_long_is_given_up(make_features: MakeFeatures, database_url: str) -> None:
    publish(database_url, "slow", "fid integer", [(1, "POINT(1 1)")])
    features = make_features(database_url, features_query_seconds=0.3)
    with psycopg.connect(database_url) as connection:
        connection.execute("LOCK TABLE features.slow IN ACCESS EXCLUSIVE MODE")
        document = problem(features.get("/collections/features.slow/items"))
    assert (document["status"], document["detail"][:34]) == (503, "the database took too long to answ")
    assert features.ids("features.slow") == [1]


def test_a_page_that_would_fill_the_memory_is_refused(make_features: MakeFeatures, layers_url: str) -> None:
    features = make_features(layers_url, features_max_answer_bytes=4096)
    document = problem(features.get("/collections/features.many/items", limit=250))
    assert (document["status"], document["type"]) == (413, "urn:problem:payload-too-large")
    assert "limit: so many features take more than 4096 bytes" in document["detail"]
    # Nothing of the query that was given up is left on the connection.
    assert features.ids("features.many", limit=2) == [1, 2]
