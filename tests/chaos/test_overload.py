"""More than can be done at once: everything waits its turn, and small jobs are not starved by a large one."""

from __future__ import annotations

import json
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.fix_app import TERMINAL, App, MakeApp

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(1800)]

JOBS_AT_ONCE = 2000
SMALL_JOBS = 200
THREADS = 16
STARVED = 5.0
"""Times the time on an idle system that the 95th percentile of small jobs may take beside a large one."""


@pytest.fixture
def app(make_app: MakeApp) -> App:
    """The app with its default settings: by the short periods of other tests, what waits is sent again."""
    return make_app(LEASE_SECONDS="30", HEARTBEAT_SECONDS="10", REDELIVERY_SECONDS="30")


def _submit_all(app: App, parameters: list[dict[str, Any]]) -> list[str]:
    """Submit from several threads at once; every one of them is accepted."""
    clients = threading.local()

    def submit(one: dict[str, Any]) -> str:
        if not hasattr(clients, "http"):
            clients.http = httpx.Client(base_url=f"{app.url}/api", timeout=120)
        answer = clients.http.post("/jobs/submit/hello_world", json=one)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(submit, parameters))


def _until_ended(app: App, job_ids: list[str], seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        [left] = app.rows(
            "SELECT count(*) AS n FROM app.jobs WHERE job_id = ANY (%s) AND completed_at IS NULL", job_ids
        )
        if not left["n"]:
            return
        assert time.monotonic() < end, f"{left['n']} of {len(job_ids)} jobs have not ended in {seconds} s"
        time.sleep(0.2)


def _p95(app: App, job_ids: list[str]) -> float:
    """The 95th percentile of the seconds from submission to end."""
    rows = app.rows(
        "SELECT extract(epoch FROM completed_at - created_at)::float8 AS seconds FROM app.jobs"
        " WHERE job_id = ANY (%s)",
        job_ids,
    )
    return float(statistics.quantiles([row["seconds"] for row in rows], n=20)[-1])


def test_two_thousand_jobs_at_once(app: App) -> None:
    began = time.monotonic()
    jobs = _submit_all(app, [{"n": 10, "name": f"burst {i}"} for i in range(JOBS_AT_ONCE)])
    submitted = time.monotonic() - began
    _until_ended(app, jobs, 300)
    states = app.rows(
        "SELECT j.status, t.status AS task, t.attempt, count(*) AS n"
        " FROM app.jobs j JOIN app.tasks t USING (job_id) WHERE job_id = ANY (%s) GROUP BY 1, 2, 3",
        jobs,
    )
    # Waiting for a connection is no failure: every task took one attempt.
    assert states == [{"status": "completed", "task": "completed", "attempt": 1, "n": JOBS_AT_ONCE * 20}]
    assert app.violations() == 0
    took = time.monotonic() - began
    print(f"{JOBS_AT_ONCE} jobs: submitted in {submitted:.1f} s, done in {took:.1f} s")  # noqa: T201


@pytest.mark.parametrize("sleep", [0.0, 0.05], ids=["brief", "waiting"])
def test_small_jobs_are_not_starved_by_a_large_one(app: App, sleep: float) -> None:
    def small(name: str) -> list[dict[str, Any]]:
        return [{"n": 10, "name": f"{name} {i} {sleep}", "sleep_seconds": sleep} for i in range(SMALL_JOBS)]

    idle = _submit_all(app, small("idle"))
    _until_ended(app, idle, 600)
    large = app.submit("hello_world", n=100_000, name=f"large {sleep}")
    while not app.get(f"/jobs/status/{large}").json()["progress"]["completed"]:
        time.sleep(0.05)
    beside = _submit_all(app, small("beside"))
    still = app.get(f"/jobs/status/{large}").json()["status"]
    _until_ended(app, beside, 600)
    assert app.wait(large, 600)["status"] == "completed"
    p95_idle, p95_beside = _p95(app, idle), _p95(app, beside)
    report = {"sleep": sleep, "p95_idle": p95_idle, "p95_beside": p95_beside, "large_was": still}
    print(json.dumps(report))  # noqa: T201
    assert still not in TERMINAL, "the large job ended before all small ones were there: nothing was shown"
    assert p95_beside <= STARVED * p95_idle
    assert app.violations() == 0
