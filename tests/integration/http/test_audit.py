"""Who did what is written down with what is done, and listed to operators."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
import pytest

from interfaces.access import Principal, Role
from interfaces.errors import NotAuthenticated
from tests.fix_engine import World
from tests.integration.http.conftest import client_of
from tests.unit.triggers.http_client import Client

PEOPLE = {
    "ada": Principal("user", "ada@example.org", Role.ADMIN, "object-of-ada"),
    "robot": Principal("app", "client-of-robot", Role.SUBMITTER, "object-of-robot"),
}
SECRET = "whsec_" + "QUJD" * 8
SUBSCRIPTION = {
    "url": "https://hooks.example.org/x?token=tell-nobody",
    "events": ["failed"],
    "secret": SECRET,
}


class Known:
    """Takes a name for a token."""

    def principal(self, headers: Mapping[str, str]) -> Principal:
        try:
            return PEOPLE[headers["authorization"].removeprefix("Bearer ")]
        except KeyError:
            raise NotAuthenticated("this needs a token") from None


class Session:
    """One caller of the API."""

    def __init__(self, api: Client, name: str) -> None:
        self._api = api
        self._headers = {"authorization": f"Bearer {name}", "x-correlation-id": f"of-{name}"}

    def ask(self, method: str, url: str, body: object = b"", *, status: int | None = None) -> Any:
        answer = self._api.request(method, url, body, self._headers)
        assert status in (None, answer.status), answer.text()
        return answer.json() if answer.body else None

    def post(self, url: str, body: object = b"", *, status: int | None = None) -> Any:
        return self.ask("POST", url, body, status=status)

    def actions(self, **query: str) -> list[dict[str, Any]]:
        """What was done, the oldest first."""
        text = "&".join(f"{name}={value}" for name, value in query.items())
        found: list[dict[str, Any]] = self.ask("GET", f"/api/db/audit?{text}", status=200)["actions"]
        return found[::-1]


Scene = tuple[Session, Session, World]


@pytest.fixture
def scene(make_world: Callable[..., World]) -> Scene:
    """An administrator and a program, and what they work with."""
    world = make_world(
        allow_destructive_schema_operations=True,
        callback_hosts="hooks.example.org",
        callback_secret=SECRET,
    )
    api = client_of(world, Known())
    return Session(api, "ada"), Session(api, "robot"), world


def submitted(session: Session, **parameters: object) -> str:
    job_id: str = session.post("/api/jobs/submit/hello_world", parameters, status=202)["job_id"]
    return job_id


def history(session: Session, job_id: str) -> list[tuple[str, Any]]:
    """The events of a job that somebody asked for, and who."""
    events = session.ask("GET", f"/api/db/events/{job_id}", status=200)["events"]
    return [(event["event"], event["detail"]["by"]) for event in events if "by" in event["detail"]]


def test_the_history_of_a_job_says_who_submitted_and_steered_it(scene: Scene) -> None:
    ada, robot, world = scene
    job_id = submitted(robot, n=2, fail_fraction=1.0)
    # What is there already is not asked for a second time.
    assert ada.post("/api/jobs/submit/hello_world", {"n": 2, "fail_fraction": 1.0}, status=200)
    world.run(job_id)
    ada.post(f"/api/jobs/{job_id}/retry", status=202)
    ada.post(f"/api/jobs/{job_id}/cancel", status=202)
    ada.post(f"/api/jobs/{job_id}/cancel", status=200)
    robot.post(f"/api/jobs/{job_id}/rerun", status=202)
    status = robot.ask("GET", f"/api/jobs/status/{job_id}", status=200)
    by_ada = {"kind": "user", "name": "ada@example.org", "id": "object-of-ada"}
    by_robot = {"kind": "app", "name": "client-of-robot", "id": "object-of-robot"}
    done = [
        ("submitted", by_robot),
        ("job_retried", by_ada),
        ("job_cancelling", by_ada),
        ("run_submitted", by_robot),
    ]
    assert history(ada, job_id) == done
    assert (status["run"], status["submitted_by"]) == (2, by_robot)
    kept = ada.actions(job_id=job_id)
    assert [(row["action"], row["object_id"], row["run"]) for row in kept] == [
        (event, by["id"], 2 if event == "run_submitted" else 1) for event, by in done
    ]
    assert {row["correlation_id"] for row in kept} == {"of-ada", "of-robot"}
    # What the app does by itself, nobody did.
    assert world.rows("SELECT 1 FROM app.job_events WHERE detail ? 'by' AND worker IS NOT NULL") == []


def test_who_did_it_is_written_in_the_transaction_that_does_it(scene: Scene) -> None:
    ada, _, world = scene
    world.rows(
        "ALTER TABLE audit.actions ADD CHECK (action <> 'submitted' AND action <> 'job_cancelling')",
        fetch=False,
    )
    assert ada.post("/api/jobs/submit/hello_world", {"n": 1}, status=500)
    assert world.rows("SELECT 1 FROM app.jobs") == world.rows("SELECT 1 FROM app.outbox") == []
    world.rows("ALTER TABLE audit.actions DROP CONSTRAINT actions_action_check", fetch=False)
    job_id = submitted(ada, n=1)
    world.rows("ALTER TABLE audit.actions ADD CHECK (action <> 'job_cancelling')", fetch=False)
    assert ada.post(f"/api/jobs/{job_id}/cancel", status=500)
    assert world.job(job_id)["status"] == "queued"


def test_a_callers_name_does_not_stay_with_a_connection(scene: Scene) -> None:
    ada, _, world = scene
    submitted(ada, n=1)
    with world.databases[0].connection() as connection:
        row = connection.execute("SELECT app.caller() AS caller").fetchone()
    assert row == {"caller": None}
    job_id = world.submit("hello_world", n=3).job_id
    assert history(ada, job_id) == []
    assert ada.ask("GET", f"/api/jobs/status/{job_id}")["submitted_by"] is None
    assert ada.actions(job_id=job_id) == []


def test_what_is_about_no_job_is_written_down_too(scene: Scene) -> None:
    ada, _, world = scene
    ada.ask("PUT", "/api/db/limits/job/hello_world", {"at_most": 5}, status=200)
    nightly = {"name": "nightly", "cron": "0 2 * * *", "job_type": "hello_world"}
    ada.post("/api/schedules", nightly, status=201)
    ada.post("/api/schedules", nightly, status=409)
    ada.post("/api/schedules/nightly/disable", status=200)
    ada.post("/api/schedules/nightly/enable", status=200)
    ada.ask("DELETE", "/api/schedules/nightly", status=204)
    ada.ask("DELETE", "/api/schedules/nightly", status=404)
    made = ada.post("/api/subscriptions", SUBSCRIPTION, status=201)["subscription_id"]
    job_id = submitted(ada, n=1, fail_fraction=1.0)
    world.run(job_id)
    callback = ada.ask("GET", "/api/callbacks")["callbacks"][0]["callback_id"]
    ada.post(f"/api/callbacks/{callback}/resend", status=202)
    ada.post("/api/callbacks/1000000/resend", status=404)
    ada.ask("DELETE", f"/api/subscriptions/{made}", status=204)
    ada.post("/api/db/maintenance/cleanup", {"older_than_days": 1, "dry_run": True}, status=200)
    found = [(row["action"], row["detail"]) for row in ada.actions() if row["job_id"] is None]
    schedule = {"name": "nightly"}
    assert found == [
        ("limit_set", {"type": "job:hello_world", "at_most": 5}),
        (
            "schedule_created",
            schedule | {"cron": "0 2 * * *", "time_zone": "UTC", "job_type": "hello_world", "enabled": True},
        ),
        ("schedule_disabled", schedule),
        ("schedule_enabled", schedule),
        ("schedule_deleted", schedule),
        ("subscription_created", {"subscription_id": made, "job_type": None}),
        ("callback_resent", {"callback_id": callback}),
        ("subscription_deleted", {"subscription_id": made}),
    ]


def test_no_secret_is_written_down(scene: Scene) -> None:
    ada, _, world = scene
    ada.post("/api/subscriptions", SUBSCRIPTION, status=201)
    url = "https://hooks.example.org/y?token=tell-nobody"
    body = {"job_type": "hello_world", "parameters": {"n": 1}, "callback_url": url}
    ada.post("/api/jobs/submit", {**body, "then": {"job_type": "hello_world"}}, status=202)
    assert [row["action"] for row in ada.actions()] == [
        "subscription_created",
        "submitted",
        "callback_asked",
        "follower_asked",
    ]
    kept = json.dumps(world.rows("SELECT row_to_json(a)::text AS row FROM audit.actions a"))
    assert [part for part in ("tell-nobody", SECRET, "Bearer") if part in kept] == []


def test_a_replay_says_who_asked_for_it(scene: Scene) -> None:
    ada, _, world = scene
    job_id = submitted(ada, n=4)
    world.rows(
        "SELECT app.record_poison('jobs', 'm1', 'broken', '{}', 2, 6, %s, 1, 1, NULL, NULL, '', 'recorded')",
        job_id,
    )
    (number,) = [row["poison_id"] for row in world.rows("SELECT poison_id FROM app.poison_messages")]
    ada.post(f"/api/monitor/poison/{number}/replay", status=202)
    assert [event for event, _ in history(ada, job_id)] == ["submitted", "message_replayed"]
    assert ada.actions(action="message_replayed")[0]["detail"] == {"poison_id": number}


def test_what_was_removed_leaves_who_removed_it(scene: Scene) -> None:
    ada, robot, world = scene
    job_id = submitted(robot, n=1)
    world.run(job_id)
    world.rows("UPDATE app.jobs SET completed_at = now() - interval '5 days'", fetch=False)
    body = {"older_than_days": 2, "dry_run": False}
    assert ada.post("/api/db/maintenance/cleanup", body, status=200)["jobs"] == 1
    assert ada.ask("GET", f"/api/db/events/{job_id}", status=404)
    of_job = [(row["action"], row["name"]) for row in ada.actions(job_id=job_id)]
    assert of_job == [("submitted", "client-of-robot"), ("run_removed", "ada@example.org")]
    asked = ada.actions(action="cleanup_asked")
    assert [row["detail"] for row in asked] == [{"older_than_days": 2, "limit": 1000}]


def test_who_drops_everything_is_still_known(scene: Scene) -> None:
    ada, robot, _ = scene
    submitted(robot, n=1)
    for operation in ("nuke", "migrate", "redeploy"):
        ada.post(f"/api/db/schema/{operation}?confirm=yes", status=200)
    found = [(row["action"], row["name"]) for row in ada.actions()]
    assert found == [
        ("submitted", "client-of-robot"),
        *((f"schema_{done}", "ada@example.org") for done in ("nuked", "migrated", "redeployed")),
    ]


def test_a_schema_operation_that_fails_leaves_no_word_of_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, _, _ = scene

    def broken(*_: Any) -> list[str]:
        raise psycopg.errors.DiskFull("no space left")

    monkeypatch.setattr("repositories.migrations.schema_objects", broken)
    assert ada.post("/api/db/schema/redeploy?confirm=yes")["status"] >= 500
    assert ada.actions() == []


def test_actions_are_found_by_who_what_and_when_and_paged(scene: Scene) -> None:
    ada, robot, world = scene
    for n in range(1, 4):
        submitted(robot, n=n)
    ada.ask("PUT", "/api/db/limits/job/hello_world", {"at_most": 5}, status=200)
    world.rows("UPDATE audit.actions SET at = now() - interval '3 hours' WHERE action_id = 1", fetch=False)
    assert [row["action"] for row in ada.actions(who="ADA@")] == ["limit_set"]
    assert len(ada.actions(who="object-of-robot")) == 3
    assert ada.actions(who="of-robot") == []
    assert len(ada.actions(hours="1")) == 3
    first = ada.ask("GET", "/api/db/audit?limit=3&action=submitted", status=200)
    assert (first["count"], first["next_cursor"]) == (3, None)
    first = ada.ask("GET", "/api/db/audit?limit=3", status=200)
    rest = ada.ask("GET", first["links"]["next"], status=200)
    assert [row["action_id"] for row in first["actions"] + rest["actions"]] == [4, 3, 2, 1]
    for wrong in ("job_id=x", "hours=0", "who=" + "x" * 300, "cursor=x", "name=x"):
        ada.ask("GET", f"/api/db/audit?{wrong}", status=400)


def test_what_is_too_old_is_removed_where_the_setting_says_so(make_world: Callable[..., World]) -> None:
    world = make_world(audit_days=10, retention_days=0)
    api = client_of(world)
    for days in (9, 11):
        world.rows(
            "INSERT INTO audit.actions (at, action, kind, name, correlation_id)"
            " VALUES (now() - make_interval(days => %s), 'x', 'key', 'key', '')",
            days,
            fetch=False,
        )
    make_world(audit_days=0, retention_days=0).engine.retention.run()
    assert api.get("/api/db/audit").json()["count"] == 2
    world.engine.retention.run()
    assert api.get("/api/db/audit").json()["count"] == 1


def test_with_keys_it_is_the_key_that_did_it(api: Client, world: World) -> None:
    api.post("/api/jobs/submit/hello_world", {"n": 1}, {"x-functions-key": "a key of the host"})
    api.post("/api/jobs/submit/hello_world", {"n": 2})
    rows = api.get("/api/db/audit").json()["actions"]
    assert [(row["kind"], row["name"], row["object_id"]) for row in rows] == [
        ("anonymous", "anonymous", None),
        ("key", "key", None),
    ]
    assert "a key of the host" not in json.dumps(world.rows("SELECT detail::text FROM app.job_events"))
