"""Correlation ids, cursors and links."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import UUID

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interfaces.errors import InvalidRequest
from interfaces.settings import Settings
from triggers.http.requests import Query, Request, cursor_of, page_size, position_of
from triggers.http.responses import ROUTE_PREFIX, path, to_json

TRACE = "0af7651916cd43dd8448eb211c80319c"


def request(headers: dict[str, str] | None = None, params: dict[str, str] | None = None) -> Request:
    return Request(
        func.HttpRequest(
            "GET", "http://127.0.0.1/api/x?code=secret", headers=headers, params=params, body=b""
        )
    )


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"X-Correlation-Id": "order-17:a.b_c"}, "order-17:a.b_c"),
        ({"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
        ({"x-correlation-id": "first", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, "first"),
        ({"x-correlation-id": "no good", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, TRACE),
    ],
)
def test_a_well_formed_correlation_id_is_kept(headers: dict[str, str], expected: str) -> None:
    assert request(headers).correlation_id == expected


def test_what_later_versions_add_to_a_trace_context_is_left_out() -> None:
    found = request({"traceparent": f"01-{TRACE}-b7ad6b7169203331-01-{'x' * 5000}"}).traceparent
    assert found == f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-correlation-id": ""},
        {"x-correlation-id": "two words"},
        {"x-correlation-id": "line\nbreak"},
        {"x-correlation-id": "x" * 129},
        {"x-correlation-id": "<script>"},
        {"traceparent": "00-" + "0" * 32 + "-b7ad6b7169203331-01"},
        {"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        {"traceparent": "garbage"},
    ],
)
def test_otherwise_a_new_correlation_id_is_made(headers: dict[str, str]) -> None:
    assert UUID(request(headers).correlation_id).version == 4
    assert request(headers).correlation_id != request(headers).correlation_id


def test_keys_in_the_query_are_neither_refused_nor_repeated() -> None:
    asked = request(params={"code": "secret", "clientId": "me", "Code": "secret"})
    assert asked.query(Query) == Query()
    assert "secret" not in path("db", "jobs", **asked.repeated(cursor="c"))
    assert asked.path == "/api/x"


@given(st.lists(st.text(max_size=80) | st.integers() | st.none(), max_size=5))
def test_a_cursor_gives_back_its_position(values: list[str | int | None]) -> None:
    cursor = cursor_of("jobs", list(values))
    assert cursor is not None
    assert cursor.isascii()
    assert "=" not in cursor
    if len(cursor) <= 1000:
        assert position_of("jobs", cursor) == values


@given(st.text(max_size=60))
def test_no_text_is_taken_for_a_cursor_by_accident(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        position_of("jobs", text)
    assert caught.value.errors[0].field == "cursor"


def test_the_page_size_is_the_default_unless_asked_for() -> None:
    settings = Settings(default_page_size=50, max_page_size=200)
    assert (page_size(None, settings), page_size(200, settings)) == (50, 200)
    with pytest.raises(InvalidRequest, match="between 1 and 200"):
        page_size(201, settings)


def test_links_have_the_route_prefix_of_the_host() -> None:
    host = json.loads((Path(__file__).parents[3] / "host.json").read_text())
    assert f"/{host['extensions']['http']['routePrefix']}" == ROUTE_PREFIX
    assert path("jobs", "a/b c", x="1&2", y=None) == "/api/jobs/a%2Fb%20c?x=1%262"


def test_json_has_no_word_for_infinity() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"a": float("inf")})
