"""What operators look at, and how they change the schema."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr

from interfaces.errors import NotFound, ServiceUnavailable
from repositories.schema import Schema
from tests.doubles.memory_queues import Stored
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client
from triggers.http.documents.operations import SchemaChange

MakeApi = Callable[..., tuple[Client, World]]
MORE = {
    "migrate": "/api/db/schema/migrate?confirm=yes",
    "redeploy": "/api/db/schema/redeploy?confirm=yes",
    "nuke": "/api/db/schema/nuke?confirm=yes",
}


def done(api: Client, world: World, **parameters: object) -> str:
    job_id = str(api.post("/api/jobs/submit/hello_world", parameters).json()["job_id"])
    world.run(job_id)
    return job_id


def test_stats_count_jobs_tasks_messages_and_bytes(api: Client, world: World) -> None:
    done(api, world, n=3)
    done(api, world, n=2, fail_fraction=1.0, sleep_seconds=0.06)
    world.queues.broken = True
    api.post("/api/jobs/submit/hello_world", {"n": 7})
    body = api.get("/api/db/stats").json()
    assert body["jobs"]["total"] == 3
    assert body["jobs"]["live"] == 1
    assert body["jobs"]["by_type"] == {"hello_world": {"completed": 1, "failed": 1, "queued": 1}}
    assert body["tasks"] == {"queued": 0, "processing": 0, "completed": 6, "failed": 1, "cancelled": 1}
    assert (body["outbox"]["pending"], body["outbox"]["sent"]) == (1, 0)
    assert body["outbox"]["oldest_pending_seconds"] >= 0
    assert {"jobs", "tasks", "outbox", "job_events"} <= {table["table"] for table in body["tables"]}
    assert body["durations_last_day"][0]["count"] == 1


def test_stats_of_an_empty_database_are_zero(api: Client) -> None:
    body = api.get("/api/db/stats").json()
    assert (body["jobs"]["total"], body["outbox"]["pending"], body["poison"]) == (0, 0, {})
    assert body["outbox"]["oldest_pending_seconds"] is None


def test_enums_of_database_and_code_are_equal(api: Client) -> None:
    body = api.get("/api/db/enums/diagnostic").json()
    assert body["equal"] is True
    assert [enum["name"] for enum in body["enums"]] == [
        "failure_policy",
        "job_status",
        "stage_status",
        "task_status",
    ]


def test_an_enum_that_differs_is_named_with_the_difference(api: Client, world: World) -> None:
    world._admin.execute("ALTER TYPE app.task_status ADD VALUE 'paused'")
    body = api.get("/api/db/enums/diagnostic").json()
    assert body["equal"] is False
    (wrong,) = [enum for enum in body["enums"] if not enum["equal"]]
    assert (wrong["name"], wrong["missing_in_python"]) == ("task_status", ["paused"])


def test_every_sql_function_exists_and_works(api: Client, world: World) -> None:
    body = api.get("/api/db/functions/test").json()
    assert body["broken"] == []
    assert body["ok"] is True
    by_name = {function["name"]: function for function in body["functions"]}
    assert by_name["claim_tasks"]["called"] is True
    called = [name for name, function in by_name.items() if function["called"]]
    assert len(called) > 30
    assert world.rows("SELECT 1 FROM app.jobs") == world.rows("SELECT 1 FROM app.job_events") == []


def test_a_missing_and_a_broken_function_are_named(api: Client, world: World) -> None:
    world._admin.execute("DROP FUNCTION app.sweep_stage")
    world._admin.execute(
        "CREATE OR REPLACE FUNCTION app.lock_job(p_job_id text) RETURNS void"
        " LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'out of order'; END $$"
    )
    body = api.get("/api/db/functions/test").json()
    assert body["ok"] is False
    assert {"sweep_stage", "lock_job"} <= set(body["broken"])
    broken = {function["name"]: function for function in body["functions"]}
    assert broken["sweep_stage"]["exists"] is False
    assert "out of order" in broken["lock_job"]["error"]


def test_invariants_hold_after_jobs_of_every_outcome(api: Client, world: World) -> None:
    done(api, world, n=30)
    done(api, world, n=4, fail_fraction=1.0)
    body = api.get("/api/db/invariants").json()
    assert set(body) == {"total_violations", "invariants"}
    assert body["total_violations"] == 0, body
    assert len(body["invariants"]) == 12
    assert all(set(i) == {"name", "description", "count", "rows"} for i in body["invariants"])


def test_a_violation_is_counted_exactly_and_shown_up_to_a_hundred_rows(api: Client, world: World) -> None:
    job_id = done(api, world, n=250)
    world.rows(
        "UPDATE app.tasks SET status = 'queued', result = NULL WHERE job_id = %s AND stage = 1 RETURNING 1",
        job_id,
    )
    body = api.get("/api/db/invariants").json()
    violated = {i["name"]: i for i in body["invariants"] if i["count"]}
    assert list(violated) == ["invariant_2_unfinished_task_of_terminal_job"]
    assert violated["invariant_2_unfinished_task_of_terminal_job"]["count"] == body["total_violations"] == 250
    assert len(violated["invariant_2_unfinished_task_of_terminal_job"]["rows"]) == 100


def test_an_unexplained_poison_message_is_a_violation_once_it_is_old(api: Client, world: World) -> None:
    queue = f"{world.settings.tasks_queue}-poison"
    world.queues.queues[queue] = [Stored("?", time.monotonic())]
    assert api.get("/api/db/invariants").json()["total_violations"] == 0
    world.rows("UPDATE app.poison_queue_sightings SET seen_at = now() - interval '5 minutes' RETURNING 1")
    assert api.get("/api/db/invariants").json()["total_violations"] == 1
    world.queues.queues[queue] = []
    assert api.get("/api/db/invariants").json()["total_violations"] == 0
    assert world.rows("SELECT * FROM app.poison_queue_sightings") == []


def test_poison_messages_that_no_look_shows_are_a_violation_too(api: Client, world: World) -> None:
    """A row explains each of the 32 that the service shows; of the others nobody knows."""
    queue = f"{world.settings.tasks_queue}-poison"
    for _ in range(32):
        message = Stored("?", time.monotonic())
        world.queues.queues.setdefault(queue, []).append(message)
        world.rows(
            "SELECT app.record_poison(%s, %s, 'test', '?', 1, 5,"
            " NULL, NULL, NULL, NULL, NULL, '', 'recorded')",
            queue,
            message.message_id,
        )
    long_ago = "UPDATE app.poison_queue_sightings SET seen_at = now() - interval '5 minutes' RETURNING 1"
    api.get("/api/db/invariants")
    world.rows(long_ago)
    assert api.get("/api/db/invariants").json()["total_violations"] == 0
    world.queues.queues[queue].append(Stored("?", time.monotonic()))
    assert api.get("/api/db/invariants").json()["total_violations"] == 0
    world.rows(long_ago)
    body = api.get("/api/db/invariants").json()
    [violated] = [i for i in body["invariants"] if i["count"]]
    assert violated["name"] == "invariant_8_unexplained_poison"
    [row] = violated["rows"]
    assert (row["queue"], row["message_id"]) == (queue, "more than the 32 that the queue service shows")


def test_poison_messages_are_counted_by_queue_and_reason(api: Client, world: World) -> None:
    for body in ("{", "[]", "{", "null"):
        world.send(world.settings.tasks_queue, body)
    world.send(world.settings.jobs_queue, "?")
    world.pump()
    body = api.get("/api/monitor/poison").json()
    assert body["total"] == 5
    assert body["by_queue"] == {world.settings.jobs_queue: 1, world.settings.tasks_queue: 4}
    assert sum(group["count"] for group in body["by_reason"]) == 5
    assert body["newest"][0]["raw"] == "null"
    assert len(api.get("/api/monitor/poison?limit=2").json()["newest"]) == 2


def test_the_debug_document_holds_everything_in_parts(api: Client, world: World) -> None:
    done(api, world, n=3, fail_fraction=1.0, on_failure="continue")
    api.post("/api/jobs/submit/hello_world", {"n": 5})
    body = api.get("/api/db/debug/all?limit=2").json()
    assert body["invariants"] == dict.fromkeys(body["invariants"], 0)
    assert [job["status"] for job in body["live_jobs"]] == ["queued"]
    assert len(body["failed_tasks"]) == 2
    assert len(body["newest_events"]) == 2
    assert body["migrations"]["pending"] == []
    assert {"stats", "running_tasks", "oldest_dispatches", "poison"} <= set(body)


@pytest.mark.parametrize("operation", MORE)
def test_schema_operations_need_the_setting_and_the_confirmation(
    api: Client, make_api: MakeApi, operation: str
) -> None:
    allowed, _ = make_api(allow_destructive_schema_operations=True)
    for client, url in (
        (api, MORE[operation]),
        (allowed, MORE[operation].split("?")[0]),
        (allowed, MORE[operation].replace("yes", "no")),
    ):
        answer = client.post(url)
        assert (answer.status, answer.json()["type"]) == (403, "urn:problem:forbidden"), url
    assert api.get("/api/readyz").status == 200


def test_schema_operations_ask_for_the_admin_key(api: Client) -> None:
    levels = {route.template: route.auth_level.lower() for route in api.routes}
    assert {levels.pop(f"db/schema/{operation}") for operation in MORE} == {"admin"}
    open_to_all = ("livez", "readyz", "openapi.json", "docs", "docs/{file}", "dashboard/{*path}")
    assert {levels.pop(route) for route in open_to_all} == {"anonymous"}
    assert set(levels.values()) == {"function"}


def test_a_schema_is_dropped_made_anew_and_works_again(make_api: MakeApi) -> None:
    api, world = make_api(allow_destructive_schema_operations=True)
    done(api, world, n=1)
    dropped = api.post(MORE["nuke"]).json()
    assert {"table jobs", "view stage_progress", "function submit_job", "type job_status"} <= set(
        dropped["dropped"]
    )
    assert dropped["made"] == []
    assert api.get("/api/db/jobs").status == 503
    health = api.get("/api/health")
    assert (health.status, health.json()["checks"]["migrations"]["status"]) == (503, "failed")
    assert "migrations/0001_core.sql" in health.json()["checks"]["migrations"]["pending"]
    made = api.post(MORE["migrate"]).json()
    assert "migrations/0001_core.sql" in made["made"]
    assert api.post(MORE["migrate"]).json()["made"] == []
    job_id = done(api, world, n=2)
    assert api.get(f"/api/jobs/status/{job_id}").json()["status"] == "completed"
    again = api.post(MORE["redeploy"]).json()
    assert set(again["dropped"]) == set(again["made"]) == set(dropped["dropped"])
    for answer in (dropped, made, again):
        SchemaChange.model_validate(answer)
    assert api.get("/api/db/stats").json()["jobs"]["total"] == 0
    assert api.get("/api/health").status == 200


def test_a_healthy_app_says_so_check_by_check(api: Client, world: World) -> None:
    answer = api.get("/api/health")
    body = answer.json()
    assert (answer.status, body["status"]) == (200, "healthy"), body
    assert list(body["checks"]) == ["database", "migrations", "queues", "blob", "poison", "catalog"]
    assert all(check["status"] == "ok" and check["duration_ms"] >= 0 for check in body["checks"].values())
    assert body["checks"]["queues"]["messages"] == {
        world.settings.jobs_queue: 0,
        world.settings.tasks_queue: 0,
    }
    assert body["checks"]["poison"]["recorded"] == 0
    # Nothing but the STAC API needs one.
    assert body["checks"]["catalog"]["pgstac"] is None
    assert body["checks"]["catalog"]["note"] == "not set up: run the job stac_setup"
    assert body["versions"]["python"].startswith("3.")
    assert "127.0.0.1" not in answer.text()


def test_health_tells_what_calls_are_kept_from(
    api: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = {"state": "closed", "failures": 0, "open_until": None}
    assert api.get("/api/health").json()["breakers"] == [
        {"dependency": dependency, **closed} for dependency in ("blob", "pgstac")
    ]

    def unreachable(*_: object) -> None:
        raise ServiceUnavailable("storage cannot be reached: https://account.blob.core.windows.net")

    with monkeypatch.context() as outage:
        outage.setattr(type(world.blobs), "read", unreachable)
        outage.setattr(type(world.blobs), "ping", unreachable)
        with pytest.raises(ServiceUnavailable):
            world.guarded.read("bronze", "a.tif")
    answer = api.get("/api/health")
    breaker, other = answer.json()["breakers"]
    assert (other["dependency"], other["state"]) == ("pgstac", "closed")
    assert (breaker["dependency"], breaker["state"], breaker["failures"]) == ("blob", "open", 1)
    assert datetime.fromisoformat(breaker["open_until"]) > datetime.now(UTC) - timedelta(seconds=1)
    assert (answer.status, answer.json()["checks"]["blob"]["status"]) == (200, "ok"), (
        "storage is asked itself"
    )
    assert "account" not in answer.text()


def test_each_service_that_fails_is_named_without_its_address(
    api: Client, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise ServiceUnavailable(
            "storage cannot be reached: https://account.blob.core.windows.net?sig=hunter2"
        )

    def missing(_: object, queue: str) -> int:
        if queue.endswith("-poison"):
            raise NotFound("no such queue")
        return 0

    monkeypatch.setattr(type(world.blobs), "ping", unreachable)
    monkeypatch.setattr(type(world.queues), "length", missing)
    answer = api.get("/api/health")
    checks = answer.json()["checks"]
    assert answer.status == 503
    assert [name for name, check in checks.items() if check["status"] != "ok"] == ["blob"]
    assert checks["blob"]["error"] == "Service unavailable"
    assert "hunter2" not in answer.text()


def test_a_check_that_hangs_is_given_up(api: Client, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triggers.http.health.CHECK_SECONDS", 0.3)
    released, over = threading.Event(), threading.Event()

    def hang(_: object) -> None:
        released.wait(60)
        over.set()

    monkeypatch.setattr(type(world.blobs), "ping", hang)
    answer = api.get("/api/health")
    assert not over.is_set(), "the answer waited for the check"
    released.set()
    assert (answer.status, answer.json()["checks"]["blob"]["status"]) == (503, "failed")
    assert "no answer within" in answer.json()["checks"]["blob"]["error"]


def test_alive_does_not_ask_the_database_and_ready_does(make_api: MakeApi) -> None:
    api, _ = make_api()
    assert (api.get("/api/livez").status, api.get("/api/readyz").json()) == (200, {"status": "ready"})
    lost, _ = make_api(
        database_url=SecretStr("postgresql://nobody@127.0.0.1:1/nowhere"), database_timeout_seconds=1
    )
    assert lost.get("/api/livez").status == 200
    answer = lost.get("/api/readyz")
    assert (answer.status, answer.json()["status"]) == (503, "not ready")
    assert lost.get("/api/health").status == 503
    assert lost.get("/api/health").json()["checks"]["blob"]["status"] == "ok"


def test_ready_asks_the_database_once_however_often_it_is_asked(
    api: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Schema] = []
    state = Schema.state

    def counted(schema: Schema) -> dict[str, object]:
        asked.append(schema)
        return state(schema)

    monkeypatch.setattr(Schema, "state", counted)
    for _ in range(20):
        assert api.get("/api/readyz").status == 200
    assert len(asked) == 1
