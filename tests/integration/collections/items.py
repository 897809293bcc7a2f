"""Makes STAC items and a collection for tests of the catalog."""

from __future__ import annotations

from typing import Any

COLLECTION: dict[str, Any] = {
    "type": "Collection",
    "stac_version": "1.1.0",
    "id": "scenes",
    "description": "Scenes",
    "license": "other",
    "extent": {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [[None, None]]}},
    "links": [],
}


def stac_item(
    number: int, *, month: int = 1, west: float | None = None, south: float = 0, **more: Any
) -> dict[str, Any]:
    """A valid item of a square degree, west at its number unless said; `more` are properties or its id."""
    west = float(number if west is None else west)
    east, north = west + 1, south + 1
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [],
        "id": more.pop("id", f"item-{number:03}"),
        "collection": more.pop("collection", "scenes"),
        "geometry": {
            "type": "Polygon",
            "coordinates": [[[west, south], [east, south], [east, north], [west, north], [west, south]]],
        },
        "bbox": [west, south, east, north],
        "properties": {"datetime": f"2024-{month:02}-15T00:00:00Z", **more},
        "links": [],
        "assets": {
            "data": {"href": f"https://example.com/{number}.tif", "type": "image/tiff", "roles": ["data"]}
        },
    }
