"""Limits of concurrency over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

LIMITS = "/api/db/limits"


def test_a_limit_is_set_seen_and_removed(make_api: Callable[..., tuple[Client, World]]) -> None:
    api, world = make_api()
    assert api.get(LIMITS).json() == {"limits": []}
    answer = api.request("PUT", f"{LIMITS}/job/hello_world", {"at_most": 0})
    assert answer.status == 200
    [limit] = answer.json()["limits"]
    assert (limit["kind"], limit["name"], limit["at_most"], limit["running"]) == ("job", "hello_world", 0, 0)
    job = world.submit("hello_world", n=2)
    world.pump()
    assert world.job(job.job_id)["status"] == "queued"
    [limit] = api.get(LIMITS).json()["limits"]
    assert limit["messages_waiting"] == 1
    assert api.get("/api/db/stats").json()["outbox"]["parked"] == 1
    assert api.request("PUT", f"{LIMITS}/job/hello_world", {"at_most": None}).json() == {"limits": []}
    world.pump()
    assert world.job(job.job_id)["status"] == "completed"
    assert api.request("PUT", f"{LIMITS}/job/hello_world", {"at_most": None}).status == 200


@pytest.mark.parametrize(
    ("path", "body", "status", "named"),
    [
        ("job/hello", {"at_most": 1}, 404, "hello"),
        ("task/hello", {"at_most": 1}, 404, "hello"),
        ("stage/hello_world", {"at_most": 1}, 400, "kind"),
        ("job/hello_world", {}, 400, "at_most"),
        ("job/hello_world", {"at_most": -1}, 400, "at_most"),
        ("job/hello_world", {"at_most": "2"}, 400, "at_most"),
        ("job/hello_world", {"at_most": 1.5}, 400, "at_most"),
        ("job/hello_world", {"at_most": 1, "for": "ever"}, 400, "for"),
    ],
)
def test_bad_limits_are_refused_by_name(
    api: Client, path: str, body: dict[str, object], status: int, named: str
) -> None:
    answer = api.request("PUT", f"{LIMITS}/{path}", body)
    assert answer.status == status, answer.text()
    assert named in answer.text()
    assert api.get(LIMITS).json() == {"limits": []}
