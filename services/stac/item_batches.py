"""Items on their way from the tasks that made them to those that load them: batches, each of one collection.

Few and small ones travel with the stage's items, grouped with those of other tasks of the same chunk. Many
are written into scratch blobs of lines, each a batch of its own, so that neither a task's parameters nor its
memory grow with them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
from pydantic import JsonValue

from interfaces.blobs import BlobRepository
from interfaces.catalog import CatalogItem
from interfaces.errors import ContainerNotFound
from interfaces.workflows import TaskContext

BATCH_ITEMS = 10_000
BATCH_BYTES = 16 * 1024**2
MEMORY_FACTOR = 6
"""Bytes of memory for each of JSON that is read as items; measured: 3.7 with rows, besides the text."""
INLINE_BYTES = 64 * 1024
"""Items of one task and collection that travel with the stage's items together have no more than this."""
GROUPED_TASKS = 250
"""So many tasks give their few items to one batch."""
LINES_TYPE = "text/plain; charset=utf-8"
_TAB = b"\t"
"""Between an item's id and the item, both as JSON, in which there is none."""


def items_of(content: bytes, source: str) -> Iterator[CatalogItem]:
    """The items of a scratch blob."""
    for line in content.split(b"\n"):
        item_id, _, text = line.partition(_TAB)
        yield CatalogItem(orjson.loads(item_id), source, text)


@dataclass
class _Open:
    lines: list[bytes] = field(default_factory=list)
    size: int = 0
    written: bool = False


class ItemBatches:
    """Collects what one attempt makes, and hands it to the next stage."""

    def __init__(
        self, blobs: BlobRepository, scratch_container: str, context: TaskContext, chunk: int, source: str
    ) -> None:
        self._blobs = blobs
        self._container = scratch_container
        self._context = context
        self._chunk = chunk
        self._source = source
        self._open: dict[str, _Open] = {}
        self._blobs_written = 0

    def add(self, collection_id: str, item_id: str, text: bytes) -> None:
        """An item of the collection, as JSON."""
        batch = self._open.setdefault(collection_id, _Open())
        line = orjson.dumps(item_id) + _TAB + text
        batch.lines.append(line)
        batch.size += len(line)
        if len(batch.lines) >= BATCH_ITEMS or batch.size >= BATCH_BYTES:
            self._write(collection_id, batch)

    def close(self) -> None:
        """Hand over what is left."""
        for collection_id, batch in self._open.items():
            if batch.size > INLINE_BYTES or batch.written:
                self._write(collection_id, batch)
            else:
                self._context.discover(self._inline(collection_id, batch))

    def _inline(self, collection_id: str, batch: _Open) -> Iterator[dict[str, JsonValue]]:
        for line in batch.lines:
            yield {
                "batch": f"{collection_id}/{self._chunk}",
                "collection_id": collection_id,
                "source": self._source,
                "item": orjson.loads(line.partition(_TAB)[2]),
            }

    def _write(self, collection_id: str, batch: _Open) -> None:
        if not batch.lines:
            return
        batch.written = True
        self._blobs_written += 1
        self._context.check()
        name = self._context.scratch_name(f"-{self._blobs_written}.items")
        content = b"\n".join(batch.lines)
        try:
            self._blobs.write(self._container, name, content, content_type=LINES_TYPE)
        except ContainerNotFound:
            # Nobody made the container before the first batch.
            self._blobs.ensure_container(self._container)
            self._blobs.write(self._container, name, content, content_type=LINES_TYPE)
        self._context.discover(
            [
                {
                    "batch": f"{collection_id}/{self._context.task_index}.{self._blobs_written}",
                    "collection_id": collection_id,
                    "source": self._source,
                    "blob": name,
                }
            ]
        )
        batch.lines, batch.size = [], 0
