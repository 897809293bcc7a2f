"""One caller does not get all of an instance; nobody else notices, and nobody hides."""

from __future__ import annotations

import time
from typing import Any

import azure.functions as func
import pytest
from pydantic import ValidationError

from interfaces.access import Role
from interfaces.errors import TooManyRequests
from interfaces.settings import Settings
from tests.unit.triggers.http_client import Answer, Client
from triggers.http import rate_limits
from triggers.http.rate_limits import RateLimits
from triggers.http.requests import Request
from triggers.http.responses import answer
from triggers.http.routing import Endpoint, register
from triggers.threads import Threads

KEY = {"x-functions-key": "one"}
OTHER = {"x-functions-key": "other"}


def client(**given: Any) -> Client:
    """An app of one endpoint that asks for a key, one that does not, and one that is not counted."""
    settings = Settings(**given)
    blueprint = func.Blueprint()  # type: ignore[no-untyped-call]
    limits, threads = RateLimits(settings), Threads("test", 2)

    def there(request: Request) -> func.HttpResponse:
        return answer({})

    for endpoint in (
        Endpoint("keyed", "keyed", {"GET": there, "POST": there}, Role.READER),
        Endpoint("open", "open", {"GET": there}, Role.ANYONE),
        Endpoint("livez", "livez", {"GET": there}, Role.ANYONE, limited=False),
    ):
        register(blueprint, endpoint, settings, threads, limits=limits)
    return Client(blueprint)


def statuses(answers: list[Answer]) -> list[int]:
    return [one.status for one in answers]


def test_a_caller_of_too_many_is_told_when_to_come_again() -> None:
    app = client(rate_limit_reads="3/hour")
    answers = [app.get("/api/keyed", KEY) for _ in range(5)]
    assert statuses(answers) == [200, 200, 200, 429, 429]
    refused = answers[-1]
    assert refused.mimetype == "application/problem+json"
    assert refused.json()["type"] == "urn:problem:too-many-requests"
    assert refused.json()["detail"] == "more than 3 reads in 3600 s from the same caller"
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600


def test_each_caller_has_a_limit_of_its_own_and_so_have_reads_and_changes() -> None:
    app = client(rate_limit_reads="1/hour", rate_limit_changes="1/hour")
    assert statuses([app.get("/api/keyed", KEY), app.get("/api/keyed", KEY)]) == [200, 429]
    assert app.get("/api/keyed", OTHER).status == 200
    assert statuses([app.post("/api/keyed", b"", KEY), app.post("/api/keyed", b"", KEY)]) == [200, 429]
    assert app.get("/api/keyed?code=third").status == 200
    assert app.get("/api/keyed?CODE=third").status == 429


@pytest.mark.parametrize("more", ["?clientid={}&code=one", "?code=one,{}", "?code=one&code={}"])
def test_what_the_host_did_not_look_at_makes_nobody_another_caller(more: str) -> None:
    app = client(rate_limit_reads="2/hour")
    answers = [app.get(f"/api/keyed{more.format(number)}") for number in range(4)]
    assert statuses(answers)[2:] == [429, 429]


def test_all_of_several_limits_hold() -> None:
    app = client(rate_limit_reads="1000/second;2/hour")
    assert statuses([app.get("/api/keyed", KEY) for _ in range(3)]) == [200, 200, 429]


def test_without_a_key_the_address_counts_that_the_front_end_saw() -> None:
    app = client(rate_limit_reads="1/hour")
    seen = [{"x-forwarded-for": f"10.0.0.{i}, 192.0.2.7:5{i}"} for i in range(3)]
    # The port is another one for each connection.
    assert statuses([app.get("/api/open", headers) for headers in seen]) == [200, 429, 429]
    assert app.get("/api/open", {"x-forwarded-for": "192.0.2.8:1"}).status == 200
    assert app.get("/api/open", {"x-forwarded-for": "[2001:db8::1]:443"}).status == 200
    assert app.get("/api/open", {"x-forwarded-for": "[2001:db8::1]:444"}).status == 429
    # All addresses of a network of version 6 are one caller's.
    assert app.get("/api/open", {"x-forwarded-for": "2001:db8::ffff:2"}).status == 429
    assert app.get("/api/open", {"x-forwarded-for": "2001:db8:0:1::1"}).status == 200
    assert statuses([app.get("/api/open", {"x-forwarded-for": "unknown"}) for _ in range(2)]) == [200, 429]


def test_keys_that_nobody_looked_at_do_not_hide_a_caller() -> None:
    app = client(rate_limit_reads="1/hour")
    answers = [app.get("/api/open", {"x-functions-key": str(i)}) for i in range(3)]
    assert statuses(answers) == [200, 429, 429]


def test_whether_the_app_lives_may_always_be_asked() -> None:
    app = client(rate_limit_reads="1/hour")
    assert statuses([app.get("/api/livez") for _ in range(3)]) == [200, 200, 200]


def test_an_empty_limit_is_none() -> None:
    app = client(rate_limit_reads="", rate_limit_changes="1/hour")
    assert statuses([app.get("/api/keyed", KEY) for _ in range(50)]) == [200] * 50


def test_by_default_thousands_of_jobs_are_submitted_within_a_minute() -> None:
    limits = RateLimits(Settings())
    asked = Request(func.HttpRequest("POST", "http://127.0.0.1/api/jobs/submit", headers=KEY, body=b""))
    for _ in range(12_000):
        limits.admit(asked, by_key=True)
    with pytest.raises(TooManyRequests):
        limits.admit(asked, by_key=True)


def test_a_window_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    app = client(rate_limit_reads="1/minute")
    assert statuses([app.get("/api/keyed", KEY), app.get("/api/keyed", KEY)]) == [200, 429]
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert app.get("/api/keyed", KEY).status == 200


def test_callers_without_number_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rate_limits, "MOST_CALLERS", 5)
    windows = rate_limits._windows()
    for number in range(100):
        assert windows.incr(str(number), 60) == 1
    assert windows.reset() == 5


@pytest.mark.parametrize("text", ["100", "0/minute", "10/fortnight", "10/minute;", "-1/second", "1e9/second"])
def test_a_limit_that_says_nothing_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValidationError, match="rate_limit_reads"):
        Settings(rate_limit_reads=text)
