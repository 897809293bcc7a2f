"""Last stage: a batch of items is loaded into its collection, and what cannot be is rejected item by item."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from interfaces.blobs import BlobRepository
from interfaces.catalog import (
    CatalogItem,
    CatalogNotSetUp,
    CatalogRepository,
    CollectionNotFound,
    Holder,
    ItemsRefused,
)
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import BlobNotFound, PermanentTaskError
from interfaces.registrations import NewCollection, Reject
from interfaces.workflows import TaskContext
from services.cog.resources import Resources

from .collection import minimal_collection
from .item_batches import BATCH_BYTES, MEMORY_FACTOR, items_of
from .item_text import item_text
from .registered_documents import holder_of
from .rejects import Rejects


class BatchPart(Contract):
    """An item, or a scratch blob of items, one a line; `source` is the file they come from."""

    batch: str
    collection_id: str
    source: str
    item: dict[str, Any] | None = None
    blob: str | None = None


class LoadItemsParameters(TaskParameters):
    """A batch, which is of one collection."""

    batch: str
    items: list[BatchPart]
    create_collection: NewCollection | None = None
    """Where it is missing."""
    exclusive: bool = False
    """Leave ids alone that another file has."""
    optional: bool = False
    """Without a catalog there is nothing to do, and that is no error."""


class LoadedItems(Contract):
    """What became of the batch: `items` were `loaded`, `replaced` of them over others, or `rejected`."""

    collection_id: str
    status: Literal["loaded", "not_set_up"]
    items: int
    loaded: int
    replaced: int
    rejected: int
    rejects: list[Reject]


class LoadItems:
    """Loads a batch. Loading it again, by this attempt or another, leaves the same."""

    def __init__(
        self, blobs: BlobRepository, catalog: CatalogRepository, scratch_container: str, resources: Resources
    ) -> None:
        self._resources = resources
        self._blobs = blobs
        self._catalog = catalog
        self._scratch_container = scratch_container

    def __call__(self, parameters: LoadItemsParameters, context: TaskContext) -> LoadedItems:
        """Load. Raises `PermanentTaskError` for a missing catalog or collection that must be there."""
        collection_id = parameters.items[0].collection_id
        load = _Load(self._catalog, collection_id, context, exclusive=parameters.exclusive)
        try:
            if parameters.optional and not self._catalog.state().ready:
                return load.result("not_set_up", len(parameters.items))
            if parameters.create_collection is not None:
                self._ensure_collection(collection_id, parameters.create_collection, load.holder)
            in_blobs = sum(part.blob is not None for part in parameters.items)
            most = min(MEMORY_FACTOR * BATCH_BYTES * in_blobs, self._resources.free_bytes)
            with self._resources.memory(most, context.check):
                load.load(load.distinct(self._items(parameters)))
        except CatalogNotSetUp as error:
            raise PermanentTaskError(error.detail) from error
        except CollectionNotFound as error:
            count = sum(1 for _ in self._items(parameters))
            raise PermanentTaskError(
                f"{error.detail}: {count} items were not loaded; register its document,"
                " or give create_collection"
            ) from error
        return load.result("loaded")

    def _ensure_collection(self, collection_id: str, new: NewCollection, holder: Holder) -> None:
        if self._catalog.collection(collection_id) is None:
            document = minimal_collection(collection_id, new)
            self._catalog.create_collection(document, new.partition_by, holder)

    def _items(self, parameters: LoadItemsParameters) -> Iterator[CatalogItem]:
        for part in parameters.items:
            if part.item is not None:
                yield CatalogItem(str(part.item["id"]), part.source, item_text(part.item))
            if part.blob is not None:
                try:
                    content = self._blobs.read(self._scratch_container, part.blob)
                except BlobNotFound as error:
                    raise PermanentTaskError(
                        f"the batch is gone: {error.detail}; run the job again"
                    ) from error
                yield from items_of(content, part.source)


class _Load:
    """One batch while it is loaded."""

    def __init__(
        self, catalog: CatalogRepository, collection_id: str, context: TaskContext, *, exclusive: bool
    ) -> None:
        self._catalog = catalog
        self._collection_id = collection_id
        self._context = context
        self._exclusive = exclusive
        self.holder = holder_of(context)
        self._loaded = self._replaced = 0
        self._rejects = Rejects()

    def distinct(self, items: Iterator[CatalogItem]) -> list[CatalogItem]:
        """Without those whose id another one of the batch has."""
        found: dict[str, CatalogItem] = {}
        for item in items:
            first = found.setdefault(item.id, item)
            if first is not item:
                self._reject(item, "id", f"its id is that of {first.source} too, which was loaded")
        return list(found.values())

    def load(self, items: list[CatalogItem]) -> None:
        """All of them; where the database refuses some, halves, until those are found."""
        if not items:
            return
        self._context.check()
        try:
            done = self._catalog.load(self._collection_id, items, self.holder, exclusive=self._exclusive)
        except ItemsRefused as refusal:
            if len(items) == 1:
                self._reject(items[0], "", f"the database refuses it: {refusal.detail}")
                return
            middle = len(items) // 2
            self.load(items[:middle])
            self.load(items[middle:])
            return
        self._loaded += done.loaded
        self._replaced += done.replaced
        for item in items:
            if item.id in done.refused:
                self._reject(item, "id", done.refused[item.id])

    def result(self, status: Literal["loaded", "not_set_up"], items: int = 0) -> LoadedItems:
        """What became of them."""
        return LoadedItems(
            collection_id=self._collection_id,
            status=status,
            items=items or self._loaded + self._rejects.count,
            loaded=self._loaded,
            replaced=self._replaced,
            rejected=self._rejects.count,
            rejects=self._rejects.named,
        )

    def _reject(self, item: CatalogItem, path: str, reason: str) -> None:
        self._rejects.add(item.source, "", item.id, path, reason)
