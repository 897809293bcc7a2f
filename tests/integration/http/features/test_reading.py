"""What clients read: layers, pages of features, single features, filters, tiles."""

from __future__ import annotations

import csv
import io
import json
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.fix_catalog import link
from tests.fix_features import Features, publish


def walk(layers: Features, layer: str, **query: object) -> list[Any]:
    """The ids of all features by the links to next pages."""
    page = layers.items(layer, **query)
    found = [feature["id"] for feature in page["features"]]
    while any(one["rel"] == "next" for one in page["links"]):
        following = urlsplit(link(page, "next"))
        answer = layers.client.get(f"{following.path}?{following.query}")
        assert answer.status == 200, answer.text()
        page = answer.json()
        assert page["features"]
        found += [feature["id"] for feature in page["features"]]
    return found


def test_the_landing_page_leads_to_everything_and_to_no_page_for_people(layers: Features) -> None:
    landing = layers.get().json()
    for rel in ("self", "service-desc", "conformance", "data"):
        path = urlsplit(link(landing, rel)).path
        assert layers.client.get(path).status == 200, path
    assert "html" not in layers.get().text()
    assert "html" not in layers.get("/conformance").text()
    classes = layers.get("/conformance").json()["conformsTo"]
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in classes
    assert layers.get("/api.html").status == layers.get("/docs").status == 404


def test_every_registered_layer_is_a_collection_and_nothing_else_is(layers: Features) -> None:
    document = layers.get("/collections").json()
    found = {one["id"]: one for one in document["collections"]}
    names = ("codes", "empty", "large", "many", "places", "straße", "utm")
    assert sorted(found) == [f"features.{name}" for name in names]
    assert document["numberMatched"] == len(names)
    assert found["features.many"]["extent"]["spatial"]["bbox"] == [[0.1, 0.05, 25.0, 12.5]]
    assert "extent" not in found["features.empty"]
    [[west, south, east, north]] = found["features.utm"]["extent"]["spatial"]["bbox"]
    assert (14 < west <= 15, 1 < south < 2, 15.8 < east < 17, 45 < north < 46) == (True,) * 4
    for one in document["links"] + [one for layer in found.values() for one in layer["links"]]:
        assert one["href"].isascii(), one
        path = urlsplit(one["href"]).path.replace("{tileMatrixSetId}", "WebMercatorQuad")
        assert "{" in path or layers.client.get(path).status == 200, one
    for hidden in (
        "app.jobs",
        "geo.layers",
        "geo_staging.x",
        "public.spatial_ref_sys",
        "pg_catalog.pg_class",
    ):
        assert layers.get(f"/collections/{hidden}/items").status == 404


def test_collections_are_found_by_box_and_come_in_pages(layers: Features) -> None:
    west = layers.get("/collections", bbox="-40,-40,-15,-15").json()
    assert [one["id"] for one in west["collections"]] == ["features.empty", "features.places"]
    page = layers.get("/collections", limit=2, offset=2).json()
    assert [one["id"] for one in page["collections"]] == ["features.large", "features.many"]
    assert link(page, "next").endswith("limit=2&offset=4")


def test_features_have_their_values_and_json_types(layers: Features) -> None:
    first, second, third, fourth = layers.items("features.places")["features"]
    assert first["geometry"] == {"type": "Point", "coordinates": [10, 20]}
    assert first["properties"] == {
        "fid": 1,
        "name": "O'Brien\\",
        "amount": 1.5,
        "größe": 3,
        "select": "a",
        "note": {"a": [1]},
        "seen": "2024-01-01T00:00:00Z",
        "day": "2024-01-01",
        "tags": ["a", "b"],
        "raw": "YWI=",
        "took": "1 day",
    }
    assert (second["geometry"], second["properties"]["amount"]) == (None, None)
    assert second["properties"]["seen"] == "infinity"
    assert third["properties"]["seen"] == "12000-01-01T00:00:00Z"
    assert third["geometry"]["type"] == "Polygon"
    assert fourth["geometry"]["type"] == "GeometryCollection"


@pytest.mark.parametrize(
    "query", [{}, {"limit": 7}, {"limit": 100, "sortby": "kind"}, {"limit": 60, "sortby": "-kind"}]
)
def test_pages_hold_every_feature_once(layers: Features, query: dict[str, object]) -> None:
    found = walk(layers, "features.many", **query)
    assert sorted(found) == list(range(1, 251))
    if "sortby" not in query:
        assert found == sorted(found)


