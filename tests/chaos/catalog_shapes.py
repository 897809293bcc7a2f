"""Jobs that fill the STAC catalog over what is there already, and what there must be in the end."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from psycopg.types.json import Jsonb

from repositories.pgstac_schema import library_version
from tests.chaos.crash_harness import CrashHost
from tests.chaos.crash_shape import Shape
from tests.chaos.raster_shapes import cancel_after_the_death
from tests.integration.stac.items import collection, item

SOURCES = "crash-items"
FILES = 2
OLD = 10
"""Items that are in the catalog before the job, in another month."""
PADDING = "é" * 3000
"""So that the items of a file travel in a blob, and each file is a batch."""


def identifier(label: str) -> str:
    """Of the collection, by the job's prefix."""
    return f"crash-{label.replace(' ', '-').strip('/')}"


def documents(label: str, each: int) -> dict[str, list[dict[str, Any]]]:
    """The files of a job, with the items of each."""
    return {
        f"{label}/{file}.ndjson": [
            item(file * each + number, collection=identifier(label), title=PADDING) for number in range(each)
        ]
        for file in range(FILES)
    }


def prepare(each: int) -> Callable[[CrashHost, str], None]:
    """Puts the files, and some of their items into the catalog as they were once."""

    def put(host: CrashHost, label: str) -> None:
        made = collection(identifier(label))
        with BlobServiceClient.from_connection_string(host.app.storage) as service:
            with suppress(ResourceExistsError):
                service.create_container(SOURCES)
            for name, items in documents(label, each).items():
                lines = "\n".join(map(json.dumps, items))
                service.get_blob_client(SOURCES, name).upload_blob(lines.encode())
            service.get_blob_client(SOURCES, f"{label}/collection.json").upload_blob(
                json.dumps(made).encode()
            )
        host.execute("SET search_path = pgstac, public")
        content = {**made, "title": "before"}
        host.execute("INSERT INTO collections (content, partition_trunc) VALUES (%s, 'year')", Jsonb(content))
        for number in range(OLD):
            old = item(number, collection=identifier(label))
            old["properties"]["datetime"] = "1999-12-31T00:00:00Z"
            host.execute("SELECT create_item(%s)", Jsonb(old))

    return put


def stored(host: CrashHost, label: str) -> list[dict[str, Any]]:
    """Rows of the collection."""
    return host.rows(
        "SELECT id, datetime, content -> 'properties' ->> 'processing:lineage' AS lineage,"
        " content ->> 'title' AS title FROM pgstac.items WHERE collection = %s",
        identifier(label),
    )


def verify_loaded(each: int) -> Callable[[CrashHost, str], bool]:
    """Every item is there once, as its file has it, and is found; nothing waits in pgstac's queue."""

    def verify(host: CrashHost, job_id: str) -> bool:
        label = str(host.job(job_id)["parameters"]["prefix"])
        result = host.job(job_id)["result"]
        assert (result["items"], result["loaded"], result["rejected"]) == (FILES * each, FILES * each, 0)
        rows = stored(host, label)
        assert sorted(row["id"] for row in rows) == sorted(f"item-{n}" for n in range(FILES * each))
        for row in rows:
            assert job_id in row["lineage"]
            assert row["title"] == PADDING
            assert row["datetime"].year > 1999
        [found] = host.rows(
            "SELECT search(%s) AS found",
            Jsonb(
                {"collections": [identifier(label)], "limit": 10_000, "datetime": "2000-01-01T00:00:00Z/.."}
            ),
        )
        assert len(found["found"]["features"]) == FILES * each
        [document] = host.rows("SELECT content FROM collections WHERE id = %s", identifier(label))
        assert document["content"] == collection(identifier(label))
        assert host.rows("SELECT * FROM query_queue") == []
        return True

    return verify


def verify_cancelled(each: int) -> Callable[[CrashHost, str], bool]:
    """Each batch is there whole, or as it was before."""

    def verify(host: CrashHost, job_id: str) -> bool:
        label = str(host.job(job_id)["parameters"]["prefix"])
        rows = {row["id"]: row for row in stored(host, label)}
        assert len(rows) == len(stored(host, label))
        for name, items in documents(label, each).items():
            new = {
                one["id"]
                for one in items
                if "title" in one and rows.get(one["id"], {}).get("title") == PADDING
            }
            assert len(new) in (0, len(items)), name
        return True

    return verify


@dataclass(frozen=True)
class SetUp(Shape):
    """A stac_setup in a database from which pgstac was taken away."""

    def submission(self, label: str) -> tuple[str, dict[str, Any]]:
        """Each job sets another value."""
        return self.job_type, {"settings": {"context_estimated_count": value_of(label)}}


def value_of(label: str) -> int:
    return zlib.crc32(label.encode()) % 1_000_000 + 1


def take_pgstac_away(host: CrashHost, label: str) -> None:
    """As if it had never been installed here."""
    host.execute("SET client_min_messages = warning")
    host.execute("DROP SCHEMA IF EXISTS pgstac CASCADE")


def verify_set_up(host: CrashHost, job_id: str) -> bool:
    """It works, and has the settings of the job; the trial left nothing."""
    job = host.job(job_id)
    assert job["result"]["version_after"] == library_version()
    wanted = str(job["parameters"]["settings"]["context_estimated_count"])
    [setting] = host.rows("SELECT value FROM pgstac.pgstac_settings WHERE name = 'context_estimated_count'")
    assert setting["value"] == wanted
    assert host.rows("SELECT * FROM pgstac.collections") == []
    assert host.rows("SELECT * FROM pgstac.query_queue") == []
    assert len(host.rows("SELECT * FROM pgstac.migrations")) == 1
    return True


def registers(each: int) -> Shape:
    """A job that registers two files of so many items."""
    given = {"container": SOURCES, "kind": "documents"}
    return Shape("stac_register", given, label="prefix", prepare=prepare(each), verify=verify_loaded(each))


CATALOG_SHAPES: dict[str, Shape] = {
    "items": registers(30),
    "many items": registers(600),
    "cancelled items": replace(
        registers(30), status="cancelled", act=cancel_after_the_death, verify=verify_cancelled(30)
    ),
    "setup": SetUp("stac_setup", {}, prepare=take_pgstac_away, verify=verify_set_up),
}
