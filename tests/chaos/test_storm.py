"""A minute of everything at once: workers killed, queues emptied, connections cut, jobs steered at random."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.queue import QueueClient

from tests.fix_app import TERMINAL, App

from .checks import DRIFTED

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SECONDS = 60
STEER = ("cancel", "retry", "rerun")


class Storm:
    """What is done to the app, and how often."""

    def __init__(self, app: App, seed: int) -> None:
        self.app = app
        self.random = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.jobs: list[str] = []
        self.wrong: list[str] = []
        self.over = threading.Event()

    def submit(self, client: httpx.Client, number: int) -> None:
        """A job that completes, one that fails, or one that is left with errors."""
        parameters: dict[str, Any] = {"n": self.random.choice((1, 20, 100, 1000)), "name": f"job {number}"}
        if self.random.random() < 0.5:
            parameters["sleep_seconds"] = 0.1
        if self.random.random() < 0.3:
            policy = self.random.choice(("fail_job", "continue"))
            parameters |= {"fail_fraction": 0.1, "on_failure": policy}
        answer = client.post("/jobs/submit/hello_world", json=parameters)
        if self.answered(answer):
            self.jobs.append(answer.json()["job_id"])

    def answered(self, answer: httpx.Response) -> bool:
        """A cut connection may make the service unavailable for a moment; nothing else may go wrong."""
        if answer.status_code == 503:
            self.done["unavailable"] += 1
        elif answer.status_code >= 500:
            self.wrong.append(answer.text)
        return answer.status_code < 500

    def users(self) -> None:
        """Submit and steer; a killed worker may cut a connection, and that is all it may do."""
        with httpx.Client(base_url=f"{self.app.url}/api", timeout=30) as client:
            number = 0
            while not self.over.is_set():
                with suppress(httpx.TransportError):
                    if self.random.random() < 0.5 or not self.jobs:
                        number += 1
                        self.submit(client, number)
                        self.done["submit"] += 1
                    else:
                        verb = self.random.choice(STEER)
                        answer = client.post(f"/jobs/{self.random.choice(self.jobs)}/{verb}")
                        self.answered(answer)
                        self.done[verb] += 1
                time.sleep(0.2)

    def faults(self) -> None:
        """A fault every second or so."""
        while not self.over.wait(self.random.uniform(0.5, 2)):
            fault = self.random.choice((self.kill, self.freeze, self.empty_queues, self.cut_connections))
            fault()
            self.done[fault.__name__] += 1

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.random.choice(self.app.workers()), signal.SIGKILL)

    def freeze(self) -> None:
        """Longer than a lease: what the worker writes afterwards must not count."""
        pid = self.random.choice(self.app.workers())
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            time.sleep(4)
            os.kill(pid, signal.SIGCONT)

    def empty_queues(self) -> None:
        for name in (self.app.jobs_queue, self.app.tasks_queue):
            queue = QueueClient.from_connection_string(self.app.storage, name, api_version="2025-11-05")
            with queue, suppress(HttpResponseError):
                queue.clear_messages()

    def cut_connections(self) -> None:
        self.app.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@pytest.mark.parametrize("seed", [1, 2])
def test_nothing_is_lost_doubled_or_stuck_in_a_storm(app: App, seed: int) -> None:
    storm = Storm(app, seed)
    threads = [threading.Thread(target=storm.users), threading.Thread(target=storm.faults)]
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    storm.over.set()
    for thread in threads:
        thread.join(60)
    assert storm.wrong == []
    states = Counter(app.wait(job_id, 240)["status"] for job_id in dict.fromkeys(storm.jobs))
    assert set(states) <= TERMINAL
    assert states["completed"] > 0
    drifted = app.rows(DRIFTED)
    assert drifted == []
    unquoted = app.rows(
        "SELECT r.job_id, r.task_index FROM app.tasks r JOIN app.tasks g USING (job_id, run)"
        " WHERE r.stage = 2 AND g.stage = 1 AND r.result ->> 'number' = g.result ->> 'number'"
        " AND r.result ->> 'greeting' <> g.result ->> 'greeting'"
    )
    assert unquoted == []
    assert app.violations() == 0
    print(f"seed {seed}: {dict(storm.done)}, jobs {dict(states)}")  # noqa: T201 - the report of the storm