def test_a_larger_page_than_the_largest_is_the_largest(layers_url: str, make_features: Any) -> None:
    few = make_features(layers_url, max_page_size=20, default_page_size=5)
    assert len(few.ids("features.many")) == 5
    for limit in (20, 21, 10_000, 10**30):
        page = few.items("features.many", limit=limit)
        assert (page["numberReturned"], page["numberMatched"]) == (20, 250)
    items = few.get("/api").json()["paths"]["/collections/{collectionId}/items"]["get"]["parameters"]
    [limit] = [one["schema"] for one in items if one["name"] == "limit"]
    assert (limit["maximum"], limit["default"]) == (20, 5)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"filter": "kind = 'a' AND fid < 6"}, [2, 4]),
        (
            {
                "filter": json.dumps({"op": "<=", "args": [{"property": "fid"}, 2]}),
                "filter_lang": "cql2-json",
            },
            [1, 2],
        ),
        ({"filter": "fid IN (7, 9) OR fid BETWEEN 1 AND 2"}, [1, 2, 7, 9]),
        ({"filter": "S_WITHIN(geom, POLYGON((0 0, 0.35 0, 0.35 1, 0 1, 0 0)))"}, [1, 2, 3]),
        ({"filter": "fid > 248", "sortby": "-fid"}, [250, 249]),
        ({"bbox": "0,0,0.25,90"}, [1, 2]),
        ({"bbox": "0,0,-5,0.25,90,5"}, [1, 2]),
        ({"ids": "5,3,99999"}, [3, 5]),
        ({"kind": "b", "limit": 2}, [1, 3]),
        ({"kind": "b", "filter": "fid > 247"}, [249]),
    ],
)
def test_features_are_selected(layers: Features, query: dict[str, object], expected: list[int]) -> None:
    assert layers.ids("features.many", **query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"filter": "name = 'O''Brien\\'"}, [1]),
        ({"name": "O'Brien\\"}, [1]),
        ({"filter": '"größe" > 3'}, [3, 4]),
        ({"filter": '"select" IS NULL'}, [3]),
        ({"größe": "5"}, [3]),
        ({"filter": "casei(name) LIKE 'FIJ%' OR casei(name) LIKE casei('ZÜR%')"}, [2]),
        ({"filter": "A_CONTAINS(tags, ('a'))"}, [1]),
        ({"filter": "name = '\\'' OR 1=1 --'"}, []),
        ({"datetime": "2024-01-01T00:00:00Z"}, [1]),
        ({"datetime": "2024-01-01T00:00:00Z/2024-06-01T12:30:00.5Z"}, [1, 4]),
        ({"datetime": "../2024-01-02T00:00:00Z"}, [1]),
        ({"datetime": "2024-06-02T00:00:00Z/.."}, [2, 3]),
        ({"datetime": "2024-06-01T00:00:00Z", "datetime_column": "day"}, [4]),
        ({"bbox": "160,-10,-170,20"}, [3]),
        ({"bbox": "-180,-90,180,90"}, [1, 3, 4]),
        ({"filter": "S_INTERSECTS(geom, BBOX(160, -10, -170, 20))"}, [3]),
        ({"filter": "day < DATE('0001-01-01')"}, [3]),
    ],
)
def test_values_that_need_quoting_and_time_and_the_antimeridian(
    layers: Features, query: dict[str, object], expected: list[int]
) -> None:
    assert layers.ids("features.places", **query) == expected


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        ("-180,-90,180,90", [1, 2]),
        ("14,45,16,46", [1]),
        ("-170,-80,-160,80", []),
        ("14.9,1,16,1.9", [2]),
        ("170,-90,-170,90", []),
    ],
)
def test_layers_in_other_crs_are_selected_and_answered_in_degrees(
    layers: Features, box: str, expected: list[int]
) -> None:
    assert layers.ids("features.utm", bbox=box) == expected
    assert layers.ids("features.utm", filter=f"S_INTERSECTS(geom, BBOX({box}))") == expected
    if expected:
        [x, y] = layers.items("features.utm", bbox=box)["features"][0]["geometry"]["coordinates"]
        assert (14 < x < 17, 1 < y < 46) == (True, True)


def test_properties_and_geometry_are_chosen(layers: Features) -> None:
    one = layers.items("features.places", properties="name,day", limit=1)["features"][0]
    assert one["properties"] == {"name": "O'Brien\\", "day": "2024-01-01"}
    assert layers.items("features.places", properties="", limit=1)["features"][0]["properties"] == {}
    assert layers.items("features.places", geom_column="none", limit=1)["features"][0]["geometry"] is None
    boxes = layers.items("features.places", bbox_only="true", ids=3)["features"]
    assert len(boxes[0]["geometry"]["coordinates"][0]) == 5


