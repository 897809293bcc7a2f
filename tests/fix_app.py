"""The app as it runs: the local host with two workers, on a real PostgreSQL and a real Azurite."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg
import pytest
import tenacity
from azure.storage.queue import QueueClient, TextBase64EncodePolicy
from psycopg.rows import dict_row

from local.stack.ports import LOOPBACK, free_ports
from local.stack.postgres import PostgresServer
from local.stack.storage import ensure_queues
from tests.fix_stack import CHECKOUT

TERMINAL = {"completed", "completed_with_errors", "failed", "cancelled"}
SHORT_LEASES = {"LEASE_SECONDS": "3", "HEARTBEAT_SECONDS": "1", "REDELIVERY_SECONDS": "5"}
"""So that a killed worker is noticed within a test's patience."""


@dataclass
class App:
    """A running app, spoken to over HTTP."""

    url: str
    database_url: str
    storage: str
    jobs_queue: str
    tasks_queue: str
    pid_file: Path
    log: Path
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = httpx.Client(base_url=f"{self.url}/api", timeout=90)

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(httpx.TransportError),
        stop=tenacity.stop_after_attempt(3),
        reraise=True,
    )
    def get(self, path: str, **query: Any) -> httpx.Response:
        """GET, again where a worker was killed that held the connection."""
        return self.http.get(path, params=query)

    def submit(self, job_type: str, **parameters: Any) -> str:
        """Submit a job; answers its id."""
        answer = self.http.post(f"/jobs/submit/{job_type}", json=parameters)
        assert answer.status_code in (200, 202), answer.text
        return str(answer.json()["job_id"])

    def wait(self, job_id: str, seconds: float = 90) -> dict[str, Any]:
        """Long-poll until the job has ended; answers its status."""
        end = time.monotonic() + seconds
        while True:
            left = max(1, min(30, int(end - time.monotonic())))
            answer = self.get(f"/jobs/status/{job_id}", wait=left)
            assert answer.status_code == 200, answer.text
            status: dict[str, Any] = answer.json()
            if status["status"] in TERMINAL:
                return status
            if time.monotonic() > end:
                events = self.get(f"/db/events/{job_id}").text
                raise AssertionError(f"not ended in {seconds} s: {status}\n{events}\n{self.tail()}")

    def results(self, job_id: str, **query: Any) -> list[dict[str, Any]]:
        """Every task's outcome, by the NDJSON download."""
        answer = self.get(f"/jobs/{job_id}/results", format="ndjson", **query)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def violations(self) -> int:
        """The number of rows that break an invariant."""
        return int(self.get("/db/invariants").json()["total_violations"])

    def rows(self, query: str, *parameters: object) -> list[dict[str, Any]]:
        with psycopg.connect(self.database_url, autocommit=True, row_factory=dict_row) as connection:
            return connection.execute(query, parameters or None).fetchall()

    def execute(self, statements: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            connection.execute(statements.encode())

    def workers(self) -> list[int]:
        """The worker processes that run now."""
        return list(json.loads(self.pid_file.read_text())["workers"])

    def kill_worker(self) -> int:
        """SIGKILL to one worker process; answers its id."""
        pid = self.workers()[0]
        os.kill(pid, signal.SIGKILL)
        return pid

    def put(self, queue: str, body: str, *, raw: bool = False) -> None:
        """Put a message on a queue as any client of the storage account could; `raw` without base64."""
        policy = None if raw else TextBase64EncodePolicy()
        client = QueueClient.from_connection_string(
            self.storage, queue, message_encode_policy=policy, api_version="2025-11-05"
        )
        with client:
            client.send_message(body)

    def ready(self) -> bool:
        """Whether it says of itself that it is ready."""
        try:
            return self.http.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def serving(
    postgres_server: PostgresServer,
    template: str,
    storage: str,
    folder: Path,
    *arguments: str,
    module: str = "local.host",
    environment: Mapping[str, str] | None = None,
    through: Mapping[int, int] | None = None,
    checkout: Path = CHECKOUT,
) -> Iterator[App]:
    """The app of a checkout with a database and queues of its own, until the block ends.

    `arguments` go to the host's command line, `environment` to its processes. `through` has the app, and not
    the test, reach a server's port through another one. Hosts of one test process share a storage account,
    so each has an id of its own, under which it keeps the locks of its timers.
    """
    key = uuid.uuid4().hex[:8]
    database = f"app_{key}"
    queues = (f"jobs-{key}", f"tasks-{key}")
    ensure_queues(storage, list(queues))
    [port] = free_ports(1)
    started = App(
        url=f"http://{LOOPBACK}:{port}",
        database_url=postgres_server.create_database(database, template),
        storage=storage,
        jobs_queue=queues[0],
        tasks_queue=queues[1],
        pid_file=folder / "pids.json",
        log=folder / "host.log",
    )
    variables = {
        **os.environ,
        "DATABASE_URL": _rerouted(started.database_url, through),
        "DATABASE_DIRECT_URL": _rerouted(started.database_url, through),
        "AzureWebJobsStorage": _rerouted(started.storage, through),
        "AzureFunctionsWebHost__hostid": key,
        "JOBS_QUEUE": queues[0],
        "TASKS_QUEUE": queues[1],
        **(environment or {}),
    }
    command = [sys.executable, "-m", module, "--port", str(port), "--pid-file", str(started.pid_file)]
    with started.log.open("wb") as log:
        process = subprocess.Popen(
            [*command, *arguments], cwd=checkout, env=variables, stdout=log, stderr=log
        )
    try:
        until(started.ready, 60, started.tail)
        yield started
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        process.kill()
        process.wait()
        started.http.close()
        postgres_server.drop_database(database)


def _rerouted(setting: str, through: Mapping[int, int] | None) -> str:
    for port, other in (through or {}).items():
        setting = setting.replace(f"{LOOPBACK}:{port}/", f"{LOOPBACK}:{other}/")
    return setting


@pytest.fixture(scope="module")
def app(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[App]:
    """The app with short leases, for the tests of one module."""
    folder = tmp_path_factory.mktemp("app")
    with serving(
        postgres_server, migrated_template, storage_connection_string, folder, environment=SHORT_LEASES
    ) as started:
        yield started


class MakeApp(Protocol):
    """Starts an app; see `make_app`."""

    def __call__(
        self, *arguments: str, through: Mapping[int, int] | None = None, **environment: str
    ) -> App: ...


@pytest.fixture
def make_app(
    postgres_server: PostgresServer,
    migrated_template: str,
    storage_connection_string: str,
    tmp_path: Path,
) -> Iterator[MakeApp]:
    """Starts apps as `serving` does, with short leases unless told otherwise; they end with the test."""
    with ExitStack() as running:

        def make(*arguments: str, through: Mapping[int, int] | None = None, **environment: str) -> App:
            folder = tmp_path / uuid.uuid4().hex[:8]
            folder.mkdir()
            app = serving(
                postgres_server,
                migrated_template,
                storage_connection_string,
                folder,
                *arguments,
                environment={**SHORT_LEASES, **environment},
                through=through,
            )
            return running.enter_context(app)

        yield make


def until(condition: Callable[[], bool], seconds: float, explain: Callable[[], str] = str) -> None:
    """Return as soon as the condition holds; fail, explaining, when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, explain()
        time.sleep(0.1)
