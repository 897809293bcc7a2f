"""The previous release, as it really was, beside this one on one database, which is upgraded meanwhile."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import httpx
import pytest
import tenacity

from local.stack.ports import LOOPBACK, free_ports
from local.stack.postgres import PostgresServer
from local.stack.storage import ensure_queues
from tests.fix_app import SHORT_LEASES, App, until
from tests.fix_stack import CHECKOUT

PREVIOUS = "0764c92"
"""The commit of release 1, whose SQL is in tests/integration/upgrade; those after it are tagged."""
GREETINGS = 60


@pytest.fixture(scope="module")
def previous_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files."""
    packed = subprocess.run(["git", "archive", PREVIOUS], cwd=CHECKOUT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"the history of this checkout does not have {PREVIOUS}")
    folder = tmp_path_factory.mktemp("previous")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


class Installation:
    """A database and queues, on which hosts of any release run."""

    def __init__(self, url: str, storage: str, folder: Path) -> None:
        self._key = uuid.uuid4().hex[:8]
        self._url = url
        self._storage = storage
        self._folder = folder
        self._queues = f"jobs-{self._key}", f"tasks-{self._key}"
        ensure_queues(storage, list(self._queues))
        self._environment = {
            **os.environ,
            **SHORT_LEASES,
            "DATABASE_URL": url,
            "DATABASE_DIRECT_URL": url,
            "AzureWebJobsStorage": storage,
            "AzureFunctionsWebHost__hostid": self._key,
            "JOBS_QUEUE": self._queues[0],
            "TASKS_QUEUE": self._queues[1],
        }

    def migrate(self, tree: Path) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "repositories.migrations"],
            cwd=tree,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def serving(self, tree: Path, *, ready: bool = True) -> Iterator[App]:
        """A host of this release, until the block ends; `ready`: wait until it says that it is."""
        [port] = free_ports(1)
        name = uuid.uuid4().hex[:8]
        app = App(
            url=f"http://{LOOPBACK}:{port}",
            database_url=self._url,
            storage=self._storage,
            jobs_queue=self._queues[0],
            tasks_queue=self._queues[1],
            pid_file=self._folder / f"{name}.json",
            log=self._folder / f"{name}.log",
        )
        command = [sys.executable, "-m", "local.host", "--port", str(port), "--pid-file", str(app.pid_file)]
        with app.log.open("wb") as log:
            process = subprocess.Popen(command, cwd=tree, env=self._environment, stdout=log, stderr=log)
        try:
            until(app.ready if ready else lambda: _alive(app), 60, app.tail)
            yield app
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
            app.http.close()


def _alive(app: App) -> bool:
    with suppress(httpx.TransportError):
        return app.http.get("/livez").status_code == 200
    return False


@pytest.fixture
def installation(
    postgres_server: PostgresServer, storage_connection_string: str, tmp_path: Path
) -> Iterator[Installation]:
    name = f"upgrade_{uuid.uuid4().hex[:8]}"
    yield Installation(postgres_server.create_database(name), storage_connection_string, tmp_path)
    postgres_server.drop_database(name)


@tenacity.retry(
    retry=tenacity.retry_if_exception_type(httpx.TransportError),
    stop=tenacity.stop_after_attempt(3),
    reraise=True,
)
def greet(app: App, name: str) -> str:
    """Submit a job, again where a worker was killed that held the connection: it is the same job."""
    return app.submit("hello_world", n=GREETINGS, name=name, sleep_seconds=0.05)


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("order", ["the schema first", "the code first"])
def test_old_and_new_workers_share_jobs_through_an_upgrade(
    installation: Installation, previous_tree: Path, order: str
) -> None:
    installation.migrate(previous_tree)
    jobs: list[str] = []
    with ExitStack() as new_host:
        with installation.serving(previous_tree) as old:
            jobs += [greet(old, f"before-{n}") for n in range(6)]
            if order == "the code first":
                new = new_host.enter_context(installation.serving(CHECKOUT, ready=False))
                jobs += [greet(old, f"early-{n}") for n in range(4)]
                assert new.http.get("/readyz").status_code == 503
            assert "applied migrations/0013_signals.sql" in installation.migrate(CHECKOUT)
            jobs += [greet(old, f"migrated-{n}") for n in range(4)]
            if order == "the schema first":
                new = new_host.enter_context(installation.serving(CHECKOUT))
            until(new.ready, 30, new.tail)
            for n in range(4):
                jobs += [greet(old, f"old-{n}"), greet(new, f"new-{n}")]
            old.kill_worker()
            jobs += [greet(old, "last")]
        # Only the new one is there by now.
        for job_id in jobs:
            status = new.wait(job_id)
            assert status["status"] == "completed", status
            assert status["result"]["replies"] == GREETINGS
        until(lambda: new.violations() == 0, 30, new.tail)
        workers = new.rows("SELECT count(DISTINCT worker) AS n FROM app.tasks")
        assert workers[0]["n"] >= 2
        assert installation.migrate(CHECKOUT) == "nothing to apply\n"
