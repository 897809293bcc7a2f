"""Documents of STAC objects that others wrote: each item is checked, and goes on or is rejected by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import Field, JsonValue

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.catalog import CatalogRepository, Holder
from interfaces.contracts import Contract
from interfaces.registrations import MAX_UNVALIDATED, Reject
from interfaces.storable_items import why_id_is_unfit, why_not_storable
from interfaces.workflows import TaskContext
from services.cog.resources import Resources

from .collection import collection_link
from .documents import Part, memory_bytes, parts
from .item_batches import BATCH_BYTES, MEMORY_FACTOR, ItemBatches
from .item_text import item_text
from .lineage import PROCESSING
from .rejects import Rejects
from .validation import ItemValidator

FAULTS = 3
"""Of one item that are told."""
CHECK_EVERY = 500
"""Items between two questions whether to go on."""
_U_0000 = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""The escape in JSON, and no backslash with a text that looks like it behind."""
_REGISTERED = re.compile(r" ?Registered by job [0-9a-f]{64} from [^\n]*\.$")


class BuiltItems(Contract):
    """What became of one file: its items go to the catalog or are rejected, the first of those by name."""

    file: str
    items: int
    """That go to the catalog."""
    collections: int = 0
    """Documents of collections that were put into the catalog."""
    rejected: int = 0
    rejects: list[Reject] = Field(default_factory=list)
    unvalidated: list[str] = Field(default_factory=list)
    """Schemas that items name and that are not at hand."""
    notes: list[str] = Field(default_factory=list)


class RegisteredDocuments:
    """Reads one document."""

    def __init__(
        self,
        blobs: BlobRepository,
        catalog: CatalogRepository,
        validator: ItemValidator,
        scratch_container: str,
        resources: Resources,
    ) -> None:
        self._resources = resources
        self._blobs = blobs
        self._catalog = catalog
        self._validator = validator
        self._scratch_container = scratch_container

    def __call__(
        self,
        container: str,
        blob: BlobProperties,
        context: TaskContext,
        *,
        collection_id: str | None,
        chunk: int,
    ) -> BuiltItems:
        """Check everything in it. Raises `PermanentTaskError` for a file that is no document at all."""
        reading = _Reading(self, container, blob, context, collection_id, chunk)
        text = memory_bytes(blob) + min(blob.size, BATCH_BYTES)
        with self._resources.memory(min(MEMORY_FACTOR * text, self._resources.free_bytes), context.check):
            for number, part in enumerate(parts(self._blobs, container, blob, context.check)):
                if number % CHECK_EVERY == 0:
                    context.check()
                reading.take(part)
            return reading.done()

    def batches(self, context: TaskContext, chunk: int, source: str) -> ItemBatches:
        """Where the items go."""
        return ItemBatches(self._blobs, self._scratch_container, context, chunk, source)

    def put_collection(self, document: dict[str, JsonValue], context: TaskContext) -> None:
        """Items may need it by the time they are loaded."""
        self._catalog.put_collection(document, holder_of(context))

    def faults(self, document: dict[str, Any]) -> tuple[list[tuple[str, str, str | None]], tuple[str, ...]]:
        """Path, reason and schema of what is wrong; and the schemas that are not at hand."""
        found = self._validator.validate(document)
        faults: list[tuple[str, str, str | None]] = [(e.path, e.reason, e.schema) for e in found.errors]
        told = {path for path, _, _ in faults}
        is_item = document.get("type") != "Collection"
        more = why_not_storable(document) if is_item else why_id_is_unfit(document.get("id"))
        faults += [(path, reason, None) for path, reason in more if path not in told]
        return faults, found.unknown


