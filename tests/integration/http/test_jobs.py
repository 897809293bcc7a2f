"""Submit, watch, read and steer jobs over HTTP."""

from __future__ import annotations

import asyncio
import csv
import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from pydantic import SecretStr

from repositories import job_watch
from repositories.job_watch import LOOK_SECONDS, JobWatch
from tests.fix_app import until
from tests.fix_engine import World
from tests.integration.http.conftest import client_of
from tests.unit.triggers.http_client import Answer, Client

NOTHING = dict.fromkeys(("queued", "processing", "completed", "failed", "cancelled", "total"), 0) | {
    "percent": 0.0
}


def submit(api: Client, **parameters: object) -> str:
    answer = api.post("/api/jobs/submit/hello_world", parameters)
    assert answer.status in (200, 202), answer.text()
    return str(answer.json()["job_id"])


def done(api: Client, world: World, **parameters: object) -> str:
    job_id = submit(api, **parameters)
    world.run(job_id)
    return job_id


def test_a_submitted_job_is_accepted_with_where_to_look(api: Client) -> None:
    answer = api.post("/api/jobs/submit/hello_world", {"n": 3}, {"x-correlation-id": "mine-1"})
    body = answer.json()
    assert answer.status == 202
    assert (body["created"], body["run"], body["status"]) == (True, 1, "queued")
    assert answer.headers["Location"] == body["links"]["status"] == f"/api/jobs/status/{body['job_id']}"
    assert answer.headers["Retry-After"] == "1"
    assert answer.headers["x-correlation-id"] == "mine-1"


def test_the_same_submission_again_is_answered_with_the_same_job(api: Client) -> None:
    first = api.post("/api/jobs/submit/hello_world", {"n": 3, "message": "Hello"})
    second = api.post(
        "/api/jobs/submit", {"job_type": "hello_world", "parameters": {"message": "Hello", "n": 3}}
    )
    assert (second.status, second.json()["created"]) == (200, False)
    assert second.json()["job_id"] == first.json()["job_id"]


def test_the_status_tells_stages_counts_result_and_times(api: Client, world: World) -> None:
    job_id = done(api, world, n=5)
    answer = api.get(f"/api/jobs/status/{job_id}")
    body = answer.json()
    assert answer.status == 200
    assert "Retry-After" not in answer.headers
    assert (body["status"], body["stage"], body["total_stages"]) == ("completed", 2, 2)
    assert body["progress"] == NOTHING | {"completed": 10, "total": 10, "percent": 100.0}
    assert [(s["stage_key"], s["progress"]["percent"]) for s in body["stages"]] == [
        ("greet", 100.0),
        ("reply", 100.0),
    ]
    assert body["stages"][0]["result"]["successful_tasks"] == 5
    assert body["result"]
    assert body["error"] is None
    assert body["timings"]["completed_at"].endswith("+00:00")
    assert body["timings"]["duration_seconds"] >= 0


def test_the_status_of_a_job_in_the_middle_shows_how_far_it_is(api: Client, world: World) -> None:
    job_id = submit(api, n=4, sleep_seconds=1)
    waiting = api.get(f"/api/jobs/status/{job_id}")
    assert waiting.headers["Retry-After"] == "1"
    assert (waiting.json()["stages"], waiting.json()["progress"]["percent"]) == ([], 0.0)
    world.deliver(world.queues.receive(world.settings.jobs_queue), world.settings.jobs_queue)  # type: ignore[arg-type]
    planned = api.get(f"/api/jobs/status/{job_id}").json()
    assert (planned["status"], planned["stage"]) == ("processing", 1)
    assert planned["stages"][0]["progress"] == NOTHING | {"queued": 4, "total": 4}


