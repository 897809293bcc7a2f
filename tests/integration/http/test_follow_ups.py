"""Schedules and chains over HTTP."""

from __future__ import annotations

import pytest

from tests.fix_engine import World
from tests.unit.triggers.http_client import Client

NIGHTLY = {"name": "nightly", "cron": "0 2 * * *", "time_zone": "Europe/Berlin", "job_type": "hello_world"}
SUBMIT = "/api/jobs/submit"


def test_a_schedule_is_made_seen_switched_fired_and_removed(api: Client, world: World) -> None:
    made = api.post("/api/schedules", {**NIGHTLY, "parameters": {"name": {"$from": "/tick/date"}}})
    assert made.status == 201, made.text()
    shown = made.json()
    here = made.headers["Location"]
    assert here == shown["links"]["self"] == "/api/schedules/nightly"
    assert (shown["enabled"], shown["last_tick"]) == (True, None)
    listed = api.get("/api/schedules").json()
    assert (listed["schedules"], listed["count"], listed["next_cursor"]) == ([shown], 1, None)
    assert api.post("/api/schedules", NIGHTLY).status == 409

    assert api.post(shown["links"]["disable"]).json()["enabled"] is False
    assert api.post(shown["links"]["enable"]).json()["enabled"] is True
    world.rows("UPDATE app.schedules SET next_at = now()", fetch=False)
    world.engine.follow_up()
    [tick] = api.get(here).json()["ticks"]
    assert (tick["run"], tick["created"], tick["error"]) == (1, True, None)
    assert (
        api.get(f"/api/jobs/status/{tick['job_id']}").json()["correlation_id"].startswith("schedule:nightly:")
    )

    assert api.request("DELETE", here).status == 204
    for answer in (api.get(here), api.request("DELETE", here), api.post(shown["links"]["enable"])):
        assert answer.status == 404


@pytest.mark.parametrize(
    ("wrong", "status", "named"),
    [
        ({"cron": "every night"}, 400, "cron"),
        ({"time_zone": "Middle-earth/Shire"}, 400, "time_zone"),
        ({"name": "Nightly!"}, 400, "name"),
        ({"parameters": {"n": 0}}, 400, "parameters.n"),
        ({"parameters": {"name": {"$from": "/result"}}}, 400, "parameters.name"),
        ({"enabled": "perhaps"}, 400, "enabled"),
        ({"until": "then"}, 400, "until"),
        ({"job_type": "nothing"}, 404, None),
    ],
)
def test_a_bad_schedule_is_refused_by_field(
    api: Client, wrong: dict[str, object], status: int, named: str | None
) -> None:
    answer = api.post("/api/schedules", {**NIGHTLY, **wrong})
    assert answer.status == status, answer.text()
    assert [error["field"] for error in answer.json()["errors"]] == ([named] if named else [])
    assert api.get("/api/schedules").json()["schedules"] == []


def test_what_follows_is_asked_for_at_the_submission_and_seen_in_status_and_explanation(
    api: Client, world: World
) -> None:
    named = {"job_type": "hello_world", "parameters": {"n": 2, "name": {"$from": "/job_type"}}}
    lost = {"job_type": "hello_world", "parameters": {"name": {"$from": "/result/nobody"}}}
    for then in (named, lost):
        asked = {"job_type": "hello_world", "parameters": {"n": 1}, "then": then}
        answer = api.post(SUBMIT, asked)
        assert answer.status in (200, 202), answer.text()
    job_id = answer.json()["job_id"]
    status = api.get(f"/api/jobs/status/{job_id}").json()
    assert [one["state"] for one in status["followed_by"]] == ["waiting", "waiting"]
    world.run(job_id)
    reasons = api.get(f"/api/jobs/{job_id}/explain").json()["reasons"]
    assert [one["code"] for one in reasons[1:]] == ["follower_waiting", "follower_waiting"]
    world.engine.follow_up()
    submitted, failed = api.get(f"/api/jobs/status/{job_id}").json()["followed_by"]
    assert (submitted["state"], submitted["run"], submitted["error"]) == ("submitted", 1, None)
    assert api.get(f"/api/db/jobs/{submitted['job_id']}").json()["parameters"]["name"] == "hello_world"
    assert (failed["state"], failed["job_id"]) == ("failed", None)
    assert "then.parameters.name: /result/nobody is not there" in failed["error"]
    reasons = api.get(f"/api/jobs/{job_id}/explain").json()["reasons"]
    assert reasons[1]["text"].endswith(f"run 1 of job {submitted['job_id']}")
    assert reasons[2]["code"] == "follower_failed"
    assert reasons[2]["text"].endswith(failed["error"])


