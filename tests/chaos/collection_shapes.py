"""Jobs about a collection, and what there must be in the end."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet
from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient
from psycopg.types.json import Jsonb

from tests.chaos.crash_harness import CrashHost
from tests.chaos.crash_shape import Shape
from tests.chaos.raster_shapes import blobs
from tests.integration.collections.items import COLLECTION, stac_item

TARGET = "crash-exports"
ITEMS = 30


def prepare(host: CrashHost, label: str) -> None:
    """A collection named by the job's label, and a container to export to."""
    with BlobServiceClient.from_connection_string(host.app.storage) as service, suppress(ResourceExistsError):
        service.create_container(TARGET)
    host.execute("SET search_path = pgstac, public")
    host.execute("INSERT INTO collections (content) VALUES (%s)", Jsonb({**COLLECTION, "id": label}))
    made = [stac_item(number, collection=label, platform="a") for number in range(ITEMS)]
    host.execute("SELECT create_items(%s)", Jsonb(made))


@dataclass(frozen=True)
class Export(Shape):
    """An export of the collection into a folder of its name."""

    def submission(self, label: str) -> tuple[str, dict[str, Any]]:
        """Both are named by the label."""
        given = {**self.parameters, "collections": [label], "target_container": TARGET}
        return self.job_type, {**given, self.label: label}


def exported(host: CrashHost, job_id: str) -> dict[str, Any]:
    """The files of an export by their names in its folder; documents read."""
    label = str(host.job(job_id)["parameters"]["target_prefix"])
    return {
        name.removeprefix(f"{label}/"): json.loads(content) if name.endswith(".json") else content
        for name, content in blobs(host, TARGET, f"{label}/").items()
    }


def verify_export(count: Callable[[dict[str, Any]], int]) -> Callable[[CrashHost, str], bool]:
    """Every document is whole, and every item is there."""

    def verify(host: CrashHost, job_id: str) -> bool:
        files = exported(host, job_id)
        label = str(host.job(job_id)["parameters"]["target_prefix"])
        children = [link["href"] for link in files["catalog.json"]["links"] if link["rel"] == "child"]
        assert children == [f"./{label}/collection.json"]
        assert files[f"{label}/collection.json"]["id"] == label
        assert count(files) == ITEMS
        assert host.job(job_id)["result"]["items"] == ITEMS
        return True

    return verify


def rows(files: dict[str, Any]) -> int:
    """Of all tables."""
    tables = [content for name, content in files.items() if name.endswith(".parquet")]
    return sum(pyarrow.parquet.read_table(io.BytesIO(content)).num_rows for content in tables)


def documents(files: dict[str, Any]) -> int:
    """Files of items."""
    return sum(content["type"] == "Feature" for name, content in files.items() if "/items/" in name)


def verify_summary(host: CrashHost, job_id: str) -> bool:
    """The document says what the items are, and there is a queryable for what they have."""
    label = str(host.job(job_id)["parameters"]["collection"])
    [found] = host.rows("SELECT content FROM pgstac.collections WHERE id = %s", label)
    assert found["content"]["summaries"]["platform"] == ["a"]
    assert found["content"]["extent"]["spatial"]["bbox"] == [[0, 0, ITEMS, 1]]
    names = host.rows("SELECT name FROM pgstac.queryables WHERE collection_ids = ARRAY[%s]", label)
    assert [row["name"] for row in names] == ["platform"]
    return True


COLLECTION_SHAPES: dict[str, Shape] = {
    "tables": Export(
        "stac_export",
        {"format": "geoparquet"},
        label="target_prefix",
        prepare=prepare,
        verify=verify_export(rows),
    ),
    "files": Export(
        "stac_export",
        {"format": "static"},
        label="target_prefix",
        prepare=prepare,
        verify=verify_export(documents),
    ),
    "summary": Shape("stac_collection", {}, label="collection", prepare=prepare, verify=verify_summary),
}
