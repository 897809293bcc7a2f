"""A whole engine whose blobs are in a real blob service, and vector files to load."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from psycopg import sql

from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from tests.fix_engine import World

from .yard import Yard

MakeContainer = Callable[[], ContainerClient]


class Depot:
    """One engine, and a container of vector files."""

    def __init__(self, world: World, blobs: AzureBlobRepository, container: str) -> None:
        self.world = world
        self.blobs = blobs
        self.container = container

    def put(self, name: str, content: bytes | str) -> None:
        """A source blob."""
        self.blobs.write(self.container, name, content.encode() if isinstance(content, str) else content)

    def put_file(self, path: Path, name: str | None = None) -> str:
        """A file with all that has the same stem beside it; its name as a blob."""
        stem = path.name.partition(".")[0]
        target = name or path.name
        for beside in path.parent.iterdir():
            if beside.is_file() and beside.name.startswith(f"{stem}."):
                self.put(target.partition(".")[0] + beside.name[len(stem) :], beside.read_bytes())
        return target

    def run(self, seconds: float = 120, **parameters: Any) -> dict[str, Any]:
        """Load to the end; the job's row."""
        given = {"container": self.container, "max_failed_fraction": 1.0} | parameters
        return self.world.run(self.world.submit("vector_to_postgis", **given).job_id, seconds)

    def load(self, **parameters: Any) -> dict[str, Any]:
        """Load what must succeed; the job's result."""
        job = self.run(**parameters)
        assert job["status"] == "completed", (job["error"], job["result"])
        result: dict[str, Any] = job["result"]
        return result

    def refusal(self, **parameters: Any) -> str:
        """Load what must fail; why the first task failed."""
        job = self.run(**parameters)
        failed = [task["error"] for task in self.world.tasks(job["job_id"]) if task["error"]]
        assert failed, job["result"]
        return str(failed[0])

    def rows(self, table: str, schema: str = "features") -> list[dict[str, Any]]:
        """The rows of a table, its geometry as WKT with its SRID."""
        query = sql.SQL("SELECT *, ST_AsEWKT(geom) AS wkt FROM {} ORDER BY 1").format(
            sql.Identifier(schema, table)
        )
        return self.world.rows(query.as_string())


@pytest.fixture
def depot(
    make_world: Callable[..., World], storage_connection_string: str, container: MakeContainer
) -> Depot:
    blobs = AzureBlobRepository(StorageAccount(storage_connection_string))
    world = make_world(storage=blobs, storage_connection_string=storage_connection_string)
    return Depot(world, blobs, str(container().container_name))


@pytest.fixture
def yard(database_url: str) -> Iterator[Yard]:
    """Tables on a database of the test's own."""
    made = Yard(database_url)
    yield made
    made.admin.close()
    made.database.close()
