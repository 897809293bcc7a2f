"""A condition about features is no program: neither endless, nor larger than what it is about."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from interfaces.ogr_conditions import cast, checked_condition
from interfaces.vectors import ReadOptions

TAKEN = [
    "area > 500 AND zone LIKE 'R%'",
    "name = 'it''s SELECT printf(1) -- not; [x]' OR \"select\" IS NOT NULL",
    "\"we \"\"ird\" ILIKE '%main%' ESCAPE '!' AND (NOT (fid IN (1, 2.5e3, -7)))",
    "CAST(code AS character(10)) = '007' AND year BETWEEN 1990 AND 2000",
    "lower(name) || 'x' <> 'ax' AND ST_Area(geom) >= 3 AND t.n % 2 = 0",
    "straße_nr = 5 AND OGR_GEOM_AREA > 1",
    "CASE WHEN name LIKE 'a%' THEN 1 ELSE 0 END = 1",
    "name IN ('a%b%c%d%e')",
]
REFUSED = [
    ("(WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT count(*) FROM c) > 0", "WITH"),
    ("(select 1) = 1", "SELECT is not taken"),
    ("(VALUES (1)) = 1", "VALUES"),
    ("exists (select 1)", "EXISTS"),
    ("length(zeroblob(1000000000)) > 1", "ZEROBLOB"),
    ("length(\"printf\"('%1000000000d', 1)) > 1", "printf"),
    ("length('printf' ('%1000000000d', 1)) > 1", "printf"),
    ("printf ('%d', 1) = '1'", "PRINTF"),
    ("hex(hex(hex(name))) = ''", "HEX"),
    ("gdal_get_pixel_value('/etc/x', 1, 'pixel', 0, 0) = 1", "GDAL_GET_PIXEL_VALUE"),
    ("load_extension('x') = 1", "LOAD_EXTENSION"),
    ("name IN pragma_database_list", "IN is followed by values"),
    ("name IN \"json_each\"('[1]')", "IN is followed by values"),
    ("name LIKE '%a%a%b'", "at most 2 %"),
    ("name LIKE name", "LIKE is followed by a text"),
    ("name LIKE ('%a%a' || '%b')", "the function LIKE is not taken"),
    ("name LIKE '%a' || '%a%b'", "nothing that changes it"),
    ("name LIKE '%a' + '%a%b'", "nothing that changes it"),
    ("name REGEXP '(a+)+b'", "REGEXP"),
    ("name GLOB '*a*a*a*b'", "GLOB"),
    ("1=1; DROP TABLE x", "from ';"),
    ("1=1 -- x", "from '-- x"),
    ("1=1 /* x", "from '/* x"),
    ("[a'b] = 1 OR 'x' = ''", "cannot be understood"),
    ("`a'b` = 1 OR 'x' = ''", "cannot be understood"),
    ("'a\\' = (SELECT 1) OR 'x' = 'y'", "a quote is doubled"),
    ("name = 'open", "cannot be understood"),
    ("name = :x", "cannot be understood"),
]


@pytest.mark.parametrize("condition", TAKEN)
def test_conditions_about_attributes_are_taken_as_they_are(condition: str) -> None:
    assert ReadOptions(where=condition).where == condition


@pytest.mark.parametrize(("condition", "reason"), REFUSED)
def test_what_would_ask_for_more_is_refused_at_submission(condition: str, reason: str) -> None:
    with pytest.raises(ValidationError, match="where") as caught:
        ReadOptions(where=condition)
    assert reason in str(caught.value.errors()[0]["msg"])


@pytest.mark.parametrize("hostile", ["'" * 9_999, '"' * 9_999, " " * 9_999 + ";", "a" * 9_999 + ";"])
def test_a_long_text_that_is_none_is_refused_at_once(hostile: str) -> None:
    with pytest.raises(ValueError, match="cannot be understood"):
        checked_condition(hostile)


@pytest.mark.parametrize(
    ("condition", "made"),
    [
        ("n>=.5 AND t = 'n'", "CAST(n AS FLOAT)>=.5 AND t = 'n'"),
        ('"N" <> 1 OR n IS NULL ', 'CAST("N" AS FLOAT) <> 1 OR CAST(n AS FLOAT) IS NULL '),
        (
            "ABS(n) = 1 AND CAST(n AS FLOAT) < 2",
            "ABS(CAST(n AS FLOAT)) = 1 AND CAST(CAST(n AS FLOAT) AS FLOAT) < 2",
        ),
        ('"a ""b""" IN (1, 2)', 'CAST("a ""b""" AS BIGINT) IN (1, 2)'),
        ("abs = 1", "abs = 1"),
    ],
)
def test_columns_of_a_condition_are_cast(condition: str, made: str) -> None:
    types = {"n": "FLOAT", 'a "b"': "BIGINT", "float": "FLOAT", "and": "FLOAT"}
    assert cast(condition, types) == made
