"""Jobs, tasks and events as lists."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from interfaces.plans import StageDefinition
from tests.doubles.workflows import ScriptedJob, task_type
from tests.fix_engine import World
from tests.unit.triggers.http_client import Client


def pages(api: Client, url: str, name: str) -> list[list[dict[str, Any]]]:
    """Every page of a listing, by its links."""
    found, following = [], url
    while following:
        answer = api.get(following)
        assert answer.status == 200, answer.text()
        body = answer.json()
        assert body["count"] == len(body[name])
        found.append(body[name])
        following = body["links"]["next"]
        assert (body["next_cursor"] is None) == (following is None)
        assert ("Link" in answer.headers) == (following is not None)
    return found


@pytest.fixture
def jobs(api: Client, world: World) -> dict[str, str]:
    """A completed job, one with errors, a failed one and one that waits; by what they are, oldest first."""
    made = {
        "completed": {"n": 3},
        "completed_with_errors": {"n": 4, "fail_fraction": 0.5, "on_failure": "continue"},
        # Slow enough to travel one by one: the first failure cancels the other.
        "failed": {"n": 2, "fail_fraction": 1.0, "sleep_seconds": 0.06},
    }
    ids = {}
    for status, parameters in made.items():
        ids[status] = api.post("/api/jobs/submit/hello_world", parameters).json()["job_id"]
        assert world.run(ids[status])["status"] == status
    ids["queued"] = api.post("/api/jobs/submit/hello_world", {"n": 9}).json()["job_id"]
    return ids


def test_jobs_are_listed_newest_first_whatever_the_page_size(api: Client, jobs: dict[str, str]) -> None:
    newest_first = list(reversed(jobs.values()))
    for limit in (1, 2, 3, 4, 1000):
        listed = pages(api, f"/api/db/jobs?limit={limit}", "jobs")
        assert [job["job_id"] for page in listed for job in page] == newest_first
        assert {len(page) for page in listed[:-1]} <= {limit}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("status=failed", ["failed"]),
        ("status=queued,completed", ["queued", "completed"]),
        ("type=hello_world&status=completed_with_errors", ["completed_with_errors"]),
        ("type=list_container", []),
        ("stage=2", ["completed_with_errors", "completed"]),
        ("stage=1", ["queued", "failed"]),
        ("hours=1", ["queued", "failed", "completed_with_errors", "completed"]),
        ("hours=0.25&stage=2", ["completed_with_errors", "completed"]),
    ],
)
def test_jobs_are_filtered(api: Client, jobs: dict[str, str], query: str, expected: list[str]) -> None:
    for limit in (1, 100):
        listed = pages(api, f"/api/db/jobs?{query}&limit={limit}", "jobs")
        assert [job["status"] for page in listed for job in page] == expected


def test_listed_jobs_have_the_progress_that_their_status_has(api: Client, jobs: dict[str, str]) -> None:
    for listed in api.get("/api/db/jobs").json()["jobs"]:
        assert listed["progress"] == api.get(f"/api/jobs/status/{listed['job_id']}").json()["progress"]


def test_jobs_of_long_ago_are_found_again_after_they_changed(
    api: Client, world: World, jobs: dict[str, str]
) -> None:
    world.rows(
        "UPDATE app.jobs SET created_at = now() - interval '9 days', updated_at = now() - interval '5 hours'"
        " WHERE job_id = %s RETURNING 1",
        jobs["completed"],
    )
    ids = {job["job_id"] for job in api.get("/api/db/jobs?hours=4").json()["jobs"]}
    assert ids == set(jobs.values()) - {jobs["completed"]}
    assert jobs["completed"] in {job["job_id"] for job in api.get("/api/db/jobs?hours=6").json()["jobs"]}


def test_one_job_is_shown_with_its_parameters_and_stages(api: Client, jobs: dict[str, str]) -> None:
    body = api.get(f"/api/db/jobs/{jobs['completed_with_errors']}").json()
    assert body["parameters"]["n"] == 4
    assert body["stages"][0]["progress"]["failed"] == 2
    assert body["stages"][0]["on_failure"] == "continue"
    assert body["links"]["events"] == f"/api/db/events/{body['job_id']}"


def test_tasks_of_all_jobs_are_listed_job_by_job(api: Client, jobs: dict[str, str]) -> None:
    expected = [
        *[(jobs["failed"], 1, index) for index in range(2)],
        *[(jobs["completed_with_errors"], 1, index) for index in range(4)],
        *[(jobs["completed_with_errors"], 2, index) for index in range(2)],
        *[(jobs["completed"], stage, index) for stage in (1, 2) for index in range(3)],
    ]
    for limit in (1, 3, 5, 1000):
        listed = pages(api, f"/api/db/tasks?limit={limit}", "tasks")
        found = [(t["job_id"], t["stage"], t["task_index"]) for page in listed for t in page]
        assert found == expected


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("status=failed", 3),
        ("status=completed", 10),
        ("status=completed,failed", 13),
        ("type=hello_reply", 5),
        ("stage=1&status=completed", 5),
        ("hours=1", 14),
        ("type=hello_mars", 0),
    ],
)
def test_tasks_are_filtered(api: Client, jobs: dict[str, str], query: str, count: int) -> None:
    for limit in (2, 1000):
        assert sum(map(len, pages(api, f"/api/db/tasks?{query}&limit={limit}", "tasks"))) == count


def test_tasks_that_ended_long_ago_are_left_out_by_hours(
    api: Client, world: World, jobs: dict[str, str]
) -> None:
    world.rows(
        "UPDATE app.tasks SET completed_at = now() - interval '3 hours' WHERE job_id = %s RETURNING 1",
        jobs["completed"],
    )
    world.rows(
        "UPDATE app.jobs SET completed_at = now() - interval '3 hours' WHERE job_id = %s RETURNING 1",
        jobs["failed"],
    )
    listed = {task["job_id"] for task in api.get("/api/db/tasks?hours=2").json()["tasks"]}
    assert listed == {jobs["completed_with_errors"]}


def test_tasks_of_one_job_tell_what_was_tried(api: Client, jobs: dict[str, str]) -> None:
    url = f"/api/db/tasks/{jobs['completed_with_errors']}"
    listed = pages(api, f"{url}?limit=4", "tasks")
    assert [len(page) for page in listed] == [4, 2]
    failed = api.get(f"{url}?status=failed").json()["tasks"][0]
    assert failed["task_id"] == f"{failed['job_id']}-1-1-{failed['task_index']}"
    assert (failed["task_type"], failed["attempt"]) == ("hello_greeting", 1)
    assert "asked to fail" in failed["error"]
    assert failed["duration_seconds"] >= 0
    assert api.get(f"{url}?type=hello_reply&stage=1").json()["count"] == 0


def test_each_attempt_of_a_task_is_told_with_its_error_and_duration(api: Client, world: World) -> None:
    def flaky(p: dict[str, Any], c: Any) -> dict[str, Any]:
        if c.attempt == 1:
            raise ConnectionError("reset")
        return {"running": api.get(f"/api/db/tasks/{c.job_id}").json()["tasks"][0]["attempts"]}

    world.register(ScriptedJob("job", [StageDefinition("a", "flaky")]), task_type("flaky", flaky))
    job_id = world.submit("job").job_id
    world.run(job_id)
    [task] = api.get(f"/api/db/tasks/{job_id}").json()["tasks"]
    first, second = task["attempts"]
    assert (first["attempt"], first["outcome"], first["error"]) == (1, "retry", "ConnectionError: reset")
    assert (second["attempt"], second["outcome"], second["error"]) == (2, "completed", None)
    [result] = api.get(f"/api/jobs/{job_id}/results").json()["results"]
    now = result["result"]["running"][1]
    assert (now["outcome"], now["ended_at"], now["started_at"]) == ("processing", None, second["started_at"])
    for attempt in (first, second):
        started, ended = map(datetime.fromisoformat, (attempt["started_at"], attempt["ended_at"]))
        assert started.tzinfo is not None
        assert attempt["worker"] == world.engine.worker
        assert attempt["seconds"] == pytest.approx((ended - started).total_seconds(), abs=0.01)


def test_tasks_of_an_earlier_run_stay_readable(api: Client, world: World, jobs: dict[str, str]) -> None:
    job_id = jobs["completed"]
    api.post(f"/api/jobs/{job_id}/rerun")
    assert api.get(f"/api/db/tasks/{job_id}").json()["count"] == 0
    assert api.get(f"/api/db/tasks/{job_id}?run=1").json()["count"] == 6


def test_events_are_the_history_of_the_job_in_order(api: Client, world: World, jobs: dict[str, str]) -> None:
    listed = pages(api, f"/api/db/events/{jobs['completed']}?limit=2", "events")
    events = [event for page in listed for event in page]
    assert [event["event"] for event in events] == world.events(jobs["completed"])
    assert (events[0]["event"], events[-1]["event"]) == ("submitted", "job_completed")
    ranges = [r for event in events if event["event"] == "tasks_completed" for r in event["tasks"]]
    assert sorted(index for first, last in ranges for index in range(first, last + 1)) == [0, 0, 1, 1, 2, 2]
    assert events[0]["at"].endswith("+00:00")
