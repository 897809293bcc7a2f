"""Names and documents of an exported catalog.

::

    catalog.json
    {collection}/collection.json
    {collection}/items/{item}.json              static
    {collection}/parts/00000.json               static, of a collection with more than one range
    {collection}/items/part-00000.parquet       geoparquet

All links between them are relative and none is to itself: the whole can be moved, copied and read offline
(STAC 1.1, best practices, self-contained catalogs). Assets stay where they are. With more than one range the
items are linked by a catalog for each, since one document with a million links is of no use.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pydantic import JsonValue

from .item import safe_id

JSON_TYPE = "application/json"
ITEM_TYPE = "application/geo+json"
PARQUET_TYPE = "application/vnd.apache.parquet"
STRUCTURE = frozenset({"self", "root", "parent", "child", "item", "items", "collection", "next", "prev"})
"""Links that say where a document is in a catalog; what the API had is replaced."""
CATALOG = "catalog.json"
COLLECTION = "collection.json"
ITEMS = "items/"
PARTS = "parts/"
_PLAIN = re.compile(r"[A-Za-z0-9._~-]+")
STAC_VERSION = "1.1.0"

Link = dict[str, JsonValue]
Document = dict[str, Any]


def file_name(text: str) -> str:
    """An id as the name of a file or folder, which is the same in an address; different for different ids."""
    name = safe_id(text)
    if _PLAIN.fullmatch(name) and name.strip("."):
        return name
    mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{re.sub(r'[^A-Za-z0-9_~-]+', '-', name)}-{mark}"


def folder(prefix: str, collection: str) -> str:
    """Where a collection's files are, with a slash at its end."""
    return f"{prefix}/{file_name(collection)}/" if prefix else f"{file_name(collection)}/"


def part_name(number: int, extension: str) -> str:
    """Of a range."""
    return f"part-{number:05}.{extension}" if extension == "parquet" else f"{number:05}.{extension}"


def link(rel: str, href: str, media_type: str, title: JsonValue = None) -> Link:
    """A link; `title` only where there is one."""
    made: Link = {"rel": rel, "href": href, "type": media_type}
    return {**made, "title": title} if title else made


def item_document(item: Mapping[str, Any]) -> Document:
    """An item beside others in `items/`."""
    return {
        **item,
        "links": [
            link("root", f"../../{CATALOG}", JSON_TYPE),
            link("parent", f"../{COLLECTION}", JSON_TYPE),
            link("collection", f"../{COLLECTION}", JSON_TYPE),
            *others(item),
        ],
    }


def item_link(item_id: str) -> Link:
    """From the collection to an item."""
    return link("item", f"./{ITEMS}{quote(file_name(item_id))}.json", ITEM_TYPE)


def part_document(collection: Mapping[str, Any], number: int, items: Iterable[Link]) -> Document:
    """A catalog of the items of one range, which are linked as from the collection."""
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": f"{collection['id']}-{number:05}",
        "description": f"Part {number + 1} of the items of {collection['id']}",
        "links": [
            link("root", f"../../{CATALOG}", JSON_TYPE),
            link("parent", f"../{COLLECTION}", JSON_TYPE),
            *({**one, "href": f"../{str(one['href']).removeprefix('./')}"} for one in items),
        ],
    }


def collection_document(
    collection: Mapping[str, Any], children: Iterable[Link], assets: Mapping[str, JsonValue]
) -> Document:
    """The collection with links to what it holds, and with more assets."""
    made = {
        **collection,
        "links": [
            link("root", f"../{CATALOG}", JSON_TYPE),
            link("parent", f"../{CATALOG}", JSON_TYPE),
            *children,
            *others(collection),
        ],
    }
    if assets:
        made["assets"] = {**collection.get("assets", {}), **assets}
    return made


def parts_asset(numbers: Iterable[int]) -> dict[str, JsonValue]:
    """The tables of a collection, as the stac-geoparquet specification names them.

    https://github.com/stac-utils/stac-geoparquet/blob/main/spec/stac-geoparquet-spec.md
    """
    return {
        f"items-{number:05}": {
            "href": f"./{ITEMS}{part_name(number, 'parquet')}",
            "type": PARQUET_TYPE,
            "title": "Items as stac-geoparquet",
            "roles": ["stac-items"],
        }
        for number in numbers
    }


def catalog_document(before: Mapping[str, Any] | None, collections: Mapping[str, JsonValue]) -> Document:
    """The root, with these collections (titles by id) besides those that an earlier export left in it."""
    children = {f"./{quote(file_name(one))}/{COLLECTION}": title for one, title in collections.items()}
    kept = [
        one
        for one in (before or {}).get("links", [])
        if one.get("rel") == "child" and one.get("href") not in children
    ]
    made = [link("child", href, JSON_TYPE, title) for href, title in children.items()]
    return {
        "type": "Catalog",
        "stac_version": STAC_VERSION,
        "id": (before or {}).get("id", "catalog"),
        "description": (before or {}).get("description", "Exported collections"),
        "links": [
            link("root", f"./{CATALOG}", JSON_TYPE),
            *sorted([*kept, *made], key=lambda one: str(one["href"])),
        ],
    }


def others(document: Mapping[str, Any]) -> list[Link]:
    """Links of a document that are not about its place in a catalog."""
    return [one for one in document.get("links", []) if one.get("rel") not in STRUCTURE]
