"""CQL2 as people write it: what is taken, and why the rest is not."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from interfaces.conditions import Condition

CONDITIONS: TypeAdapter[Any] = TypeAdapter(Condition)


def test_text_and_json_are_the_same_condition() -> None:
    tree = {
        "op": "and",
        "args": [
            {"op": ">=", "args": [{"property": "height"}, 10]},
            {"op": "not", "args": [{"op": "isNull", "args": [{"property": "Straße"}]}]},
        ],
    }
    assert CONDITIONS.validate_python('height >= 10 AND "Straße" IS NOT NULL') == tree
    assert CONDITIONS.validate_python(tree) == tree


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "is empty"),
        ("a = ", "is no CQL2 text"),
        ("a = 1; DROP TABLE x", "is no CQL2 text"),
        ("pg_sleep(10) = 1", "'pg_sleep' is no value"),
        ("query_to_xml('select 1', true, true, '')", "there is no operator 'query_to_xml'"),
        ("a = 9007199254740993", "too large to be exact"),
        ("day = DATE('2024-02-30')", "is no date of ISO 8601"),
        ("S_INTERSECTS(geom, POLYGON((0 0, 1 1, 0 1, 1 0, 0 0)))", "Self-intersection"),
        ("S_INTERSECTS(geom, 3)", "a column and a geometry"),
        ("a = 1)", "is no CQL2 text"),
        ("a = 'x", "is no CQL2 text"),
        ("(" * 50, "parentheses 50 deep, too many"),
        ("a = 1 AND " * 2000 + "a = 1", "more than 16,384 characters"),
        ("a = 1 AND " * 1000 + "a = 1", "more than 2,000 parts"),
        ({"op": "in", "args": [{"property": "a"}, []]}, "takes a list"),
        ({"op": "=", "args": [{"property": "a"}]}, "takes 2 arguments, not 1"),
        ({"op": "=", "args": [{"property": "a"}, {"op": "+", "args": [1, {"x": 1}]}]}, "is no CQL2"),
        ({"sql": "1=1"}, "is no CQL2"),
        ({"op": "=", "args": [{"property": "a"}, "\0"]}, "no NUL"),
    ],
)
def test_what_is_no_condition_is_refused_with_the_reason(given: Any, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason.replace("(", r"\(")):
        CONDITIONS.validate_python(given)


def test_conditions_within_conditions_end_somewhere() -> None:
    tree: dict[str, Any] = {"property": "flag"}
    for _ in range(100):
        tree = {"op": "not", "args": [tree]}
    with pytest.raises(ValidationError, match="more than 30 within each other"):
        CONDITIONS.validate_python(tree)
