"""A whole engine on a database with pgstac, whose blobs are in a real blob service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.storage.blob import ContainerClient
from psycopg.types.json import Jsonb

from repositories.blobs import AzureBlobRepository
from repositories.storage_account import StorageAccount
from tests.fix_engine import World

from .items import COLLECTION


class Catalog:
    """One engine, a catalog that is filled by SQL, and a container to export to."""

    def __init__(self, world: World, blobs: AzureBlobRepository, target: str) -> None:
        self.world = world
        self.blobs = blobs
        self.target = target
        blobs.ensure_container(world.settings.scratch_container)

    def create(self, partition_by: str | None = None, **more: Any) -> None:
        """The collection `scenes`, or as `more` says."""
        self.call(
            "INSERT INTO pgstac.collections (content, partition_trunc) VALUES (%s, %s)",
            Jsonb({**COLLECTION, **more}),
            partition_by,
        )

    def add(self, *items: dict[str, Any]) -> None:
        """Items, without a job."""
        self.call("SELECT pgstac.create_items(%s)", Jsonb(list(items)))

    def call(self, statement: str, *parameters: object, fetch: bool = False) -> list[dict[str, Any]]:
        with self.world._admin.transaction():
            self.world._admin.execute("SET LOCAL search_path = pgstac, public")
            done = self.world._admin.execute(statement.encode(), parameters or None)
            return done.fetchall() if fetch else []

    def document(self, collection: str = "scenes") -> dict[str, Any]:
        [row] = self.call("SELECT content FROM collections WHERE id = %s", collection, fetch=True)
        return dict(row["content"])

    def run(self, job_type: str, seconds: float = 120, **parameters: Any) -> dict[str, Any]:
        """Run a job to its end; its row."""
        return self.world.run(self.world.submit(job_type, **parameters).job_id, seconds)

    def results(self, job: dict[str, Any], stage: int) -> list[dict[str, Any]]:
        """What the tasks of a stage answered, or why they failed."""
        return [task["result"] or {"error": task["error"]} for task in self.world.tasks(job["job_id"], stage)]

    def names(self) -> list[str]:
        """What is in the target container."""
        return [blob.name for page in self.blobs.list_pages(self.target) for blob in page]


@pytest.fixture
def catalog(
    catalog_database_url: str, storage_connection_string: str, container: Callable[[], ContainerClient]
) -> Iterator[Catalog]:
    account = StorageAccount(storage_connection_string)
    blobs = AzureBlobRepository(account)
    world = World(
        catalog_database_url,
        storage=blobs,
        storage_connection_string=storage_connection_string,
        scratch_container=str(container().container_name),
    )
    yield Catalog(world, blobs, str(container().container_name))
    world.close()
