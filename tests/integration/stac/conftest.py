"""A whole engine on a database with pgstac, with blobs in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.doubles.memory_blobs import MemoryBlobs
from tests.fix_engine import World

SOURCE = "bronze"


class Library:
    """One engine, a container of files, and the catalog that jobs fill."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.blobs: MemoryBlobs = world.blobs
        for container in (SOURCE, world.settings.scratch_container):
            self.blobs.ensure_container(container)

    def put(self, name: str, *documents: Any) -> None:
        """A file: one object as JSON, several as NDJSON."""
        text = "\n".join(json.dumps(document) for document in documents)
        self.blobs.write(SOURCE, name, text.encode())

    def put_bytes(self, name: str, content: bytes) -> None:
        """A file."""
        self.blobs.write(SOURCE, name, content)

    def register(self, seconds: float = 60, **parameters: Any) -> dict[str, Any]:
        """Run a job to its end; its row."""
        given = {"container": SOURCE, "kind": "documents", **parameters}
        if not {"blob", "blobs", "prefix"} & set(given):
            given["prefix"] = ""
        return self.world.run(self.world.submit("stac_register", **given).job_id, seconds)

    def again(self, job: dict[str, Any]) -> dict[str, Any]:
        """Another run of a job."""
        return self.world.run(self.world.engine.rerun(job["job_id"], correlation_id="test").job_id)

    def results(self, job: dict[str, Any], stage: int) -> list[dict[str, Any]]:
        """What the tasks of a stage answered, or why they failed."""
        return [task["result"] or {"error": task["error"]} for task in self.world.tasks(job["job_id"], stage)]

    def items(self, collection_id: str | None = None) -> list[dict[str, Any]]:
        """All items as the catalog gives them, by collection and id."""
        rows = self.world.rows(
            "SELECT collection, id FROM pgstac.items WHERE %s::text IS NULL OR collection = %s"
            " ORDER BY collection, id",
            collection_id,
            collection_id,
        )
        return [self.item(row["id"], row["collection"]) for row in rows]

    def item(self, item_id: str, collection_id: str) -> dict[str, Any]:
        """An item as the catalog gives it."""
        [row] = self.world.rows(
            "SELECT pgstac.get_item(i.id, i.collection) AS item FROM pgstac.items i"
            " WHERE i.id = %s AND i.collection = %s",
            item_id,
            collection_id,
        )
        found: dict[str, Any] = row["item"]
        return found

    def found(self, **search: Any) -> list[str]:
        """Ids of what a search finds."""
        [row] = self.world.rows("SELECT pgstac.search(%s) AS found", Jsonb(search))
        return sorted(feature["id"] for feature in row["found"]["features"])

    def collection(self, collection_id: str) -> dict[str, Any] | None:
        """A collection's document."""
        rows = self.world.rows("SELECT content FROM pgstac.collections WHERE id = %s", collection_id)
        return rows[0]["content"] if rows else None


@pytest.fixture
def library(catalog_database_url: str) -> Iterator[Library]:
    """A library whose catalog is set up and empty."""
    world = World(catalog_database_url)
    world.rows("SET search_path = pgstac, public", fetch=False)
    yield Library(world)
    world.close()


MakeRaster = Callable[..., bytes]
