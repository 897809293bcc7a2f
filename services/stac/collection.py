"""The document of a collection that is created because items need it."""

from __future__ import annotations

from pydantic import JsonValue

from interfaces.registrations import NewCollection

EVERYWHERE: JsonValue = [[-180, -90, 180, 90]]
ALWAYS: JsonValue = [[None, None]]


def minimal_collection(collection_id: str, wanted: NewCollection) -> dict[str, JsonValue]:
    """A STAC 1.1 collection that claims nothing of its items: its extent is the world and all time."""
    document: dict[str, JsonValue] = {
        "type": "Collection",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": collection_id,
        "description": wanted.description or wanted.title or f"Items of {collection_id}",
        "license": wanted.license,
        "extent": {"spatial": {"bbox": EVERYWHERE}, "temporal": {"interval": ALWAYS}},
        "links": [],
    }
    if wanted.title is not None:
        document["title"] = wanted.title
    return document


def collection_link(collection_id: str) -> dict[str, JsonValue]:
    """An item's link to its collection, relative to where the API has the item.

    The schema asks for it, and the API replaces it by an absolute one.
    """
    return {"rel": "collection", "href": f"../../{collection_id}", "type": "application/json"}
