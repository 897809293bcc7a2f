"""Our side, started and used as a person does: the local host with two workers, spoken to over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from threading import local as thread_local
from typing import Any

import psycopg

from local.stack.app_environment import app_settings, migrate
from local.stack.ports import LOOPBACK, free_ports
from local.stack.process import tail
from local.stack.storage import ensure_containers, ensure_queues

from .peers.client import submission
from .servers import BenchServers
from .sides import NotInTime, Submission, end, start

_TEMPLATE = "bench_ours_template"
_LONGEST_WAIT = 60


@dataclass
class OurSide:
    """The app with two workers; `polling` is maxPollingInterval in seconds, None what is shipped."""

    name: str
    servers: BenchServers
    root: Path
    work: Path
    polling: float | None = None
    workers: int = 2
    database: str = "bench_ours"
    environment: Mapping[str, str] = field(default_factory=dict)
    tasks_at_once: int | None = None
    """Messages that a worker takes at once from a queue; None: what is shipped."""
    _process: subprocess.Popen[bytes] | None = None
    _port: int = 0
    _threads: Any = field(default_factory=thread_local)

    def start(self) -> None:
        """See `sides.Side`."""
        key = uuid.uuid4().hex[:8]
        url = self._new_database()
        settings = {
            **app_settings(url, self.servers.azurite.connection_string),
            "JOBS_QUEUE": f"jobs-{key}",
            "TASKS_QUEUE": f"tasks-{key}",
            **self.environment,
        }
        ensure_queues(settings["AzureWebJobsStorage"], [settings["JOBS_QUEUE"], settings["TASKS_QUEUE"]])
        ensure_containers(settings["AzureWebJobsStorage"])
        [self._port] = free_ports(1)
        host_json = self.work / "host.json"
        content = with_polling(self._shipped_host_json(), self.polling)
        if self.tasks_at_once is not None:
            content = with_queues(content, batchSize=self.tasks_at_once, newBatchThreshold=0)
        host_json.write_text(json.dumps(content))
        command = [sys.executable, "-m", "local.host", "--port", str(self._port)]
        command += ["--workers", str(self.workers), "--host-json", str(host_json)]
        self._process = start(command, {**os.environ, **settings}, self._log, cwd=self.root)
        self._until_ready(60)
        self.run(10, 1, 60)

    def stop(self) -> None:
        """See `sides.Side`."""
        if self._process:
            end([self._process], seconds=20)
        self._process, self._threads = None, thread_local()

    def processes(self) -> dict[str, list[int]]:
        """See `sides.Side`."""
        host = [self._process.pid] if self._process else []
        servers = {"postgres": [self.servers.postgres.pid], "azurite": [self.servers.azurite.pid]}
        return {"workers": host, **servers}

    def run(self, n: int, jobs: int, limit: float) -> float:
        """See `sides.Side`."""
        began = time.perf_counter()
        self.run_jobs("hello_world", [{"n": n, "name": uuid.uuid4().hex} for _ in range(jobs)], limit)
        return time.perf_counter() - began

    def run_jobs(self, job_type: str, parameters: list[dict[str, Any]], limit: float) -> list[dict[str, Any]]:
        """Submit jobs, from 8 threads when there are several, and wait for all; their last statuses.

        Raises `NotInTime`, or `RuntimeError` when one does not complete.
        """
        end_at = time.monotonic() + limit
        if len(parameters) == 1:
            ids = [self.submit(job_type, parameters[0])]
        else:
            with ThreadPoolExecutor(8) as pool:
                ids = list(pool.map(lambda one: self.submit(job_type, one), parameters))
        return [self._wait(job_id, end_at) for job_id in ids]

    def submit(self, job_type: str, parameters: dict[str, Any]) -> str:
        """Submit one job; its id."""
        code, body = self._request("POST", f"/api/jobs/submit/{job_type}", parameters)
        if code != 202:
            raise RuntimeError(f"submit answered {code}: {body}")
        return str(body["job_id"])

    def submission(self, one_by_one: int, at_once: int, threads: int) -> Submission:
        """See `sides.Side`."""

        def submit() -> None:
            self.submit("hello_world", {"n": 1, "name": uuid.uuid4().hex})

        return Submission(**submission(submit, one_by_one, at_once, threads))

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What a query of its database answers."""
        with psycopg.connect(self.servers.postgres.url(self.database), autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    @property
    def database_url(self) -> str:
        """Its database's, as the superuser."""
        return self.servers.postgres.url(self.database)

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """One request on this thread's connection; status and document of the answer."""
        return self._request(method, path, body)

    def _wait(self, job_id: str, end_at: float) -> dict[str, Any]:
        while True:
            left = min(_LONGEST_WAIT, end_at - time.monotonic())
            if left <= 0:
                raise NotInTime
            code, body = self._request("GET", f"/api/jobs/status/{job_id}?wait={left:.1f}")
            if code != 200 or body["status"] in ("failed", "cancelled", "completed_with_errors"):
                raise RuntimeError(f"job {job_id}: {code} {json.dumps(body)[:1000]}\n{tail(self._log)}")
            if body["status"] == "completed":
                return body

    def _request(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        connection = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = HTTPConnection(LOOPBACK, self._port, timeout=90)
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())

    def _until_ready(self, seconds: float) -> None:
        end_at = time.monotonic() + seconds
        while True:
            try:
                if self._request("GET", "/api/readyz")[0] == 200:
                    return
            except (OSError, HTTPException):
                self._threads = thread_local()
            if time.monotonic() > end_at or (self._process and self._process.poll() is not None):
                raise RuntimeError(f"the app does not start:\n{tail(self._log)}")
            time.sleep(0.05)

    def _new_database(self) -> str:
        with psycopg.connect(self.servers.postgres.url()) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_TEMPLATE]).fetchone()
        if not known:
            url = self.servers.database(_TEMPLATE)
            migrate(self.root, app_settings(url, self.servers.azurite.connection_string))
        return self.servers.database(self.database, _TEMPLATE)

    def _shipped_host_json(self) -> dict[str, Any]:
        content: dict[str, Any] = json.loads((self.root / "host.json").read_text())
        return content

    @property
    def _log(self) -> Path:
        return self.work / "logs" / "ours.log"


def with_polling(host_json: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    """host.json with another maxPollingInterval of queues; unchanged for None."""
    if seconds is None:
        return host_json
    return with_queues(host_json, maxPollingInterval=timespan(seconds))


def with_queues(host_json: dict[str, Any], **settings: object) -> dict[str, Any]:
    """host.json with other settings of its queues."""
    changed = {**host_json.get("extensions", {}).get("queues", {}), **settings}
    return {**host_json, "extensions": {**host_json.get("extensions", {}), "queues": changed}}


def timespan(seconds: float) -> str:
    """Seconds as host.json writes them: 00:00:00.1000000."""
    whole, fraction = int(seconds), round(seconds % 1 * 10**7)
    return f"{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}.{fraction:07}"