def test_one_feature_is_found_by_each_kind_of_key(layers: Features) -> None:
    one = layers.get("/collections/features.many/items/7")
    assert (one.status, one.mimetype, one.json()["id"]) == (200, "application/geo+json", 7)
    exact = layers.get(f"/collections/features.large/items/{2**53 + 1}").json()
    assert (exact["id"], exact["geometry"]["coordinates"]) == (2**53 + 1, [1, 1])
    for layer in ("features.codes", "features.straße"):
        for feature in layers.items(quote(layer))["features"]:
            if feature["id"] == "..":
                continue
            address = link(feature, "item")
            found = layers.client.get(urlsplit(address).path)
            assert found.status == 200, (address, found.text())
            assert found.json()["properties"] == feature["properties"]
    for missing in ("0", "x", "7.0", str(2**70), "-1", "7/8", "%00"):
        assert layers.get(f"/collections/features.many/items/{missing}").status == 404, missing
    for missing in ("[]", '["a/b"]', '["a/b","3"]', "[", "7"):
        assert layers.get(f"/collections/features.codes/items/{quote(missing)}").status == 404, missing


def test_a_layer_without_features_is_empty_in_every_format(layers: Features) -> None:
    for form in ("geojson", "json", "csv", "geojsonseq", "ndjson"):
        answer = layers.get("/collections/features.empty/items", f=form)
        assert answer.status == 200, answer.text()
        assert (answer.json()["features"] if form in ("geojson", "json") else answer.body) in ([], b"")
    assert layers.items("features.empty", bbox="0,0,1,1")["numberMatched"] == 0
    tiles = "/collections/features.empty/tiles/WebMercatorQuad"
    assert layers.get(f"{tiles}/0/0/0").body == b""
    for about in ("", "/tilejson.json", "/style.json"):
        assert layers.get(f"{tiles}{about}").status == 200


def test_features_come_as_csv_and_by_line(layers: Features) -> None:
    answer = layers.get("/collections/features.places/items", f="csv")
    rows = list(csv.DictReader(io.StringIO(answer.text())))
    assert [row["name"] for row in rows] == ["O'Brien\\", "Zürich", "fiji", "both"]
    assert (rows[0]["note"], rows[0]["tags"]) == ('{"a": [1]}', '["a","b"]')
    assert rows[0]["geometry"] == "SRID=4326;POINT(10 20)"
    lines = layers.get("/collections/features.places/items", {"Accept": "application/geo+json-seq"})
    assert [one["id"] for one in lines.lines()] == [1, 2, 3, 4]
    assert layers.get("/collections/features.places/items", f="ndjson").lines()[1]["name"] == "Zürich"
    preferred = {"Accept": "application/geo+json;q=0.5, text/csv; q=0.9"}
    assert layers.get("/collections/features.places/items", preferred).mimetype == "text/csv; charset=utf-8"
    weighted = ("text/csv;q=0.1, application/geo+json", "text/csv;q=0", "text/csv;q=x")
    for accept in ("application/json", "text/html,*/*;q=0.8", "nonsense;q;=,", "", *weighted):
        page = layers.get("/collections/features.places/items", {"Accept": accept}, limit=1)
        assert (page.mimetype, page.json()["type"]) == ("application/geo+json", "FeatureCollection")


def test_queryables_name_all_columns(layers: Features) -> None:
    found = layers.get("/collections/features.places/queryables")
    assert found.mimetype == "application/schema+json"
    properties = found.json()["properties"]
    assert properties["geom"] == {"$ref": "https://geojson.org/schema/Geometry.json"}
    assert properties["größe"]["type"] == properties["amount"]["type"] == "number"


