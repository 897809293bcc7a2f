"""The id of a job: the same for the same question, another for any other."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from controllers.hello_world import HelloWorld
from controllers.list_container import ListContainer
from engine.identity import job_id
from interfaces.contracts import JobParameters, JsonObject
from interfaces.errors import InvalidParameters

SAFE = 2**53 - 1
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-SAFE, SAFE)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)
objects = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values, max_size=6)


def reordered(value: Any) -> Any:
    """The same JSON, with the keys of every object the other way round."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(list(value))}
    return [reordered(inner) for inner in value] if isinstance(value, list) else value


def submitted(model: type[JobParameters], text: str) -> JsonObject:
    """Parameters as submission normalises them."""
    normal: JsonObject = model.model_validate_json(text).model_dump(mode="json")
    return normal


def test_the_id_is_the_sha256_of_the_canonical_json() -> None:
    # Written by hand after RFC 8785: keys sorted, no white space, shortest numbers, only needed escapes.
    canonical = (
        '{"job_type":"hello_world","parameters":{"a":"é\\n","b":[1,0.5,1e+30,true,null],"n":3,"ß":"😀"}}'
    )
    parameters: JsonObject = {"n": 3, "ß": "😀", "b": [1.0, 0.5, 1e30, True, None], "a": "é\n"}
    assert job_id("hello_world", parameters) == hashlib.sha256(canonical.encode()).hexdigest()
    assert (
        job_id("hello_world", parameters)
        == "844c2e19be708ccef45cc19144c7b07a74ce1798d6518cf9c8e34a028372bcd0"
    )


def test_keys_are_ordered_by_utf_16_code_units() -> None:
    # RFC 8785, section 3.2.3: an astral character sorts before U+FB33, unlike by code point.
    canonical = '{"job_type":"t","parameters":{"\U0001f600":1,"\ufb33":2}}'
    assert job_id("t", {"\ufb33": 2, "\U0001f600": 1}) == hashlib.sha256(canonical.encode()).hexdigest()


@given(objects)
def test_the_order_of_keys_does_not_matter(parameters: JsonObject) -> None:
    assert job_id("t", reordered(parameters)) == job_id("t", parameters)


@given(objects)
def test_white_space_and_escapes_of_the_text_do_not_matter(parameters: JsonObject) -> None:
    spread = json.loads(json.dumps(parameters, indent=3, ensure_ascii=True))
    compact = json.loads(json.dumps(parameters, separators=(",", ":"), ensure_ascii=False))
    assert job_id("t", spread) == job_id("t", compact) == job_id("t", parameters)


@given(objects, st.text(min_size=1), st.text(min_size=1))
def test_another_job_type_is_another_job(parameters: JsonObject, one: str, other: str) -> None:
    if one != other and one.isprintable() and other.isprintable():
        assert job_id(one, parameters) != job_id(other, parameters)


@given(objects, objects)
def test_other_parameters_are_another_job(one: JsonObject, other: JsonObject) -> None:
    # A number's spelling is no difference (1.0 is 1 in JSON); its kind is (true is not 1).
    assert (job_id("t", one) == job_id("t", other)) == (_kinds(one) == _kinds(other))


def _kinds(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _kinds(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_kinds(inner) for inner in value]
    return (isinstance(value, bool), value)


def test_a_parameter_cannot_pretend_to_be_another_one() -> None:
    assert job_id("t", {"a": '1,"b":2'}) != job_id("t", {"a": 1, "b": 2})
    assert job_id("t", {"a": "1"}) != job_id("t", {"a": 1})
    assert job_id("t", {"a": None}) != job_id("t", {})


def test_spelled_out_defaults_do_not_matter() -> None:
    model = HelloWorld.parameters_model
    short = submitted(model, '{"n": 3}')
    long = submitted(model, json.dumps(short))
    assert len(short) > 1
    for key in short:
        if key != "n":
            part = submitted(model, json.dumps({"n": 3, key: short[key]}))
            assert job_id("hello_world", part) == job_id("hello_world", short)
    assert job_id("hello_world", long) == job_id("hello_world", short)


def test_nested_defaults_do_not_matter() -> None:
    model = ListContainer.parameters_model
    short = submitted(model, '{"container": "bronze"}')
    long = submitted(model, json.dumps(short))
    assert job_id("list_container", long) == job_id("list_container", short)


def test_equal_numbers_spelled_differently_are_one_job() -> None:
    class Cut(JobParameters):
        fraction: float

    ids = {job_id("t", submitted(Cut, f'{{"fraction": {text}}}')) for text in ("1", "1.0", "1e0", "10E-1")}
    assert len(ids) == 1


def test_unicode_is_not_normalised() -> None:
    # File names that look alike are different files: é composed, and e with an accent.
    assert job_id("t", {"name": "caf\u00e9"}) != job_id("t", {"name": "cafe\u0301"})
    assert job_id("t", {"name": "a"}) != job_id("t", {"name": "\uff41"})


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**63 - 1, 10**40])
def test_integers_that_json_cannot_carry_are_refused_by_name(number: int) -> None:
    with pytest.raises(InvalidParameters) as caught:
        job_id("t", {"n": 1, "filter": {"sizes": [1, number]}})
    assert [error.field for error in caught.value.errors] == ["filter.sizes.1"]
    assert "filter.sizes.1: " in str(caught.value)
    assert caught.value.status == 400


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_are_not_finite_are_refused_by_name(number: float) -> None:
    with pytest.raises(InvalidParameters, match=r"^fraction: "):
        job_id("t", {"fraction": number})


def test_the_largest_safe_integers_are_taken() -> None:
    assert job_id("t", {"n": SAFE}) != job_id("t", {"n": SAFE - 1})
    assert job_id("t", {"n": -SAFE}) != job_id("t", {"n": SAFE})


def test_a_lone_surrogate_is_refused_by_name() -> None:
    with pytest.raises(InvalidParameters, match=r"^name: "):
        job_id("t", {"name": "\ud800"})


def test_the_parameters_of_another_model_with_the_same_fields_differ_by_their_type_only() -> None:
    class Other(JobParameters):
        n: int = Field(default=1)

    assert job_id("a", submitted(Other, "{}")) != job_id("b", submitted(Other, "{}"))
