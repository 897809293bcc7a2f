"""Callbacks over HTTP: asked for at a submission, subscribed to, looked at, sent again."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

import pytest
from pydantic import SecretStr

from interfaces.callbacks import Delivery
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
HOOK = "https://hooks.example.org/jobs?token=1"
SUBMIT = "/api/jobs/submit"


@pytest.fixture
def pair(make_api: Callable[..., tuple[Client, World]]) -> tuple[Client, World]:
    """An API that may call hooks.example.org."""
    return make_api(callback_hosts="hooks.example.org", callback_secret=SecretStr(SECRET))


def test_a_callback_is_asked_for_in_the_query_or_in_the_envelope(pair: tuple[Client, World]) -> None:
    api, world = pair
    asked = f"callback_url={quote(HOOK, safe='')}&callback_events=completed,failed"
    plain = api.post(f"{SUBMIT}/hello_world", {"n": 1}).json()
    first = api.post(f"{SUBMIT}/hello_world?{asked}", {"n": 1})
    envelope = {"job_type": "hello_world", "parameters": {"n": 1}, "callback_url": f"{HOOK}&b"}
    second = api.post(SUBMIT, envelope)
    assert (first.status, second.status) == (200, 200), second.text()
    assert plain["job_id"] == first.json()["job_id"] == second.json()["job_id"]
    rows = world.rows("SELECT url, events FROM app.run_subscribers ORDER BY url")
    assert rows == [
        {"url": HOOK, "events": ["completed", "failed"]},
        {"url": f"{HOOK}&b", "events": ["completed", "failed", "cancelled", "stage"]},
    ]


@pytest.mark.parametrize(
    ("beside", "field"),
    [
        ({"callback_url": "https://example.com/"}, "callback_url"),
        ({"callback_url": "http://hooks.example.org/"}, "callback_url"),
        ({"callback_url": 5}, "callback_url"),
        ({"callback_url": HOOK, "callback_events": ["ended"]}, "callback_events.0"),
        ({"callback_url": HOOK, "callback_events": []}, "callback_events"),
        ({"callback_events": ["failed"]}, "callback_events"),
        ({"callback_uri": HOOK}, "callback_uri"),
    ],
)
def test_a_callback_that_cannot_be_had_is_refused_by_field(
    pair: tuple[Client, World], beside: dict[str, object], field: str
) -> None:
    api, world = pair
    answer = api.post(SUBMIT, {"job_type": "hello_world", "parameters": {"n": 1}, **beside})
    assert answer.status == 400, answer.text()
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert world.rows("SELECT 1 FROM app.jobs") == []


def test_where_no_host_is_allowed_callbacks_are_refused_with_the_reason(api: Client) -> None:
    answer = api.post(f"{SUBMIT}/hello_world?callback_url={quote(HOOK, safe='')}", {"n": 1})
    assert answer.status == 400
    [error] = answer.json()["errors"]
    reason = "callbacks are off: the setting CALLBACK_HOSTS names no host"
    assert error == {"field": "callback_url", "reason": reason}


def test_a_subscription_is_made_seen_without_its_secret_and_removed(pair: tuple[Client, World]) -> None:
    api, _ = pair
    asked = {"job_type": "hello_world", "url": HOOK, "events": ["failed"], "secret": SECRET}
    made = api.post("/api/subscriptions", asked)
    assert made.status == 201, made.text()
    shown = made.json()
    assert set(shown) == {"subscription_id", "job_type", "url", "events", "created_at"}
    assert made.headers["Location"] == f"/api/subscriptions/{shown['subscription_id']}"
    assert api.get("/api/subscriptions").json() == {"subscriptions": [shown]}
    for document in (made, api.get("/api/subscriptions"), api.get("/api/db/debug/all")):
        assert "MfKQ9r8" not in document.text()
    assert api.request("DELETE", made.headers["Location"]).status == 204
    assert api.request("DELETE", made.headers["Location"]).status == 404
    assert api.get("/api/subscriptions").json() == {"subscriptions": []}
    assert api.request("DELETE", "/api/subscriptions/1").json()["errors"][0]["field"] == "subscription_id"


def test_the_callbacks_of_a_subscription_are_listed_with_its_id(pair: tuple[Client, World]) -> None:
    api, world = pair
    asked = {"job_type": "hello_world", "url": HOOK, "events": ["completed"], "secret": SECRET}
    made = api.post("/api/subscriptions", asked).json()
    world.run(api.post(f"{SUBMIT}/hello_world", {"n": 1}).json()["job_id"])
    (told,) = api.get("/api/callbacks").json()["callbacks"]
    assert (told["subscription_id"], told["state"]) == (made["subscription_id"], "pending")


@pytest.mark.parametrize(
    ("wrong", "status", "named"),
    [
        ({"url": "https://example.com/"}, 400, "url"),
        ({"secret": "hunter2"}, 400, "secret"),
        ({"secret": None}, 400, "secret"),
        ({"events": ["ended"]}, 400, "events.0"),
        ({"for": "ever"}, 400, "for"),
        ({"job_type": "nothing"}, 404, "nothing"),
    ],
)
def test_a_bad_subscription_is_refused_without_its_secret(
    pair: tuple[Client, World], wrong: dict[str, object], status: int, named: str
) -> None:
    api, _ = pair
    answer = api.post("/api/subscriptions", {"url": HOOK, "secret": SECRET, **wrong})
    assert answer.status == status, answer.text()
    assert named in answer.text()
    assert "hunter2" not in answer.text()
    assert "MfKQ9r8" not in answer.text()


def test_dead_letters_are_listed_explained_and_sent_again(pair: tuple[Client, World]) -> None:
    api, world = pair
    asked = {"job_type": "hello_world", "parameters": {"n": 1}, "callback_url": HOOK}
    job_id = api.post(SUBMIT, asked).json()["job_id"]
    world.run(job_id)
    listed = api.get(f"/api/callbacks?state=pending&job_id={job_id}&limit=2").json()
    assert listed["count"] == 2
    assert api.get(listed["links"]["next"]).json()["count"] == 1
    explained = api.get(f"/api/jobs/{job_id}/explain").json()
    [reason] = [one for one in explained["reasons"] if one["code"] == "callbacks_pending"]
    assert reason["text"].startswith("3 callbacks to be sent, the next 2")

    world.receiver.answer = lambda callback: Delivery("dead", 410, "gone")
    world.engine.callbacks.deliver()
    dead = api.get("/api/callbacks?state=dead").json()["callbacks"]
    assert [one["event_type"] for one in dead] == ["job.completed", "stage.completed", "stage.completed"]
    assert {(one["state"], one["last_error"], one["last_status"]) for one in dead} == {("dead", "gone", 410)}
    explained = api.get(f"/api/jobs/{job_id}/explain").json()
    [reason] = [one for one in explained["reasons"] if one["code"] == "callbacks_dead"]
    assert "3 callbacks given up" in reason["text"]
    assert reason["text"].endswith("the last attempt: gone")
    [repair] = [one for one in explained["repairs"] if "callbacks" in one["href"]]
    assert api.get(repair["href"]).json()["count"] == 3

    world.receiver.answer = lambda callback: Delivery("delivered", 204)
    assert api.post(dead[0]["links"]["resend"]).status == 202
    world.engine.callbacks.deliver()
    [delivered] = api.get("/api/callbacks?state=delivered").json()["callbacks"]
    assert delivered["callback_id"] == dead[0]["callback_id"]
    assert api.post("/api/callbacks/999999999/resend").status == 404
    assert api.post("/api/callbacks/x/resend").json()["errors"][0]["field"] == "callback_id"
    assert api.get("/api/callbacks?state=lost").json()["errors"][0]["field"] == "state"
    assert api.get("/api/callbacks?job_id=1").json()["errors"][0]["field"] == "job_id"


def test_dead_letters_are_sent_again_together_and_counted(pair: tuple[Client, World]) -> None:
    api, world = pair
    world.receiver.answer = lambda callback: Delivery("dead", 410, "gone")
    asked = f"callback_url={quote(HOOK, safe='')}&callback_events=completed"
    ids = [api.post(f"{SUBMIT}/hello_world?{asked}", {"n": n}).json()["job_id"] for n in (1, 2, 3)]
    world.pump()
    assert world.engine.callbacks.deliver() == 3
    metrics = api.get("/api/metrics").text()
    assert 'orchestrator_callback_attempts_total{outcome="dead"} 3' in metrics
    assert 'orchestrator_callback_attempts_total{outcome="delivered"} 0' in metrics
    assert 'orchestrator_callbacks{state="dead"} 3' in metrics
    again = "/api/callbacks/resend"
    assert api.post(again, {"host": "elsewhere.example.org"}).json() == {"resent": 0, "more": False}
    answer = api.post(again, {"job_id": ids[1]})
    assert (answer.status, answer.json()) == (202, {"resent": 1, "more": False})
    [pending] = api.get("/api/callbacks?state=pending").json()["callbacks"]
    assert pending["job_id"] == ids[1]
    assert api.post(again, {"host": "hooks.example.org", "limit": 1}).json() == {"resent": 1, "more": True}
    assert api.post(again).json() == {"resent": 1, "more": False}
    world.receiver.answer = lambda callback: Delivery("delivered", 204)
    assert world.engine.callbacks.deliver() == 3
    assert len(api.get("/api/callbacks?state=delivered").json()["callbacks"]) == 3
    for wrong in ({"limit": 0}, {"job_id": "x"}, {"subscription_id": "x"}, {"state": "dead"}):
        assert api.post(again, wrong).status == 400


def test_what_is_kept_of_a_failure_has_no_secrets(pair: tuple[Client, World]) -> None:
    api, world = pair
    world.receiver.answer = lambda callback: Delivery("retry", error="not sent: Error: password=hunter2")
    api.post(f"{SUBMIT}/hello_world?callback_url={quote(HOOK, safe='')}", {"n": 1})
    world.pump()
    world.engine.callbacks.deliver()
    errors = {one["last_error"] for one in api.get("/api/callbacks").json()["callbacks"]}
    assert errors == {"not sent: Error: password=***"}
