"""Handlers of stac_export: write the items of each range, then each collection, then the catalog.

What a reader finds by following links from `catalog.json` is always whole: items come before the documents
that link to them, and files that the last export has and this one has not go after.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from interfaces.catalog_exports import ExportTarget
from interfaces.catalog_items import EVERY_ITEM, CatalogItems, ItemFilter
from interfaces.contracts import Contract, TaskParameters
from interfaces.workflows import TaskContext
from services.export_blobs import ExportBlobs
from services.scratch import ScratchSpace

from . import export_layout as layout
from . import geoparquet
from .ranges import RangeParameters

PAGE = 250
"""Items read at once."""
SPACE = 64 * 1024**2
"""Bytes on disk that the table of a range takes, and more."""
MARK = "stac_export"
"""Of the files of exports."""
CATALOG = "catalog"
"""What all collections of an export have in common: the key by which they are grouped, and its value."""


class ExportItemsParameters(RangeParameters):
    """A range, and where its items go."""

    wanted: ItemFilter = EVERY_ITEM
    target: ExportTarget


class ExportItemsResult(Contract):
    """How many items were written."""

    collection: str
    items: int


class ExportItems:
    """Writes one range: as files that nothing links to yet, or as a table that is kept for the next stage."""

    def __init__(self, items: CatalogItems, exports: ExportBlobs, scratch: ScratchSpace) -> None:
        self._items = items
        self._exports = exports
        self._scratch = scratch

    def __call__(self, parameters: ExportItemsParameters, context: TaskContext) -> ExportItemsResult:
        """Write. Raises `ContainerNotFound`, and `PermanentTaskError` for items that fit no table."""
        target = parameters.target
        # A container that is missing is told before any work.
        self._exports.exported(target.target_container, _in(target, layout.CATALOG))
        write = self._table if target.format == "geoparquet" else self._files
        made = write(parameters, context)
        found: dict[str, JsonValue] = {
            "collection": parameters.collection,
            "number": parameters.number,
            **made,
        }
        context.discover([found])
        return ExportItemsResult(collection=parameters.collection, items=_int(made["items"]))

    def _files(self, parameters: ExportItemsParameters, context: TaskContext) -> dict[str, JsonValue]:
        container = parameters.target.target_container
        folder = layout.folder(parameters.target.target_prefix, parameters.collection) + layout.ITEMS
        links: list[layout.Link] = []
        since: str | None = None
        for page in self._pages(parameters, context):
            for item in page:
                context.check()
                name = f"{folder}{layout.file_name(item['id'])}.json"
                self._exports.write_item(
                    container, name, encoded(layout.item_document(item)), layout.ITEM_TYPE
                )
                since = since or self._exports.written_at(container, name)
                links.append(layout.item_link(item["id"]))
        kept = self._exports.keep(encoded(links), "-links.json", context)
        return {"items": len(links), "kept": kept, "since": since}

    def _pages(
        self, parameters: ExportItemsParameters, context: TaskContext
    ) -> Iterator[list[dict[str, Any]]]:
        for page in self._items.items(parameters.part, parameters.wanted, PAGE):
            context.check()
            yield page

    def _table(self, parameters: ExportItemsParameters, context: TaskContext) -> dict[str, JsonValue]:
        table = geoparquet.table_of(self._pages(parameters, context))
        if table is None:
            return {"items": 0}
        collection = self._items.document(parameters.collection)
        with self._scratch.directory(SPACE, context.check) as folder:
            geoparquet.write(table, folder / "items.parquet", layout.collection_document(collection, [], {}))
            kept = self._exports.keep((folder / "items.parquet").read_bytes(), "-items.parquet", context)
        return {"items": table.num_rows, "kept": kept, "arrow_schema": geoparquet.encoded(table.schema)}


class Part(TaskParameters):
    """A range that was written; `kept` is its table, or the links to its files."""

    collection: str
    number: int
    items: int
    kept: str | None = None
    since: str | None = None
    """When its first file was written, by the storage's clock."""
    arrow_schema: str | None = None


class ExportCollectionParameters(TaskParameters):
    """All ranges of a collection."""

    collection: str
    items: list[Part]
    target: ExportTarget


class ExportCollectionResult(Contract):
    """What was written of a collection. `files`: items, or tables."""

    collection: str
    items: int
    files: int
    removed: int
    """Files of an earlier export that are not in this one."""
    url: str


