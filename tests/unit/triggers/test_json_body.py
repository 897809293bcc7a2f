"""Reading JSON that a stranger sent."""

from __future__ import annotations

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.errors import InvalidRequest, PayloadTooLarge
from triggers.http.json_body import json_object

LIMIT = 1_000_000
SMALL = 2**53 - 1

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-SMALL, SMALL)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)


def assert_read_or_refused(body: bytes) -> None:
    refused: InvalidRequest | None = None
    try:
        json_object(body, max_bytes=LIMIT)
    except InvalidRequest as error:
        refused = error
    if refused is not None:
        assert refused.errors
        assert refused.detail.encode()


@given(st.dictionaries(st.text("abcdé", max_size=5), JSON, max_size=5), st.booleans())
def test_what_json_can_say_is_read_as_it_is(document: dict[str, object], escaped: bool) -> None:
    body = json.dumps(document, ensure_ascii=escaped).encode()
    assert json_object(body, max_bytes=LIMIT) == document


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_as_a_bad_request(body: bytes) -> None:
    assert_read_or_refused(body)


@given(st.text('{}[]":,0123456789.eE+-\\ud8naNIfityrulse \n\x00', max_size=60))
def test_anything_that_looks_like_json_is_read_or_refused(text: str) -> None:
    assert_read_or_refused(text.encode())


@pytest.mark.parametrize("body", [b"", b" \n\t", b"{}", b"\xef\xbb\xbf{}"])
def test_nothing_and_an_empty_object_are_the_same(body: bytes) -> None:
    assert json_object(body, max_bytes=LIMIT) == {}


def test_a_body_over_the_limit_is_not_parsed() -> None:
    with pytest.raises(PayloadTooLarge, match="at most 10"):
        json_object(b"[" * 11, max_bytes=10)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"a": {"b": [1, "x\\u0000"]}}', "a.b.1"),
        ('{"a": [[{"b": "\\udc00"}]]}', "a.0.0.b"),
        ('{"a": {"b": 90071992547409930}}', "a.b"),
        ('{"a": {"\\u0000": 1}}', "a.\ufffd"),
        ('{"a": {"b": 1, "b": 2}}', "b"),
    ],
)
def test_the_path_of_what_is_wrong_is_named(text: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        json_object(text.encode(), max_bytes=LIMIT)
    assert [error.field for error in caught.value.errors] == [field]


@pytest.mark.parametrize("depth", [1, 10, 63])
def test_reasonable_nesting_is_allowed(depth: int) -> None:
    body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    assert "a" in json_object(body, max_bytes=LIMIT)


def test_the_worst_body_of_a_megabyte_takes_a_few_seconds_of_processor_time_at_most() -> None:
    worst = [
        b"{" + b"".join(b'"k%d":1,' % n for n in range(80_000)) + b'"k79999":1}',
        b'{"' + b"x" * 30_000 + b'":[' + b"1," * 30_000 + b"1]}",
        b'{"a":[' + b"[]," * 30_000 + b"1]}",
        b'{"a":' + b"[" * 900_000,
    ]
    started = time.thread_time()
    for body in worst:
        try:
            json_object(body, max_bytes=LIMIT)
        except InvalidRequest:
            continue
    assert time.thread_time() - started < 10


@pytest.mark.parametrize("unit", ["[],", "{},", '{"":0},', "0,"])
def test_millions_of_values_in_few_bytes_are_refused_before_they_take_memory(unit: str) -> None:
    body = ('{"a":[' + unit * 1_300_000).rstrip(",").encode() + b"]}"
    tracemalloc.start()
    try:
        with pytest.raises(InvalidRequest, match=r"\(body\): has more than 1200000 values"):
            json_object(body, max_bytes=len(body))
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()


def test_a_large_body_of_coordinates_is_read() -> None:
    body = ('{"a":[' + "[12.345678,45.678901]," * 30_000).rstrip(",").encode() + b"]}"
    assert len(json_object(body, max_bytes=8 * 1024**2)["a"]) == 30_000  # type: ignore[arg-type]
