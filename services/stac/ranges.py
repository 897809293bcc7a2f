"""First stage of the jobs about a collection's items: divides them into ranges of ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import Field

from interfaces.catalog_items import EVERY_ITEM, CatalogItems, ItemFilter, ItemRange
from interfaces.contracts import Contract, TaskParameters
from interfaces.workflows import TaskContext


class DivideCollectionsParameters(TaskParameters):
    """Which items, and how many of them make a range."""

    collections: list[str]
    size: Annotated[int, Field(ge=1)]
    wanted: ItemFilter = EVERY_ITEM


class DivideCollectionsResult(Contract):
    """How many ranges each collection was divided into; one at least, though it may have no item."""

    ranges: dict[str, int]


class DivideCollections:
    """Discovers the ranges. The database counts the ids; here are only those at which ranges end."""

    def __init__(self, items: CatalogItems) -> None:
        self._items = items

    def __call__(
        self, parameters: DivideCollectionsParameters, context: TaskContext
    ) -> DivideCollectionsResult:
        """Divide. Raises `CollectionNotFound`, which names the collection."""
        for collection in parameters.collections:
            self._items.document(collection)
        counted: dict[str, int] = {}

        def found() -> Iterator[dict[str, Any]]:
            for collection in parameters.collections:
                context.check()
                ends = [None, *self._items.boundaries(collection, parameters.size, parameters.wanted), None]
                counted[collection] = len(ends) - 1
                for number in range(len(ends) - 1):
                    part = ItemRange(
                        collection=collection,
                        number=number,
                        ranges=len(ends) - 1,
                        after=ends[number],
                        upto=ends[number + 1],
                    )
                    yield part.model_dump(mode="json")

        context.discover(found())
        return DivideCollectionsResult(ranges=counted)


class RangeParameters(TaskParameters):
    """A range, as the first stage discovered it."""

    collection: str
    number: int
    ranges: int
    after: str | None = None
    upto: str | None = None

    @property
    def part(self) -> ItemRange:
        """The range."""
        return ItemRange(**{name: getattr(self, name) for name in ItemRange.model_fields})
