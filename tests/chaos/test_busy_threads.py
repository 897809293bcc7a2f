"""Every place for a handler is taken for longer than a minute: everything else goes on as if none were."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from local.functions_host.host_json import load_host_json
from tests.fix_app import App, MakeApp, until
from tests.fix_stack import CHECKOUT

from .checks import audit, check, every, report

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

WORKERS = 2
SLEEP_SECONDS = 100
BUSY_SECONDS = 65
ANSWER_SECONDS = 5.0
"""What a machine with two cores, which runs all of it and the test, may take for an answer."""
TIMERS = {"relay_outbox": 5, "reconcile": 15}
EXECUTED = re.compile(r"Executed 'Functions\.(\w+)' \(Succeeded, Id=[\w-]+, Duration=(\d+)ms\)")


def running(app: App, job_id: str) -> int:
    [row] = app.rows(
        "SELECT count(*) AS n FROM app.tasks WHERE job_id = %s AND status = 'processing'", job_id
    )
    return int(row["n"])


def timed(call: Callable[[], httpx.Response], status: int) -> float:
    began = time.monotonic()
    answer = call()
    assert answer.status_code == status, answer.text
    return time.monotonic() - began


def executions(app: App, since: int) -> dict[str, list[float]]:
    """How long each run of a timer took, in seconds, that ended after this many characters of the log."""
    found: dict[str, list[float]] = {name: [] for name in TIMERS}
    for name, milliseconds in EXECUTED.findall(app.log.read_text(errors="replace")[since:]):
        if name in found:
            found[name].append(int(milliseconds) / 1000)
    return found


def test_everything_else_goes_on_while_every_handler_is_busy(make_app: MakeApp) -> None:
    queues = load_host_json(CHECKOUT / "host.json").queues
    places = WORKERS * (queues.batch_size + queues.new_batch_threshold)
    # With the default leases, so that the timers have nothing else to do.
    app = make_app("--workers", str(WORKERS), LEASE_SECONDS="30", HEARTBEAT_SECONDS="10")
    audit(app)
    long = app.submit("hello_world", n=3 * places, sleep_seconds=SLEEP_SECONDS, name="long")
    until(lambda: running(app, long) == places, 30, app.tail)
    since, began = len(app.log.read_text(errors="replace")), time.monotonic()
    took: dict[str, list[float]] = {"livez": [], "submit": [], "cancel": [], "small job": []}

    def person(number: int) -> None:
        parameters: dict[str, Any] = {"n": 5, "name": f"small {number}"}
        took["livez"].append(timed(lambda: app.http.get("/livez"), 200))
        took["submit"].append(timed(lambda: app.http.post("/jobs/submit/hello_world", json=parameters), 202))
        began = time.monotonic()
        small = app.submit("hello_world", **parameters)
        expected[small] = app.wait(small, 30)["status"]
        took["small job"].append(time.monotonic() - began)
        other = app.submit("hello_world", n=10, sleep_seconds=SLEEP_SECONDS, name=f"other {number}")
        took["cancel"].append(timed(lambda: app.http.post(f"/jobs/{other}/cancel"), 202))
        expected[other] = app.wait(other, 30)["status"]

    expected: dict[str, str] = {}
    with ThreadPoolExecutor(4) as people:
        asked = [people.submit(person, number) for number in every(lambda: 2, BUSY_SECONDS)]
        for one in asked:
            one.result()
    busy = time.monotonic() - began
    assert running(app, long) == places, "handlers ended: nothing was shown"
    timers = executions(app, since)
    assert set(expected.values()) == {"completed", "cancelled"}
    for name, seconds in took.items():
        assert max(seconds) < ANSWER_SECONDS, (name, seconds)
    for name, period in TIMERS.items():
        assert len(timers[name]) >= int(busy / period) - 1, (name, timers[name], busy)
        assert max(timers[name]) < ANSWER_SECONDS, (name, timers[name])
    [attempts] = app.rows("SELECT max(attempt) AS most FROM app.tasks WHERE job_id = %s", long)
    assert attempts == {"most": 1}

    cancelled = timed(lambda: app.http.post(f"/jobs/{long}/cancel"), 202)
    began = time.monotonic()
    expected[long] = app.wait(long, 60)["status"]
    ended = time.monotonic() - began
    assert cancelled < ANSWER_SECONDS
    # Handlers learn of it at the next heartbeat.
    assert ended < 10 + ANSWER_SECONDS
    found = check(app, expected)
    slowest = {name: round(max(seconds), 2) for name, seconds in (took | timers).items()}
    report(
        "every_handler_busy",
        faults={"handlers busy for a minute": places},
        jobs=found,
        slowest_seconds=slowest,
        cancelled_seconds=round(ended, 2),
    )