@pytest.mark.parametrize(
    ("then", "field"),
    [
        (5, "then"),
        ({}, "then.job_type"),
        ({"job_type": "hello_world", "parameters": {"n": 0}}, "then.parameters.n"),
        ({"job_type": "hello_world", "when": ["ended"]}, "then.when.0"),
        ({"job_type": "hello_world", "then": {"job_type": 5}}, "then.then.job_type"),
        ({"job_type": "hello_world", "callback_url": "https://example.org/"}, "then.callback_url"),
    ],
)
def test_what_cannot_follow_is_refused_by_field(api: Client, world: World, then: object, field: str) -> None:
    answer = api.post(SUBMIT, {"job_type": "hello_world", "parameters": {"n": 1}, "then": then})
    assert answer.status == 400, answer.text()
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert world.rows("SELECT 1 FROM app.jobs") == []


def test_schedules_are_listed_page_by_page(api: Client) -> None:
    for n in (3, 1, 2):
        assert api.post("/api/schedules", {**NIGHTLY, "name": f"s{n}"}).status == 201
    found, link = [], "/api/schedules?limit=2"
    while link:
        page = api.get(link).json()
        found.append([one["name"] for one in page["schedules"]])
        link = page["links"]["next"]
    assert found == [["s1", "s2"], ["s3"]]
    assert api.get("/api/schedules?cursor=x").status == 400


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"then": {"job_type": "hello_world", "parameters": {"n": 0}}}, "then.parameters.n"),
        ({"callback_url": "https://example.org/"}, "callback_url"),
        ({"callback_events": ["failed"]}, "callback_events"),
    ],
)
def test_a_dry_run_and_a_rerun_refuse_what_cannot_follow(
    api: Client, world: World, wrong: dict[str, object], field: str
) -> None:
    asked = {"job_type": "hello_world", "parameters": {"n": 1}}
    assert api.post(f"{SUBMIT}?dry_run=true", asked).status == 200
    job_id = api.post(SUBMIT, asked).json()["job_id"]
    world.run(job_id)
    for answer in (
        api.post(f"{SUBMIT}?dry_run=true", {**asked, **wrong}),
        api.post(f"/api/jobs/{job_id}/rerun", wrong),
    ):
        assert answer.status == 400, answer.text()
        assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert world.job(job_id)["run"] == 1


def test_a_new_run_is_followed_and_a_run_that_was_not_started_is_not(api: Client, world: World) -> None:
    job_id = api.post(SUBMIT, {"job_type": "hello_world", "parameters": {"n": 1}}).json()["job_id"]
    body = {"then": {"job_type": "hello_world", "parameters": {"n": 2}}}
    assert api.post(f"/api/jobs/{job_id}/rerun", body).status == 409
    assert world.rows("SELECT 1 FROM app.followers") == []
    world.run(job_id)
    again = api.post(f"/api/jobs/{job_id}/rerun", body)
    assert (again.status, again.json()["run"]) == (202, 2)
    world.run(job_id)
    assert world.engine.follow_up() == 1
    assert [one["state"] for one in api.get(f"/api/jobs/status/{job_id}").json()["followed_by"]] == [
        "submitted"
    ]
