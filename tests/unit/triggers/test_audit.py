"""What is done by others' transactions, or by many, is written down before it begins."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock, call

import pytest

from interfaces.errors import ServiceUnavailable
from interfaces.web_requests import WebAnswer
from tests.unit.triggers.http_client import Client
from tests.unit.triggers.test_openapi import dependencies
from triggers.http import HttpDependencies, build

ITEM = "/api/stac/collections/a/items/b"


@pytest.fixture
def given() -> HttpDependencies:
    """The API of a library's, which notes when it is asked."""
    steps = Mock()

    async def answer(request: Any) -> WebAnswer:
        steps.change(request.method)
        return WebAnswer(status=200, headers=(), body=b"{}")

    made = dependencies(audit=steps, catalog_api=Mock(answer=answer))
    made.retention.cleanup.side_effect = ServiceUnavailable("enough")  # type: ignore[attr-defined]
    return made


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_a_change_of_the_catalog_is_written_down_before_it_is_handed_on(
    given: HttpDependencies, method: str
) -> None:
    assert Client(build(given)).request(method, ITEM, b"{}").status == 200
    noted = call.note("catalog_change_asked", method=method, path="collections/a/items/b")
    assert given.audit.mock_calls == [noted, call.change(method)]  # type: ignore[attr-defined]


def test_reading_the_catalog_is_nobodys_business(given: HttpDependencies) -> None:
    api = Client(build(given))
    assert (api.get(ITEM).status, api.post("/api/stac/search", {}).status) == (200, 200)
    assert given.audit.mock_calls == [call.change("GET"), call.change("POST")]  # type: ignore[attr-defined]


def test_what_cannot_be_written_down_is_not_done(given: HttpDependencies) -> None:
    given.audit.note.side_effect = ServiceUnavailable("database: gone")  # type: ignore[attr-defined]
    api = Client(build(given))
    assert api.request("DELETE", ITEM).status == 503
    assert api.post("/api/db/maintenance/cleanup", {"dry_run": False}).status == 503
    assert [step for step in given.audit.mock_calls if step[0] == "change"] == []  # type: ignore[attr-defined]
    assert given.retention.mock_calls == []  # type: ignore[attr-defined]


def test_a_cleanup_is_written_down_unless_it_only_counts(given: HttpDependencies) -> None:
    api = Client(build(given))
    api.post("/api/db/maintenance/cleanup", {"older_than_days": 3})
    assert given.audit.mock_calls == []  # type: ignore[attr-defined]
    api.post("/api/db/maintenance/cleanup", {"older_than_days": 3, "dry_run": False, "limit": 7})
    noted = call.note("cleanup_asked", older_than_days=3, limit=7)
    assert given.audit.mock_calls == [noted]  # type: ignore[attr-defined]
