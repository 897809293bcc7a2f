"""Items and collections to register."""

from __future__ import annotations

from typing import Any


def item(number: int = 1, *, collection: str | None = "scenes", **changes: Any) -> dict[str, Any]:
    """A valid STAC 1.1 item, at its number's place and day; without a link to its collection."""
    x, y = number % 170, number % 80
    made: dict[str, Any] = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": f"item-{number}",
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "bbox": [x, y, x, y],
        "properties": {"datetime": f"20{number % 90 + 10}-01-{number % 28 + 1:02}T00:00:00Z"},
        "links": [],
        "assets": {"data": {"href": f"https://example.com/{number}.tif", "roles": ["data"]}},
    }
    if collection is not None:
        made["collection"] = collection
    return made | changes


def collection(identifier: str = "scenes", **changes: Any) -> dict[str, Any]:
    """A valid STAC 1.1 collection."""
    return {
        "type": "Collection",
        "stac_version": "1.1.0",
        "id": identifier,
        "description": "Scenes",
        "license": "other",
        "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
        "links": [],
    } | changes
