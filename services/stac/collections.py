"""Handlers of stac_collection: sum up each range of items, then write what they say together."""

from __future__ import annotations

from typing import Any

from pydantic import Field, JsonValue

from interfaces.catalog_items import CatalogItems
from interfaces.collection_summaries import MOST_VALUES
from interfaces.contracts import Contract, TaskParameters
from interfaces.workflows import TaskContext

from .collection_summary import CollectionSummary
from .ranges import RangeParameters
from .registered_documents import holder_of


class SummarizeItemsParameters(RangeParameters):
    """A range, and the fields to sum up."""

    fields: list[str]


class SummarizeItemsResult(Contract):
    """How many items were looked at."""

    collection: str
    items: int


class SummarizeItems:
    """Sums up one range in the database, and discovers the summary."""

    def __init__(self, items: CatalogItems) -> None:
        self._items = items

    def __call__(self, parameters: SummarizeItemsParameters, context: TaskContext) -> SummarizeItemsResult:
        """Sum up."""
        part = parameters.part
        extent = self._items.extent(part)
        context.check()
        values = self._items.values(part, parameters.fields, MOST_VALUES) if parameters.fields else []
        context.check()
        found = CollectionSummary.of(extent, values, self._items.extensions(part))
        context.discover([{"collection": part.collection, "summary": found.model_dump(mode="json")}])
        return SummarizeItemsResult(collection=part.collection, items=found.items)


class UpdateCollectionParameters(TaskParameters):
    """The summaries of all ranges of a collection, and what becomes of them."""

    collection: str
    items: list[dict[str, Any]]
    fields: list[str]
    write_extent: bool
    queryables: bool


class UpdateCollectionResult(Contract):
    """What the collection's document says now."""

    collection: str
    items: int
    changed: bool
    """False where the document said so already."""
    extent: dict[str, JsonValue] | None
    """As computed, whether or not it was written; None where there is no item."""
    summaries: dict[str, JsonValue]
    left_out: dict[str, str]
    """Fields that are not summed up, and why."""
    queryables_added: list[str] = Field(default_factory=list)


class UpdateCollection:
    """Adds up the ranges and writes the document, in one transaction that holds the collection's row."""

    def __init__(self, items: CatalogItems) -> None:
        self._items = items

    def __call__(
        self, parameters: UpdateCollectionParameters, context: TaskContext
    ) -> UpdateCollectionResult:
        """Write. Raises `CollectionNotFound` when the collection was deleted meanwhile."""
        total = CollectionSummary()
        for item in parameters.items:
            total.merge(CollectionSummary.model_validate(item["summary"]))
        holder = holder_of(context)
        changed = self._items.change(
            parameters.collection,
            lambda before: total.document(before, parameters.fields, write_extent=parameters.write_extent),
            holder,
        )
        added = self._items.add_queryables(parameters.collection, holder) if parameters.queryables else []
        summaries, left_out = total.summaries(parameters.fields)
        return UpdateCollectionResult(
            collection=parameters.collection,
            items=total.items,
            changed=changed,
            extent=total.extent(),
            summaries=summaries,
            left_out=left_out,
            queryables_added=[one.name for one in added],
        )
