"""Old jobs are counted and removed over HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.fix_engine import World
from tests.integration.engine.retention_scenes import age, left, old, survey
from tests.unit.triggers.http_client import Client

CLEANUP = "/api/db/maintenance/cleanup"
MakeApi = Callable[..., tuple[Client, World]]


@pytest.fixture
def surveyed(make_api: MakeApi) -> tuple[Client, World]:
    """An API with three old jobs and a young one."""
    api, world = make_api(max_inline_result_bytes=1000)
    survey(world)
    for label in ("a", "b", "c"):
        old(world, 40, label=label)
    old(world, 2, label="young")
    return api, world


def test_a_dry_run_is_the_default_and_says_what_would_be_removed(surveyed: tuple[Client, World]) -> None:
    api, world = surveyed
    answer = api.post(CLEANUP, {"older_than_days": 30})
    assert answer.status == 200
    would_be = answer.json()
    assert would_be["events"] > 10
    assert would_be | {"events": 0} == {
        "older_than_days": 30,
        "dry_run": True,
        "jobs": 3,
        "runs": 3,
        "tasks": 12,
        "items": 9,
        "events": 0,
        "blobs": 9,
        "more": False,
    }
    assert api.get("/api/db/jobs").json()["count"] == 4
    removed = api.post(CLEANUP, {"older_than_days": 30, "dry_run": False}).json()
    assert removed == would_be | {"dry_run": False}
    assert [job["status"] for job in api.get("/api/db/jobs").json()["jobs"]] == ["completed"]
    again = api.post(CLEANUP, {"older_than_days": 30, "dry_run": False}).json()
    assert {again[kind] for kind in ("jobs", "runs", "tasks", "items", "events", "blobs")} == {0}
    assert world.violations() == {}


def test_a_removed_job_is_gone_for_every_endpoint_and_can_be_submitted_anew(
    surveyed: tuple[Client, World],
) -> None:
    api, world = surveyed
    job_id = api.post("/api/jobs/submit/survey", {"label": "a"}).json()["job_id"]
    assert api.get(f"/api/jobs/status/{job_id}").json()["status"] == "completed"
    api.post(CLEANUP, {"older_than_days": 30, "dry_run": False})
    for path in ("jobs/status/{}", "jobs/{}/results", "db/jobs/{}", "db/tasks/{}", "db/events/{}"):
        assert api.get(f"/api/{path.format(job_id)}").status == 404, path
    for verb in ("cancel", "retry", "rerun"):
        assert api.post(f"/api/jobs/{job_id}/{verb}").status == 404, verb
    answer = api.post("/api/jobs/submit/survey", {"label": "a"})
    assert (answer.status, answer.json()["job_id"], answer.json()["run"]) == (202, job_id, 2)
    assert world.run(job_id)["status"] == "completed"


def test_a_limit_is_kept_and_more_is_told(surveyed: tuple[Client, World]) -> None:
    api, _ = surveyed
    body: dict[str, object] = {"older_than_days": 30, "limit": 2}
    answers = [api.post(CLEANUP, body | {"dry_run": dry_run}).json() for dry_run in (True, False, False)]
    assert [(answer["jobs"], answer["more"]) for answer in answers] == [(2, True), (2, True), (1, False)]


def test_when_the_time_is_over_the_answer_says_that_there_is_more(
    surveyed: tuple[Client, World], monkeypatch: pytest.MonkeyPatch
) -> None:
    api, _ = surveyed
    monkeypatch.setattr("engine.retention.CLEANUP_SECONDS", -1.0)
    for dry_run in (True, False):
        assert api.post(CLEANUP, {"older_than_days": 30, "dry_run": dry_run}).json()["more"] is True


def test_the_setting_is_the_default_age(make_api: MakeApi) -> None:
    api, world = make_api(retention_days=10)
    job = world.submit("hello_world", n=2)
    world.run(job.job_id)
    age(world, job.job_id, 11)
    answer = api.post(CLEANUP, {"dry_run": False}).json()
    assert (answer["older_than_days"], answer["jobs"]) == (10, 1)
    assert left(world, job.job_id) == {}
    kept, _ = make_api(retention_days=0)
    answer = kept.post(CLEANUP)
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, "older_than_days")
    assert kept.post(CLEANUP, {"older_than_days": 1}).status == 200


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"older_than_days": 0}, "older_than_days"),
        ({"older_than_days": "30"}, "older_than_days"),
        ({"older_than_days": 10**9}, "older_than_days"),
        ({"dry_run": "no"}, "dry_run"),
        ({"dry_run": 0}, "dry_run"),
        ({"limit": 0}, "limit"),
        ({"limit": 1.5}, "limit"),
        ({"job_id": "a" * 64}, "job_id"),
    ],
)
def test_what_cannot_be_understood_is_refused_by_name(
    api: Client, body: dict[str, object], named: str
) -> None:
    answer = api.post(CLEANUP, body)
    assert (answer.status, answer.json()["errors"][0]["field"]) == (400, named)
    assert api.get(CLEANUP).status == 405
