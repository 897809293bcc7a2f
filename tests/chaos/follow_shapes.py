"""Jobs that are told of, followed, and submitted by the clock, and what must come of it, once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from local.stack.ports import LOOPBACK
from tests.chaos.crash_harness import CrashHost
from tests.chaos.crash_shape import Shape, squares, total

URL = "url"
"""Under this name a host's notes have the receiver's address, and under the next what it received."""
RECEIVED = "received"
NEXT = "after"
TICKS = "SELECT * FROM app.schedule_ticks WHERE name = %s"
RUNS = "SELECT job_id, run, status FROM app.jobs WHERE parameters ->> 'label' = %s"


@contextmanager
def listening() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    """A receiver of callbacks, and the events that it has received."""
    received: list[dict[str, Any]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append({**json.loads(body), "webhook-id": self.headers["webhook-id"]})
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as its base calls it
            pass

    server = ThreadingHTTPServer((LOOPBACK, 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1], received
    finally:
        server.shutdown()


def _label(host: CrashHost, job_id: str) -> str:
    return str(host.job(job_id)["parameters"]["label"])


def ask_to_be_told(host: CrashHost, job_id: str) -> None:
    """Ask for the job again, to be told of it; whoever got no answer asks once more."""
    asked = {"job_type": "crash_two", "parameters": {"n": 1, "label": _label(host, job_id)}}
    host.post("/jobs/submit", (200, 202), {**asked, "callback_url": host.notes[URL]})
    host.until(lambda: _told(host, job_id), "the end is told", firing="deliver_callbacks")


def _told(host: CrashHost, job_id: str) -> list[dict[str, Any]]:
    return [
        event
        for event in host.notes[RECEIVED]
        if event["subject"] == job_id and event["type"].endswith(".job.completed")
    ]


def told(host: CrashHost, job_id: str) -> bool:
    """All that is written is delivered; what came twice came under the same name."""
    rows = host.rows("SELECT event_id, delivered_at FROM app.callbacks WHERE job_id = %s", job_id)
    host.until(
        lambda: (
            not host.rows("SELECT 1 FROM app.callbacks WHERE job_id = %s AND delivered_at IS NULL", job_id)
        ),
        "all is noted",
        firing="deliver_callbacks",
    )
    names = {event["id"] for event in host.notes[RECEIVED] if event["subject"] == job_id}
    assert names == {row["event_id"] for row in rows}
    assert len({event["webhook-id"] for event in _told(host, job_id)}) == 1
    return len({row["event_id"] for row in rows}) == len(rows)


def ask_for_more(host: CrashHost, job_id: str) -> None:
    """Ask for the job again, and for another one after it."""
    label = _label(host, job_id)
    then = {
        "job_type": "crash_two",
        "parameters": {"n": {"$from": "/parameters/n"}, "label": f"{NEXT} {label}"},
    }
    asked = {"job_type": "crash_two", "parameters": {"n": 1, "label": label}, "then": then}
    host.post("/jobs/submit", (200, 202), asked)
    host.until(lambda: host.rows(RUNS, f"{NEXT} {label}"), "another follows", firing="follow_up")


def followed(host: CrashHost, job_id: str) -> bool:
    """One run followed, and has completed."""
    [follower] = host.rows("SELECT state, next_job_id FROM app.followers WHERE job_id = %s", job_id)
    [row] = host.rows(RUNS, f"{NEXT} {_label(host, job_id)}")
    assert (row["run"], row["job_id"]) == (1, follower["next_job_id"])
    return bool(follower["state"] == "submitted" and row["status"] == "completed")


def schedule(host: CrashHost, job_id: str) -> None:
    """A tick has come that asks for another job."""
    parameters = json.dumps({"n": 1, "label": f"{NEXT} {_label(host, job_id)}"})
    host.execute(
        "INSERT INTO app.schedules (name, cron, time_zone, job_type, parameters, next_at)"
        " VALUES (%s, '0 0 1 1 *', 'UTC', 'crash_two', %s, date_trunc('minute', now()))",
        *(job_id[:60], parameters),
    )
    host.until(lambda: host.rows(TICKS, job_id[:60]), "it has ticked", firing="follow_up")


def ticked(host: CrashHost, job_id: str) -> bool:
    """One tick, one run, which has completed."""
    [tick] = host.rows(TICKS, job_id[:60])
    [row] = host.rows(RUNS, f"{NEXT} {_label(host, job_id)}")
    assert (tick["job_id"], tick["run"], row["run"]) == (row["job_id"], 1, 1)
    return bool(row["status"] == "completed")


def _shape(**options: Any) -> Shape:
    return Shape(
        "crash_two",
        {"n": 1},
        results=lambda label: squares(1) | squares(1, stage=2),
        result=total(1),
        **options,
    )


FOLLOW_SHAPES = {
    "told": _shape(act=ask_to_be_told, verify=told),
    "followed": _shape(act=ask_for_more, verify=followed),
    "ticked": _shape(act=schedule, verify=ticked),
}
