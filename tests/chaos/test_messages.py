"""Queues that repeat, reorder, delay and lose, and 10,000 messages of no sense, through the running app."""

from __future__ import annotations

import base64
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice

import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueClient

from tests.doubles.fuzzed_messages import MARKER, fuzzed, understood
from tests.fix_app import App, MakeApp, until

from .checks import Load, audit, check, report

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

FUZZED = 10_000
SENDERS = 8
SECONDS = 45
LONGEST_DELAY = 15
TABLES = ("tasks", "stage_items", "stage_counters", "outbox", "job_events", "stages", "jobs")


@contextmanager
def queue_clients(app: App) -> Iterator[dict[str, QueueClient]]:
    """Clients of both queues that leave messages as they are."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                QueueClient.from_connection_string(app.storage, name, api_version="2025-11-05")
            )
            for name in (app.jobs_queue, app.tasks_queue)
        }


class Trouble:
    """Takes messages out of the queues, and puts them back several times, later, or not at all."""

    def __init__(self, app: App, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self._app = app
        self._random = random.Random(seed)

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Until the block ends."""
        over = threading.Event()
        thread = threading.Thread(target=self._meddle, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(60)

    def _meddle(self, over: threading.Event) -> None:
        with queue_clients(self._app) as queues:
            while not over.wait(0.01):
                queue = self._random.choice(list(queues.values()))
                with suppress(HttpResponseError):
                    for message in queue.receive_messages(max_messages=8, visibility_timeout=600):
                        self._maltreat(queue, message.content)
                        queue.delete_message(message)

    def _maltreat(self, queue: QueueClient, content: str) -> None:
        fate = self._random.choice(("lost", "late", "repeated", "repeated late"))
        self.done[fate] += 1
        if fate == "lost":
            return
        for _ in range(3 if "repeated" in fate else 1):
            delay = self._random.randint(1, LONGEST_DELAY) if "late" in fate else 0
            queue.send_message(content, visibility_timeout=delay)


@pytest.mark.parametrize("seed", [1, 2])
def test_messages_that_are_repeated_reordered_delayed_and_lost(make_app: MakeApp, seed: int) -> None:
    app = make_app(RUN_AT_ONCE_SECONDS="0")
    audit(app)
    load, trouble = Load(app, seed=100 + seed, pause_seconds=0.3), Trouble(app, seed)
    with load.going_on(), trouble.going_on():
        time.sleep(SECONDS)
    assert load.wrong == []
    assert set(trouble.done) == {"lost", "late", "repeated", "repeated late"}
    found = check(app, load.expected)
    # The late ones find everything over.
    until(lambda: _waiting(app) == 0, 60, app.tail)
    assert check(app, load.expected) == found
    assert app.get("/monitor/poison").json()["total"] == 0
    report(f"messages_maltreated_{seed}", faults=trouble.done, jobs=found)


def test_messages_of_ended_repeated_and_deleted_jobs(make_app: MakeApp) -> None:
    app = make_app(RUN_AT_ONCE_SECONDS="0")
    audit(app)
    jobs = [app.submit("hello_world", n=20, name=f"late {i}", sleep_seconds=0.1) for i in range(9)]
    for job_id in jobs:
        assert app.wait(job_id)["status"] == "completed"
    ended, again, deleted = jobs[:3], jobs[3:6], jobs[6:]
    for job_id in again:
        assert app.http.post(f"/jobs/{job_id}/rerun").status_code == 202
    for table in TABLES:
        app.rows(f"DELETE FROM app.{table} WHERE job_id = ANY (%s) RETURNING 1", deleted)
    _send_late(app, jobs)
    found = check(app, dict.fromkeys(ended + again, "completed"))
    until(lambda: _waiting(app) == 0, 120, app.tail)
    second = app.rows("SELECT DISTINCT attempt FROM app.tasks WHERE job_id = ANY (%s) AND run = 2", again)
    assert [row["attempt"] for row in second] == [1]
    for table in TABLES:
        assert app.rows(f"SELECT 1 FROM app.{table} WHERE job_id = ANY (%s)", deleted) == []
    assert app.get("/monitor/poison").json()["total"] == 0
    assert "not processed" not in app.log.read_text(errors="replace")
    assert app.violations() == 0
    report("messages_late", faults={"late message": len(jobs) * 5 * 4}, jobs=found)


def _send_late(app: App, jobs: list[str]) -> None:
    """Messages as their first run had them, of stages that were and of some that were not."""
    with queue_clients(app) as queues:
        for job_id in jobs:
            for stage in range(1, 6):
                message = {"job_id": job_id, "run": 1, "stage": stage}
                _put(queues[app.jobs_queue], json.dumps(message))
                for first, last in ((0, 0), (5, 19), (0, 40)):
                    _put(queues[app.tasks_queue], json.dumps({**message, "first": first, "last": last}))


def test_ten_thousand_fuzzed_messages_are_recorded_and_block_nothing(make_app: MakeApp) -> None:
    app = make_app(RUN_AT_ONCE_SECONDS="0")
    audit(app)
    texts = list(islice(fuzzed(random.Random(7)), FUZZED))
    began = time.monotonic()
    with queue_clients(app) as queues, ThreadPoolExecutor(SENDERS) as pool:
        clients = (queues[app.jobs_queue], queues[app.tasks_queue])
        list(pool.map(lambda i: clients[i % 2].send_message(texts[i]), range(FUZZED)))
    behind = [app.submit("hello_world", n=20, sleep_seconds=0.1, name=f"behind {i}") for i in range(5)]
    waited = time.monotonic()
    found = check(app, dict.fromkeys(behind, "completed"), 400)
    waited = time.monotonic() - waited
    until(lambda: _waiting(app) == 0, 400, app.tail)
    unreadable = sum(not understood(text, of_tasks=i % 2 == 1) for i, text in enumerate(texts))
    [recorded] = app.rows(
        "SELECT count(*) AS n, count(DISTINCT message_id) AS messages, max(length(raw)) AS longest,"
        " count(*) FILTER (WHERE queue LIKE '%-poison') AS given_up FROM app.poison_messages"
    )
    assert (recorded["n"], recorded["messages"], recorded["given_up"]) == (unreadable, unreadable, 0)
    assert recorded["longest"] <= 1000
    assert MARKER not in app.log.read_text(errors="replace")
    assert app.violations() == 0
    report(
        "messages_fuzzed",
        faults={"recorded": unreadable, "ignored": FUZZED - unreadable},
        jobs=found,
        job_behind_them_seconds=round(waited, 1),
        seconds=round(time.monotonic() - began, 1),
    )


def _put(queue: QueueClient, body: str) -> None:
    queue.send_message(base64.b64encode(body.encode()).decode())


def _waiting(app: App) -> int:
    """Messages that lie in the queues, those that are invisible included."""
    with queue_clients(app) as queues:
        return sum(queue.get_queue_properties().approximate_message_count or 0 for queue in queues.values())