END_LISTENERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%LISTEN app_job_ended'
"""


@dataclass
class Looks:
    """What the watch asked PostgreSQL, and whom it told."""

    done: int = 0
    by_the_clock: list[float] = field(default_factory=list)
    """When each look of the watch's own thread began."""
    told: dict[str, float] = field(default_factory=dict)
    """When who waits for a job was told first."""


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Observes every watch of this test."""
    seen = Looks()
    look, tell = JobWatch._look, JobWatch._tell

    def observed_look(self: JobWatch, job_ids: list[str]) -> None:
        if threading.current_thread() is self._thread:
            seen.by_the_clock.append(time.monotonic())
        look(self, job_ids)
        seen.done += 1

    def observed_tell(self: JobWatch, job_id: str) -> None:
        seen.told.setdefault(job_id, time.monotonic())
        tell(self, job_id)

    monkeypatch.setattr(JobWatch, "_look", observed_look)
    monkeypatch.setattr(JobWatch, "_tell", observed_tell)
    return seen


def wait_and_work(
    api: Client, world: World, jobs: list[str], ready: Callable[[], bool]
) -> tuple[list[Answer], float]:
    """Wait twice for each job, and run them once everybody waits; answers also when all had ended."""

    def work() -> float:
        until(ready, 30)
        for job_id in jobs:
            world.run(job_id)
        return time.monotonic()

    async def together() -> tuple[list[Answer], float]:
        waiting = [
            asyncio.create_task(api.call("GET", f"/api/jobs/status/{job_id}?wait=60"))
            for job_id in jobs + jobs
        ]
        ended = await asyncio.to_thread(work)
        return await asyncio.gather(*waiting), ended

    return asyncio.run(together())


def test_whoever_waits_is_told_by_a_notification_and_nobody_looks(
    make_world: Callable[..., World], database_url: str, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nobody looks by the clock before these waits are over: only a notification can tell.
    monkeypatch.setattr(job_watch, "CHECK_SECONDS", 600)
    monkeypatch.setattr(job_watch, "LOOK_SECONDS", 600)
    world = make_world(database_direct_url=SecretStr(database_url))
    api = client_of(world)
    jobs = [submit(api, n=2, name=str(i)) for i in range(3)]
    # Each of the six looks when it begins to wait, and whoever listens does once.
    answers, _ = wait_and_work(api, world, jobs, lambda: looks.done == 7)
    assert [answer.json()["status"] for answer in answers] == ["completed"] * 6
    assert looks.told.keys() == set(jobs)
    assert looks.done == 7


def test_where_nobody_notifies_the_first_look_after_the_end_tells_everybody(
    make_world: Callable[..., World], looks: Looks
) -> None:
    world = make_world()
    api = client_of(world)
    jobs = [submit(api, n=2, name=str(i)) for i in range(3)]
    answers, ended = wait_and_work(api, world, jobs, lambda: len(looks.by_the_clock) >= 8)
    assert [answer.json()["status"] for answer in answers] == ["completed"] * 6
    assert looks.told.keys() == set(jobs)
    told = max(looks.told.values())
    assert sum(1 for began in looks.by_the_clock if ended < began < told) <= 1
    # The shortest of many, because a busy machine only makes them longer.
    assert min(later - earlier for earlier, later in pairwise(looks.by_the_clock)) < 1.5 * LOOK_SECONDS
    assert LOOK_SECONDS <= 0.1


def test_waiting_goes_on_when_notifications_break(
    make_world: Callable[..., World], database_url: str
) -> None:
    world = make_world(database_direct_url=SecretStr(database_url))
    api = client_of(world)
    job_id = submit(api, n=2)

    def break_notifications() -> None:
        end = time.monotonic() + 20
        while not world.rows(END_LISTENERS):
            assert time.monotonic() < end, "nobody listens"
            time.sleep(0.05)

    async def wait_and_work() -> Answer:
        waiting = asyncio.create_task(api.call("GET", f"/api/jobs/status/{job_id}?wait=60"))
        await asyncio.to_thread(break_notifications)
        await asyncio.to_thread(world.run, job_id)
        return await waiting

    assert asyncio.run(wait_and_work()).json()["status"] == "completed"


def test_waiting_ends_when_the_time_is_over(api: Client) -> None:
    job_id = submit(api, n=2)
    started = time.monotonic()
    answer = api.get(f"/api/jobs/status/{job_id}?wait=0.6")
    assert 0.6 <= time.monotonic() - started < 10
    assert (answer.status, answer.json()["status"]) == (200, "queued")


def test_many_waiters_hold_neither_threads_nor_connections(api: Client, world: World) -> None:
    job_id = submit(api, n=1)

    async def wait_together() -> list[Answer]:
        return await asyncio.gather(
            *(api.call("GET", f"/api/jobs/status/{job_id}?wait=1.5") for _ in range(60))
        )

    started = time.monotonic()
    answers = asyncio.run(wait_together())
    assert {answer.status for answer in answers} == {200}
    assert time.monotonic() - started < 20


def test_results_are_read_page_by_page_of_the_last_stage(api: Client, world: World) -> None:
    job_id = done(api, world, n=7)
    url: str | None = f"/api/jobs/{job_id}/results?limit=3&code=secret"
    rows, pages = [], []
    while url:
        answer = api.get(url)
        body = answer.json()
        rows += body["results"]
        pages.append(body["count"])
        url = body["links"]["next"]
        assert "secret" not in answer.text()
        assert ("Link" in answer.headers) == (url is not None)
    assert pages == [3, 3, 1]
    assert [row["task_index"] for row in rows] == list(range(7))
    assert rows[4]["task_id"] == f"{job_id}-1-2-4"
    assert rows[4]["result"]["greeting"] in rows[4]["result"]["reply"]


def test_results_of_another_stage_and_state_can_be_asked_for(api: Client, world: World) -> None:
    job_id = done(api, world, n=10, fail_fraction=0.3, on_failure="continue")
    everything = api.get(f"/api/jobs/{job_id}/results?stage=1").json()
    failed = api.get(f"/api/jobs/{job_id}/results?stage=1&status=failed").json()
    ended = api.get(f"/api/jobs/{job_id}/results?stage=1&status=failed,completed").json()
    assert (everything["count"], failed["count"], ended["count"]) == (10, 3, 10)
    assert all(row["error"] and row["result"] is None for row in failed["results"])


def test_ndjson_has_a_line_for_each_task(api: Client, world: World) -> None:
    job_id = done(api, world, n=2500)
    answer = api.get(f"/api/jobs/{job_id}/results?format=ndjson")
    assert answer.mimetype == "application/x-ndjson"
    assert "Link" not in answer.headers
    assert [line["task_index"] for line in answer.lines()] == list(range(2500))
    assert 'filename="' + job_id[:12] in answer.headers["Content-Disposition"]


def test_csv_has_a_column_for_each_key_of_the_results(api: Client, world: World) -> None:
    job_id = done(api, world, n=12, message="=cmd()")
    answer = api.get(f"/api/jobs/{job_id}/results?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text())))
    assert answer.mimetype == "text/csv"
    assert len(rows) == 12
    assert {"task_id", "status", "result.greeting", "result.number", "result.reply", "error"} <= set(rows[0])
    assert all(row["result.greeting"].startswith("'=cmd()") for row in rows)


def test_a_limited_download_links_to_the_rest(api: Client, world: World) -> None:
    job_id = done(api, world, n=5)
    first = api.get(f"/api/jobs/{job_id}/results?format=ndjson&limit=3")
    following = first.headers["Link"].split(">")[0].lstrip("<")
    second = api.get(following)
    assert [len(first.lines()), len(second.lines())] == [3, 2]
    assert "Link" not in second.headers


def test_results_of_a_job_that_was_not_planned_yet_are_empty(api: Client) -> None:
    job_id = submit(api, n=5)
    body = api.get(f"/api/jobs/{job_id}/results").json()
    assert (body["stage"], body["results"], body["next_cursor"]) == (None, [], None)
    assert api.get(f"/api/jobs/{job_id}/results?format=csv").text().startswith("task_id,")
    assert api.get(f"/api/jobs/{job_id}/results?format=ndjson").body == b""


def test_a_result_kept_out_of_line_is_shown_with_its_place(api: Client, world: World) -> None:
    job_id = done(api, world, n=2)
    world.rows(
        "UPDATE app.tasks SET result = NULL, result_location ="
        """ '{"url": "https://a/b", "bytes": 2000000, "sha256": "ab"}' WHERE job_id = %s RETURNING 1""",
        job_id,
    )
    row = api.get(f"/api/jobs/{job_id}/results").json()["results"][0]
    assert (row["result"], row["result_url"], row["result_bytes"]) == (None, "https://a/b", 2000000)


def test_a_page_of_large_results_ends_early(api: Client, world: World) -> None:
    job_id = done(api, world, n=40)
    world.rows(
        "UPDATE app.tasks SET result = jsonb_build_object('text', repeat('x', 1000000))"
        " WHERE job_id = %s RETURNING 1",
        job_id,
    )
    indexes: list[int] = []
    url: str | None = f"/api/jobs/{job_id}/results?limit=1000"
    while url:
        answer = api.get(url)
        assert len(answer.body) < 20_000_000
        indexes += [row["task_index"] for row in answer.json()["results"]]
        url = answer.json()["links"]["next"]
    assert indexes == list(range(40))


def test_a_live_job_is_cancelled_once(api: Client, world: World) -> None:
    job_id = submit(api, n=5)
    first, second = api.post(f"/api/jobs/{job_id}/cancel"), api.post(f"/api/jobs/{job_id}/cancel")
    assert (first.status, first.json()["changed"]) == (202, True)
    assert (second.status, second.json()["changed"]) == (200, False)
    world.run(job_id)
    assert api.get(f"/api/jobs/status/{job_id}").json()["status"] == "cancelled"


def test_failed_tasks_are_queued_again_by_a_retry(api: Client, world: World) -> None:
    job_id = done(api, world, n=4, fail_fraction=0.5, on_failure="continue")
    answer = api.post(f"/api/jobs/{job_id}/retry")
    assert (answer.status, answer.json()["tasks_queued"], answer.json()["stage"]) == (202, 2, 1)


def test_a_rerun_starts_the_next_run(api: Client, world: World) -> None:
    job_id = done(api, world, n=2)
    answer = api.post(f"/api/jobs/{job_id}/rerun")
    assert (answer.status, answer.json()["run"], answer.json()["job_id"]) == (202, 2, job_id)
    world.run(job_id)
    again = api.post("/api/jobs/submit/hello_world?rerun=true", {"n": 2})
    assert (again.status, again.json()["run"]) == (202, 3)
    assert api.get(f"/api/jobs/{job_id}/results?run=1").json()["count"] == 2


def test_what_the_state_of_a_job_forbids_is_a_conflict(api: Client, world: World) -> None:
    job_id = done(api, world, n=1)
    for action in ("cancel", "retry"):
        answer = api.post(f"/api/jobs/{job_id}/{action}")
        assert answer.status == 409, action
        assert answer.json()["type"] == "urn:problem:conflict"


def test_job_types_come_with_the_schema_of_their_parameters(api: Client) -> None:
    types = {info["job_type"]: info for info in api.get("/api/jobs/types").json()["job_types"]}
    hello = types["hello_world"]
    assert hello["parameters_schema"]["properties"]["n"]["maximum"] == 1_000_000
    assert hello["parameters_schema"]["additionalProperties"] is False
    assert [stage["key"] for stage in hello["stages"]] == ["greet", "reply"]
    assert hello["links"]["submit"] == "/api/jobs/submit/hello_world"