class _Reading:
    """One document while it is read."""

    def __init__(
        self,
        documents: RegisteredDocuments,
        container: str,
        blob: BlobProperties,
        context: TaskContext,
        collection_id: str | None,
        chunk: int,
    ) -> None:
        self._documents = documents
        self._file = blob.name
        self._source = f"{container}/{blob.name}"
        self._context = context
        self._collection_id = collection_id
        self._batches = documents.batches(context, chunk, self._source)
        self._items = self._collections = self._dated = 0
        self._rejects = Rejects()
        self._seen: dict[tuple[str, str], str] = {}
        self._unvalidated: dict[str, None] = {}

    def take(self, part: Part) -> None:
        """One object of the document."""
        value = part.value
        if part.fault is not None or not isinstance(value, dict):
            self._reject(part, None, "", part.fault or "is no object")
        elif value.get("type") == "Collection":
            self._take_collection(part, value)
        elif value.get("type") == "Feature":
            self._take_item(part, value)
        else:
            kind = str(value.get("type"))[:50]
            self._reject(part, value, "type", f"{kind!r} is neither an item (Feature) nor a Collection")

    def done(self) -> BuiltItems:
        """Hand over the items; what became of all."""
        self._batches.close()
        return BuiltItems(
            file=self._file,
            items=self._items,
            collections=self._collections,
            rejected=self._rejects.count,
            rejects=self._rejects.named,
            unvalidated=list(self._unvalidated)[:MAX_UNVALIDATED],
            notes=[f"{self._dated} of the items: datetime was null, and is now the start"]
            * (self._dated > 0),
        )

    def _take_collection(self, part: Part, document: dict[str, Any]) -> None:
        if self._collection_id not in (None, document.get("id")):
            self._reject(part, document, "id", f"items go into the collection {self._collection_id}")
        elif self._passes(part, document):
            self._documents.put_collection(document, self._context)
            self._collections += 1

    def _take_item(self, part: Part, item: dict[str, Any]) -> None:
        item = self._prepared(item)
        if not self._passes(part, item):
            return
        collection_id = item.get("collection")
        if not isinstance(collection_id, str) or not collection_id:
            self._reject(part, item, "collection", "names no collection; give collection_id")
            return
        key = (collection_id, str(item["id"]))
        if key in self._seen:
            first = self._seen[key] or "the first"
            self._reject(part, item, "id", f"occurs twice in this file: {first} counts")
            return
        line = item_text(item)
        if b"\\u0000" in line and _U_0000.search(line):
            self._reject(part, item, "", "has a text with U+0000, which PostgreSQL cannot hold")
            return
        self._seen[key] = part.place
        self._items += 1
        self._batches.add(collection_id, key[1], line)

    def _passes(self, part: Part, document: dict[str, Any]) -> bool:
        faults, unknown = self._documents.faults(document)
        self._unvalidated.update(dict.fromkeys(unknown))
        if not faults:
            return True
        path, _, schema = faults[0]
        reason = "; ".join(_told(faults))
        self._reject(part, document, path, reason, schema)
        return False

    def _prepared(self, item: dict[str, Any]) -> dict[str, Any]:
        """The item in its collection, with the link that its schema asks for then, and with its lineage."""
        made = {**item}
        if self._collection_id is not None:
            made["collection"] = self._collection_id
        links = made.get("links")
        named = made.get("collection")
        if isinstance(links, list) and isinstance(named, str):
            moved = self._collection_id is not None and item.get("collection") != named
            kept = [
                link
                for link in links
                if not (moved and isinstance(link, dict) and link.get("rel") == "collection")
            ]
            if not any(isinstance(link, dict) and link.get("rel") == "collection" for link in kept):
                kept.append(collection_link(named))
            made["links"] = kept
        self._dated += _add_datetime(made)
        _add_lineage(made, f"Registered by job {self._context.job_id} from {self._source}.")
        return made

    def _reject(
        self, part: Part, document: dict[str, Any] | None, path: str, reason: str, schema: str | None = None
    ) -> None:
        self._rejects.add(self._file, part.place, (document or {}).get("id"), path, reason, schema)


def holder_of(context: TaskContext) -> Holder:
    """The attempt, as the catalog wants to know it."""
    return Holder(context.job_id, context.run, context.stage, context.task_index, context.fence)


def _told(faults: list[tuple[str, str, str | None]]) -> Iterator[str]:
    """The first in full, the others with their paths."""
    for number, (path, reason, _) in enumerate(faults[:FAULTS]):
        yield f"{path}: {reason}" if number else reason
    if len(faults) > FAULTS:
        yield f"and {len(faults) - FAULTS} more"


def _add_datetime(item: dict[str, Any]) -> bool:
    """Give an item of a span its start as datetime, in place of null: pgstac drops members that are null."""
    properties = item.get("properties")
    if not isinstance(properties, dict) or properties.get("datetime", "") is not None:
        return False
    start = properties.get("start_datetime")
    if not isinstance(start, str) or "end_datetime" not in properties:
        return False
    item["properties"] = {**properties, "datetime": start}
    return True


def _add_lineage(item: dict[str, Any], sentence: str) -> None:
    """Say in the item which job registered it, in place of what an earlier registration said."""
    properties, extensions = item.get("properties"), item.get("stac_extensions", [])
    if not isinstance(properties, dict) or not isinstance(extensions, list):
        return  # Not valid, as will be said.
    before = properties.get("processing:lineage", "")
    if not isinstance(before, str):
        return
    lineage = f"{_REGISTERED.sub('', before)} {sentence}".strip()
    item["properties"] = {**properties, "processing:lineage": lineage}
    family = PROCESSING.partition("/v")[0]
    if not any(isinstance(uri, str) and uri.startswith(family) for uri in extensions):
        item["stac_extensions"] = [*extensions, PROCESSING]
