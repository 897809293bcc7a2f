"""Fixtures: a throw-away PostgreSQL and Azurite for each pytest process, and room in them for each test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueServiceClient

from local.stack.azurite import AzuriteServer, ensure_azurite
from local.stack.node import ensure_node
from local.stack.packages import ensure_postgres
from local.stack.paths import Paths
from local.stack.postgres import THROW_AWAY, PostgresServer, home_for_data, server_account
from local.stack.progress import Progress
from local.stack.storage import ensure_queues
from tests.memory_folder import folder_in_memory, room_in_memory

CHECKOUT = Paths().root
_TEMPLATE = "migrated"
_CATALOG_TEMPLATE = "catalog"


@dataclass(frozen=True)
class QueueNames:
    """The queues of one test; each has its poison queue."""

    jobs: str
    tasks: str

    @property
    def poison(self) -> tuple[str, str]:
        """The poison queues, of jobs and of tasks."""
        return f"{self.jobs}-poison", f"{self.tasks}-poison"


@pytest.fixture(scope="session")
def stack_paths() -> Paths:
    """Where this checkout keeps what it downloaded."""
    return Paths()


@pytest.fixture(scope="session")
def server_folder() -> Iterator[Path]:
    """A folder for the servers' data, which the user that PostgreSQL runs as can enter."""
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-test-"))
    # mkdtemp closes it to everybody else; what is private in it is closed by itself.
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(
    stack_paths: Paths, server_folder: Path, request: pytest.FixtureRequest
) -> Iterator[PostgresServer]:
    """A PostgreSQL of this test process. Tests that stop or kill it start it again.

    Its data are in memory where there is room: each test copies a database, which would all go to the disk.
    There, too, copying its files takes a fraction of logging its pages. Chaos may need more than is there.
    """
    installation = ensure_postgres(stack_paths, Progress())
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    with ExitStack() as until_the_end:
        folder, strategy = server_folder, ""
        if not request.config.getoption("--chaos") and room_in_memory(processes):
            folder, strategy = until_the_end.enter_context(folder_in_memory()), "FILE_COPY"
        home = home_for_data(folder / "postgres", server_account())
        server = PostgresServer(installation, home, THROW_AWAY, strategy=strategy)
        server.start()
        yield server
        server.stop()
        server.erase()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """The name of a database with PostGIS and all migrations, to be copied."""
    url = postgres_server.create_database(_TEMPLATE)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION postgis")
    _run("repositories.migrations", url)
    return _TEMPLATE


@pytest.fixture(scope="session")
def catalog_template(postgres_server: PostgresServer, migrated_template: str) -> str:
    """The name of a database with pgstac besides, to be copied."""
    _run("repositories.pgstac_schema", postgres_server.create_database(_CATALOG_TEMPLATE, migrated_template))
    return _CATALOG_TEMPLATE


@pytest.fixture
def database_url(postgres_server: PostgresServer, migrated_template: str) -> Iterator[str]:
    """A migrated database of this test's own."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name, migrated_template)
    postgres_server.drop_database(name)


@pytest.fixture
def catalog_database_url(postgres_server: PostgresServer, catalog_template: str) -> Iterator[str]:
    """A migrated database of this test's own, with pgstac."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name, catalog_template)
    postgres_server.drop_database(name)


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database of this test's own with nothing in it, no extension and no migration."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def azurite(stack_paths: Paths, server_folder: Path) -> Iterator[AzuriteServer]:
    """An Azurite of this test process. Tests that stop or kill it start it again."""
    progress = Progress()
    node = ensure_node(stack_paths, progress)
    script = ensure_azurite(stack_paths, node, progress)
    server = AzuriteServer(node, script, server_folder / "azurite", server_folder / "azurite.log")
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def storage_connection_string(azurite: AzuriteServer) -> str:
    """What storage clients need to reach this test process's Azurite."""
    return azurite.connection_string


@pytest.fixture
def queue_names(storage_connection_string: str) -> Iterator[QueueNames]:
    """Empty queues of this test's own, with their poison queues; removed after it, for Azurite's speed."""
    key = uuid.uuid4().hex[:12]
    names = QueueNames(f"jobs-{key}", f"tasks-{key}")
    ensure_queues(storage_connection_string, [names.jobs, names.tasks])
    yield names
    with QueueServiceClient.from_connection_string(storage_connection_string) as service:
        for name in (names.jobs, names.tasks, *names.poison):
            with suppress(ResourceNotFoundError):
                service.delete_queue(name)


@pytest.fixture
def container(storage_connection_string: str) -> Iterator[Callable[[], ContainerClient]]:
    """Makes a new, empty container at each call; all are removed after the test."""
    made: list[ContainerClient] = []
    with BlobServiceClient.from_connection_string(storage_connection_string) as service:

        def make() -> ContainerClient:
            made.append(service.create_container(f"test-{uuid.uuid4().hex[:12]}"))
            return made[-1]

        yield make
        for client in made:
            with suppress(ResourceNotFoundError):
                client.delete_container()


@pytest.fixture(scope="session")
def corpus() -> Path:
    """Real rasters, vectors and STAC documents with a MANIFEST.csv, beside the checkout."""
    folder = CHECKOUT.parent / "shared" / "corpus"
    if not (folder / "MANIFEST.csv").exists():
        pytest.skip("the corpus ../shared/corpus is not beside this checkout")
    return folder


def _run(module: str, database_url: str) -> None:
    """What a person runs once against a database: its migrations, or those of pgstac."""
    done = subprocess.run(
        [sys.executable, "-m", module],
        cwd=CHECKOUT,
        env={**os.environ, "DATABASE_URL": database_url},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{module} failed:\n{done.stdout}{done.stderr}"