class ExportCollection:
    """Publishes a collection's tables, or catalogs of its ranges, then its document, and clears up."""

    def __init__(self, items: CatalogItems, exports: ExportBlobs, scratch: ScratchSpace) -> None:
        self._items = items
        self._exports = exports
        self._scratch = scratch

    def __call__(
        self, parameters: ExportCollectionParameters, context: TaskContext
    ) -> ExportCollectionResult:
        """Publish. Raises `PermanentTaskError` for tables that do not fit together."""
        target, container = parameters.target, parameters.target.target_container
        folder = layout.folder(target.target_prefix, parameters.collection)
        document = self._items.document(parameters.collection)
        name = f"{folder}{layout.COLLECTION}"
        again = self._exports.exported(container, name)
        parts = sorted((one for one in parameters.items if one.items), key=lambda one: one.number)
        if target.format == "geoparquet":
            written = self._tables(document, parts, folder, target, context)
            assets = layout.parts_asset(one.number for one in parts)
            content = layout.collection_document(document, [], assets)
            files = len(written)
        else:
            children, written = self._children(document, parts, folder, target, context)
            content = layout.collection_document(document, children, {})
            files = sum(one.items for one in parts)
        self._exports.publish(container, name, lambda _: encoded(content), layout.JSON_TYPE, context)
        removed = self._clear(target, folder, written, parts, context) if again else 0
        found: dict[str, JsonValue] = {
            CATALOG: CATALOG,
            "collection": parameters.collection,
            "title": document.get("title"),
        }
        context.discover([found])
        return ExportCollectionResult(
            collection=parameters.collection,
            items=sum(one.items for one in parts),
            files=files,
            removed=removed,
            url=self._exports.url(container, name),
        )

    def _tables(
        self,
        document: Mapping[str, Any],
        parts: list[Part],
        folder: str,
        target: ExportTarget,
        context: TaskContext,
    ) -> set[str]:
        """Publish each table, first in the schema of all of them where it has another."""
        if not parts:
            return set()
        schema = geoparquet.together([str(one.arrow_schema) for one in parts])
        common = geoparquet.encoded(schema)
        written = set()
        for part in parts:
            kept = str(part.kept)
            if part.arrow_schema != common:
                with self._scratch.directory(SPACE, context.check) as place:
                    path = Path(place) / "items.parquet"
                    path.write_bytes(self._exports.kept(kept))
                    table = geoparquet.conformed(geoparquet.read(path), schema)
                    geoparquet.write(table, path, layout.collection_document(document, [], {}))
                    kept = self._exports.keep(path.read_bytes(), f"-{part.number}.parquet", context)
            name = f"{folder}{layout.ITEMS}{layout.part_name(part.number, 'parquet')}"
            self._exports.publish_kept(target.target_container, name, kept, layout.PARQUET_TYPE, context)
            written.add(name)
        return written

    def _children(
        self,
        document: Mapping[str, Any],
        parts: list[Part],
        folder: str,
        target: ExportTarget,
        context: TaskContext,
    ) -> tuple[list[layout.Link], set[str]]:
        """Links to the items of the only range, or to a catalog for each of several, which are published."""
        if len(parts) <= 1:
            return [one for part in parts for one in json.loads(self._exports.kept(str(part.kept)))], set()
        children, written = [], set()
        for part in parts:
            links = json.loads(self._exports.kept(str(part.kept)))
            content = encoded(layout.part_document(document, part.number, links))
            path = f"{layout.PARTS}{layout.part_name(part.number, 'json')}"
            self._exports.publish(
                target.target_container,
                f"{folder}{path}",
                lambda _, made=content: made,  # type: ignore[misc]
                layout.JSON_TYPE,
                context,
            )
            children.append(layout.link("child", f"./{path}", layout.JSON_TYPE))
            written.add(f"{folder}{path}")
        return children, written

    def _clear(
        self,
        target: ExportTarget,
        folder: str,
        written: set[str],
        parts: list[Part],
        context: TaskContext,
    ) -> int:
        """Remove what an earlier export wrote and this one did not."""
        since = min((one.since for one in parts if one.since), default=None)

        def old(name: str, written_at: str) -> bool:
            if target.format == "geoparquet":
                return name not in written
            return since is None or written_at < since

        remove, container = self._exports.remove, target.target_container
        removed = remove(container, f"{folder}{layout.ITEMS}", old, context)
        remove(container, f"{folder}{layout.PARTS}", lambda name, _: name not in written, context)
        return removed


class ExportedCollection(TaskParameters):
    """A collection whose document is there."""

    catalog: str
    collection: str
    title: str | None = None


class ExportCatalogParameters(TaskParameters):
    """All collections of the export."""

    catalog: str
    items: list[ExportedCollection]
    target: ExportTarget


class ExportCatalogResult(Contract):
    """Where the root is."""

    url: str


class ExportCatalog:
    """Publishes the root. Collections that other exports left beside these stay in it."""

    def __init__(self, exports: ExportBlobs) -> None:
        self._exports = exports

    def __call__(self, parameters: ExportCatalogParameters, context: TaskContext) -> ExportCatalogResult:
        """Publish."""
        titles: dict[str, JsonValue] = {one.collection: one.title for one in parameters.items}
        container, name = parameters.target.target_container, _in(parameters.target, layout.CATALOG)

        def content(before: bytes | None) -> bytes:
            return encoded(layout.catalog_document(json.loads(before) if before else None, titles))

        self._exports.publish(container, name, content, layout.JSON_TYPE, context)
        return ExportCatalogResult(url=self._exports.url(container, name))


def encoded(document: Any) -> bytes:
    """As JSON."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _in(target: ExportTarget, name: str) -> str:
    return f"{target.target_prefix}/{name}" if target.target_prefix else name


def _int(value: JsonValue) -> int:
    assert isinstance(value, int)
    return value
