"""Last stages of a conversion: publish the COG, write its STAC item beside it, hand it to the catalog."""

from __future__ import annotations

import json
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import JsonValue

from interfaces.blobs import BlobRepository
from interfaces.containers import WrittenContainer
from interfaces.contracts import Contract, TaskParameters
from interfaces.conversions import CogRequest, MadeCog
from interfaces.publications import Outcome
from interfaces.workflows import TaskContext
from services.stac.collection import collection_link
from services.stac.item_batches import GROUPED_TASKS

from .naming import item_name, thumbnail_name
from .publishing import Publisher

ITEM_TYPE = "application/geo+json"


class PublishCogParameters(TaskParameters):
    """A COG that waits in scratch storage."""

    made: MadeCog


class PublishCogResult(Contract):
    """What is published, and where; sizes in bytes. URLs have no signature."""

    source: str
    container: str
    name: str
    status: Literal["published", "unchanged"]
    reason: str | None
    url: str
    thumbnail_url: str | None
    item_url: str
    size: int
    md5: str
    etag: str | None
    compression: str | None
    overviews: list[int]
    pass_through: bool
    pixels_equal: bool | None
    notes: list[str]


class PublishCog:
    """Publishes what earlier stages made. See `publishing` for what a crash leaves behind."""

    def __init__(self, blobs: BlobRepository, publisher: Publisher) -> None:
        self._blobs = blobs
        self._publisher = publisher

    def __call__(self, parameters: PublishCogParameters, context: TaskContext) -> PublishCogResult:
        """Publish. Raises `Conflict` while another job publishes the same name, to be tried again."""
        made = parameters.made
        request = made.request
        picture = thumbnail_name(request.name)
        outcome = self._publisher.publish(made, context, thumbnail=picture)
        item = made.file.item if outcome.status == "published" else _item_of(outcome, request)
        if item is not None:
            context.discover([{"container": request.container, "name": request.name, "item": item}])
        file = made.file
        return PublishCogResult(
            source=made.sources[0].name,
            container=request.container,
            name=request.name,
            status=outcome.status,
            reason=outcome.reason,
            url=self._blobs.url(request.container, request.name),
            thumbnail_url=self._blobs.url(request.container, picture) if made.thumbnail else None,
            item_url=self._blobs.url(request.container, item_name(request.name)),
            size=file.size,
            md5=file.md5,
            etag=outcome.cog.etag if outcome.cog else None,
            compression=file.compression,
            overviews=file.overviews,
            pass_through=made.pass_through,
            pixels_equal=file.pixels_equal,
            notes=file.notes,
        )


def _item_of(outcome: Outcome, request: CogRequest) -> dict[str, JsonValue] | None:
    """That of what was there already, since whoever published it may have ended before it was written."""
    return outcome.cog.item if outcome.cog is not None and request.overwrite != "never" else None


class WriteItemParameters(TaskParameters):
    """A published COG and its item, in which files are named relative to the COG's folder."""

    container: WrittenContainer
    name: str
    item: dict[str, Any]
    collection_id: str
    """In the catalog, for which the item is handed on."""


class WriteItemResult(Contract):
    """Where the item is."""

    item_id: str
    url: str
    not_for_catalog: str | None = None
    """Why it is not handed on to the catalog."""


class WriteItem:
    """Writes the item beside the COG, with links to where its files are now."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: WriteItemParameters, context: TaskContext) -> WriteItemResult:
        """Write it. Writing it again changes nothing."""
        item = parameters.item
        folder = PurePosixPath(parameters.name).parent
        for asset in item["assets"].values():
            asset["href"] = self._blobs.url(parameters.container, str(folder / asset["href"]))
        name = item_name(parameters.name)
        url = self._blobs.url(parameters.container, name)
        item["links"] = [
            *(link for link in item["links"] if link["rel"] != "self"),
            {"rel": "self", "href": url, "type": ITEM_TYPE},
        ]
        context.check()
        content = json.dumps(item, ensure_ascii=False, allow_nan=False).encode()
        self._blobs.write(parameters.container, name, content, content_type=ITEM_TYPE)
        if item.get("geometry") is None:
            return WriteItemResult(
                item_id=str(item["id"]), url=url, not_for_catalog="it has no place on Earth"
            )
        context.discover([self._for_catalog(parameters, item, context.task_index)])
        return WriteItemResult(item_id=str(item["id"]), url=url)

    def _for_catalog(
        self, parameters: WriteItemParameters, item: dict[str, Any], task_index: int
    ) -> dict[str, JsonValue]:
        """The item in its collection, to be loaded with those of other COGs."""
        collection_id = parameters.collection_id
        return {
            "batch": f"{collection_id}/{task_index // GROUPED_TASKS}",
            "collection_id": collection_id,
            "source": f"{parameters.container}/{parameters.name}",
            "item": {
                **item,
                "collection": collection_id,
                "links": [*item["links"], collection_link(collection_id)],
            },
        }
