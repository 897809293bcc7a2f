"""JSON as jsonb takes it: what it cannot hold is replaced, what is no JSON is named."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repositories.json_text import clean_text, to_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(values)
def test_what_jsonb_can_hold_is_kept(value: Any) -> None:
    if "\\u0000" not in json.dumps(value):
        assert json.loads(to_json(value)) == value


@given(st.text(st.characters()) | st.text(st.sampled_from("\0\ud800\udfff\\u0")))
def test_every_text_can_be_stored(text: str) -> None:
    for stored in (clean_text(text), to_json({text: text})):
        assert "\0" not in stored
        stored.encode()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"mean": float("nan")}, "mean: "),
        ({"a": [1, {"b": float("inf")}]}, "a.1.b: "),
        ({"days": [date(2024, 5, 1)]}, "days.0: "),
        ({"a": {1, 2}}, "a: "),
        ([1, (2, b"x")], "1.1: "),
        ({"a": {("x",): 1}}, "a: "),
        (object(), "(value): "),
    ],
)
def test_what_is_no_json_is_named(value: Any, named: str) -> None:
    with pytest.raises(ValueError, match="^" + named.replace("(", r"\(").replace(")", r"\)")):
        to_json(value)


def test_a_value_that_contains_itself_is_refused() -> None:
    value: dict[str, Any] = {}
    value["again"] = value
    with pytest.raises(ValueError, match="Circular"):
        to_json(value)
