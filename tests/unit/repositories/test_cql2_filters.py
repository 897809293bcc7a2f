"""Filters reach the library's parser only where it can neither be held up nor ended by them."""

from __future__ import annotations

import time
from typing import Any

import pytest

from interfaces.errors import InvalidRequest
from repositories.asgi.cql2_filters import read
from repositories.features_api.filters import admitted

NAMES = {"name", "n", "geom", "day", "a b", "größe"}
UTM = 32633

# By each of these the process was ended or held up for minutes, when the parser had it.
ENDLESS = {
    "parentheses": "(" * 2500 + "n=1" + ")" * 2500,
    "parentheses that are not closed": "(" * 25 + "n",
    "an error in parentheses": "(" * 25 + "n=" + ")" * 25,
    "polygons": "POLYGON" + "(" * 40,
    "negations": "NOT " * 2500 + "n=1",
    "signs": "n=" + "-" * 16_000 + "1",
    "sums": "n=" + "+".join(["1"] * 2500),
    "comparisons": "n" + "=1" * 5000,
    "patterns": "n" + " LIKE name" * 1500,
    "functions": "casei(" * 2500 + "name" + ")" * 2500,
    "what a backslash seems to quote": r"name = '\'' AND " + "(" * 2500 + "n='x'",
    "length": "n=1 OR " * 3000 + "n=2",
    "JSON": '{"op":"not","args":[' * 2500 + "true" + "]}" * 2500,
}


def sql(text: str, srid: int = 4326, language: str | None = None) -> str:
    return admitted(read(text, language), NAMES, {"geom": srid}).to_sql()


@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS.keys())
def test_a_filter_that_is_nested_without_end_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidRequest, match="filter: "):
        read(text, None)
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "text",
    [
        " OR ".join(f"n = {number}" for number in range(900)),
        f"n IN ({', '.join(map(str, range(2000)))})",
        f"S_INTERSECTS(geom, POLYGON(({', '.join(f'-{n}.5 -{n / 20}' for n in range(170))}, -0.5 -0)))",
        "((name = 'a' OR name = 'b') AND (n + 1 > 2 OR (n < 0 AND NOT (n = -5))))",
        f"name = '{'(' * 3000}'",
    ],
)
def test_a_filter_that_is_only_long_is_read(text: str) -> None:
    assert sql(text)


@pytest.mark.parametrize(
    "text",
    [
        "pg_read_file('/etc/passwd') LIKE 'root%'",
        "pg_sleep(10) = 1",
        "set_config('transaction_read_only', 'off', true) = 'off'",
        "query_to_xml('SELECT * FROM app.jobs', true, true, '') IS NOT NULL",
        "n IN (1, pg_sleep(10))",
        "accenti(name) = 'a'",
        '{"op": "pg_sleep", "args": [10]}',
        '{"op": "; DROP TABLE x", "args": []}',
        '{"op": "in", "args": [{"property": "n"}, [{"op": "pg_sleep", "args": [1]}]]}',
    ],
)
def test_functions_that_are_not_of_cql2_are_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no operator or function here"):
        sql(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("town = 'x'", "'town' is no column of this layer"),
        ('{"op": "=", "args": [{"property": "n\\" OR 1=1 --"}, 1]}', "is no column of this layer"),
        ("", "is no CQL2 text"),
        ("n =", "is no CQL2 text"),
        ("name", "is no condition"),
        ("[1]", "is no CQL2 text"),
        ('{"op": "and", "args": []}', "is no CQL2: invalid number of arguments"),
        ('{"op": "=", "args": [{"property": "n"}]}', "is no CQL2: invalid number of arguments"),
        ("day > TIMESTAMP('tomorrow')", "'tomorrow' is no time"),
        ("T_AFTER(day, 'x')", "is no CQL2"),
        ("n = 1e999", "has a number that is none"),
        ("n = 9007199254740993", "2\\^53"),
        ("S_INTERSECTS(geom, POINT(1))", "is no"),
        ("S_INTERSECTS(geom, BBOX(1, 2))", "filter: "),
        ("name = 'a\x00b'", "U\\+0000"),
    ],
)
def test_what_cannot_be_a_condition_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        sql(text)
    assert caught.value.errors[0].field == "filter"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('"größe" > 2 AND "a b" = 1', '"größe" > 2 AND "a b" = 1'),
        ("name LIKE 'a%' AND n BETWEEN 1 AND 2", "name LIKE 'a%' ESCAPE '\\' AND n BETWEEN 1 AND 2"),
        ("casei(name) = casei('X')", "lower(name) = lower('X')"),
        ('{"op": "isNull", "args": [{"property": "n"}]}', "n IS NULL"),
        ("day > DATE('2024-01-31')", "day > CAST('2024-01-31' AS DATE)"),
    ],
)
def test_conditions_are_written_as_sql(text: str, expected: str) -> None:
    assert sql(text) == expected


def test_a_box_across_the_antimeridian_is_two() -> None:
    assert '"type":"MultiPolygon"' in sql("S_INTERSECTS(geom, BBOX(170, -10, -170, 10))")


def test_a_shape_is_transformed_to_the_column_which_has_an_index() -> None:
    near = sql("S_INTERSECTS(geom, BBOX(14, 50, 15, 51))", UTM)
    assert near.startswith("st_intersects(geom, st_transform(st_geomfromgeojson(")


@pytest.mark.parametrize("box", ["-180, -90, 180, 90", "170, -10, -170, 10"])
def test_a_shape_that_does_not_fit_into_the_crs_of_the_column_is_compared_in_degrees(box: str) -> None:
    written = sql(f"S_INTERSECTS(geom, BBOX({box}))", UTM)
    assert written.startswith("st_intersects(st_transform(geom, 4326), st_geomfromgeojson(")


def test_language_is_found_or_told() -> None:
    tree: Any = {"op": "=", "args": [{"property": "n"}, 1.0]}
    assert read("n = 1", None) == read("n = 1", "cql2-text") == tree
    assert read('{"op": "=", "args": [{"property": "n"}, 1]}', None) == tree
    with pytest.raises(InvalidRequest, match="is no CQL2 JSON"):
        read("n = 1", "cql2-json")