def test_tiles_hold_what_is_there_and_no_more_than_they_may(
    layers: Features, layers_url: str, make_features: Any
) -> None:
    root = "/collections/features.many/tiles/WebMercatorQuad"
    whole = layers.get(f"{root}/0/0/0")
    assert (whole.status, whole.mimetype) == (200, "application/vnd.mapbox-vector-tile")
    few = make_features(layers_url, features_max_tile_features=10)
    assert 0 < len(few.get(f"{root}/0/0/0").body) < len(whole.body) / 5
    assert few.get(f"{root}/0/0/0", limit=11).status == 400
    one = layers.get(f"{root}/0/0/0", filter="fid = 7").body
    assert 0 < len(one) < len(whole.body) / 20
    assert layers.get(f"{root}/1/0/1").body == b""
    for layer in ("places", "utm"):
        assert layers.get(f"/collections/features.{layer}/tiles/WebMercatorQuad/0/0/0").body
    for nowhere in ("0/0/1", "1/2/0", "25/0/0", "-1/0/0"):
        assert layers.get(f"{root}/{nowhere}").status == 404
    tilejson = layers.get(f"{root}/tilejson.json").json()
    assert tilejson["tiles"] == [f"http://127.0.0.1/api/features{root}/{{z}}/{{x}}/{{y}}"]
    for path in ("", "/style.json"):
        assert layers.get(root + path).status == 200
    assert layers.get("/tileMatrixSets/WebMercatorQuad").status == 200


def test_links_begin_with_the_address_that_the_proxy_was_asked_and_hold_no_key(layers: Features) -> None:
    proxy = {
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "data.example.org",
        "X-Forwarded-Prefix": "/geo",
    }
    for path in (
        "",
        "/collections",
        "/collections/features.many",
        "/collections/features.many/items?code=s3cret",
    ):
        answer = layers.client.get(f"/api/features{path}", {**proxy, "x-functions-key": "s3cret"})
        hrefs = [one["href"] for one in answer.json()["links"]]
        assert all(href.startswith("https://data.example.org/geo/api/features/") for href in hrefs)
        assert "s3cret" not in answer.text()


def test_features_are_found_by_several_keys_of_several_columns(layers: Features) -> None:
    every = layers.ids("features.codes")
    assert len(every) == 3
    assert layers.ids("features.codes", ids=",".join(every[1:])) == every[1:]
    assert layers.get("/collections/features.codes/items", ids=f"{every[0]},x").status == 404


def test_numbers_have_all_their_digits_and_a_parameter_is_no_column(
    features: Features, database_url: str
) -> None:
    rows = [("18446744073709551615", "EPSG:1", "POINT(1 1)"), ("0.1", "EPSG:2", "POINT(2 2)")]
    publish(database_url, "exact", "number numeric, crs text", rows, key=["number"])
    path = "/collections/features.exact/items"
    crs84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
    first, second = features.items("features.exact", crs=crs84)["features"]
    assert (first["id"], second["properties"]["number"]) == (0.1, 2**64 - 1)
    assert second["links"][1]["href"].endswith("exact/items/18446744073709551615")
    for format_ in ("csv", "geojsonseq"):
        assert "18446744073709551615" in features.get(path, f=format_).text()


def test_columns_called_as_what_the_library_adds_are_there_and_sorted_by(
    features: Features, database_url: str
) -> None:
    columns = "fid integer, tipg_id text, tipg_geom integer, geometry text, minzoom text"
    rows = [(1, "b", 9, "x", "far", "POINT(1 1)"), (2, "a", 8, "y", "near", "POINT(2 2)")]
    publish(database_url, "named", columns, rows)
    path = "/collections/features.named"
    first = {"fid": 1, "tipg_id": "b", "tipg_geom": 9, "geometry": "x", "minzoom": "far"}
    assert features.ids("features.named", minzoom="near") == [2]
    page = features.items("features.named")
    assert (page["features"][0]["id"], page["features"][0]["properties"]) == (1, first)
    assert page["features"][0]["geometry"]["coordinates"] == [1, 1]
    assert features.get(f"{path}/items/1").json()["properties"] == first
    for column in ("tipg_id", "tipg_geom", "-geometry"):
        assert features.ids("features.named", sortby=column) == [2, 1]
    assert features.get(f"{path}/tiles/WebMercatorQuad/0/0/0").body.count(b"tipg_id") == 1
    [row, _] = csv.DictReader(io.StringIO(features.get(f"{path}/items", f="csv").text()))
    there = ["fid", "tipg_id", "tipg_geom", "geometry_2", "minzoom"]
    assert [*row] == ["collectionId", "itemId", *there, "geometry"]
    assert (row["geometry_2"], row["geometry"]) == ("x", "SRID=4326;POINT(1 1)")
    assert features.get(f"{path}/items", f="ndjson").lines()[1]["geometry_2"] == "y"

    publish(database_url, "named", "tipg_id text", [("b", "POINT(1 1)"), ("a", None)], key=["tipg_id"])
    assert features.ids("features.named") == ["a", "b"]
    assert features.get(f"{path}/items/b").json()["properties"] == {"tipg_id": "b"}
