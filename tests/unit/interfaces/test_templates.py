"""Templates: places that are filled in, and nothing that is carried out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from interfaces.templates import TemplateError, check, fill

ROOTS = ("result", "status")
DOCUMENT: dict[str, JsonValue] = {
    "status": "completed",
    "result": {"files": ["a.tif", "b.tif"], "n": 3, "a/b": {"~": True}, "none": None, "text": "abc", "": 1},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ({"$from": "/status"}, "completed"),
        ({"$from": "/result/files"}, ["a.tif", "b.tif"]),
        ({"$from": "/result/files/1"}, "b.tif"),
        ({"$from": "/result/a~1b/~0"}, True),
        ({"$from": "/result/none"}, None),
        ({"$from": "/result/"}, 1),
        ({"a": [1, {"b": {"$from": "/result/n"}}]}, {"a": [1, {"b": 3}]}),
        ({"$join": ["runs/", {"$from": "/result/n"}, "/", 7]}, "runs/3/7"),
        ({"$literal": {"$from": "/result/n"}}, {"$from": "/result/n"}),
        ("$from", "$from"),
        ({}, {}),
        ([], []),
        (None, None),
        (1.5, 1.5),
    ],
)
def test_places_are_filled_in(template: JsonValue, value: JsonValue) -> None:
    check(template, ROOTS)
    assert fill(template, DOCUMENT) == value


@pytest.mark.parametrize(
    ("pointer", "reason"),
    [
        ("/result/missing", "is not there"),
        ("/result/files/2", "is not there"),
        ("/result/files/-", "is not there"),
        ("/result/files/01", "is not there"),
        ("/result/files/-1", "is not there"),
        ("/result/files/١", "is not there"),
        ("/result/text/0", "is not there"),
        ("/result/n/0", "is not there"),
        ("/result/none/x", "is not there"),
    ],
)
def test_what_is_not_there_is_named(pointer: str, reason: str) -> None:
    template: JsonValue = {"a": [{"$from": pointer}]}
    check(template, ROOTS, "then.parameters")
    with pytest.raises(TemplateError, match=reason) as raised:
        fill(template, DOCUMENT, "then.parameters")
    assert raised.value.field == "then.parameters.a.0"


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({"$from": "result"}, ""),
        ({"$from": ""}, ""),
        ({"$from": "/results/n"}, ""),
        ({"$from": "/result/~2"}, ""),
        ({"$from": 1}, ""),
        ({"$eval": "1 + 1"}, ""),
        ({"$from": "/result", "default": 1}, ""),
        ({"$from": "/result", "$join": []}, ""),
        ({"a": {"$join": []}}, "a"),
        ({"a": {"$join": "b"}}, "a"),
        ({"a": {"$join": ["b", 1.5]}}, "a.1"),
        ({"a": {"$join": [True]}}, "a.0"),
        ({"a": {"$join": [{"$literal": 1}]}}, "a.0"),
        ({"a": {"$join": [{"$from": "/x"}]}}, "a.0"),
        ({"a": [0, {"$": 1}]}, "a.1"),
    ],
)
def test_a_bad_template_is_refused_before_there_is_a_document(template: JsonValue, field: str) -> None:
    with pytest.raises(TemplateError) as raised:
        check(template, ROOTS)
    assert raised.value.field == field


def test_what_cannot_be_joined_is_named() -> None:
    template: JsonValue = {"a": {"$join": ["x", {"$from": "/result/files"}]}}
    check(template, ROOTS)
    with pytest.raises(TemplateError, match="text or a whole number") as raised:
        fill(template, DOCUMENT)
    assert raised.value.field == "a.1"


def test_the_places_are_known_beforehand() -> None:
    template: JsonValue = {"a": 1, "b": {"c": [{"$from": "/status"}]}, "d": {"$literal": 1}}
    assert check(template, ROOTS) == {"b.c.0", "d"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["$from", "$join", "$literal", "a", "$x"]) | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_let_through_can_be_filled_in_or_is_named(template: JsonValue) -> None:
    try:
        check(template, ROOTS)
    except TemplateError:
        return
    try:
        fill(template, DOCUMENT)
    except TemplateError:
        return


@given(JSON)
def test_a_literal_is_itself(value: JsonValue) -> None:
    assert fill({"$literal": value}, DOCUMENT) == value


def test_a_short_template_cannot_make_more_than_memory_holds() -> None:
    template: JsonValue = {"all": [{"$from": "/result"}] * 1000}
    with pytest.raises(TemplateError, match="exceeds 2097152 bytes"):
        fill(template, {"result": "x" * 10_000})
    assert fill({"all": [{"$from": "/result"}] * 100}, {"result": "x"}) == {"all": ["x"] * 100}


def test_a_place_is_named_by_the_beginning_of_a_long_name() -> None:
    with pytest.raises(TemplateError) as caught:
        fill({"k" * 100_000: {"$from": "/missing"}}, {})
    assert len(caught.value.field) < 300
