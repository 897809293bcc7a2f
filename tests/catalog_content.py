"""A collection and any number of items to search for, made by rule: a test knows what must be found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

COLLECTION = "scenes"
FIRST = datetime(2022, 1, 1, tzinfo=UTC)
EVERY = timedelta(hours=1)
SIZE = 2.0
"""Degrees; a scene is a square."""
QUERYABLES = {"eo:cloud_cover": {"type": "number", "minimum": 0, "maximum": 100}}
EO = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"


@dataclass(frozen=True)
class Scene:
    """An item in the terms that searches are made of; `west` > `east` where it crosses the antimeridian."""

    number: int
    west: float
    south: float
    time: datetime
    cloud_cover: int

    @property
    def id(self) -> str:
        return f"scene-{self.number:06}"

    @property
    def east(self) -> float:
        return self.west + SIZE if self.west + SIZE <= 180 else self.west + SIZE - 360

    @property
    def north(self) -> float:
        return self.south + SIZE

    def meets(self, west: float, south: float, east: float, north: float) -> bool:
        """Whether it has a point in common with a box, whose `west` > `east` where that crosses it."""
        if self.north < south or self.south > north:
            return False
        return any(a <= d and c <= b for a, b in _spans(self.west, self.east) for c, d in _spans(west, east))


def _spans(west: float, east: float) -> list[tuple[float, float]]:
    return [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]


def scenes(count: int) -> list[Scene]:
    """Spread over the globe by strides that have no factor with the number of places; one an hour."""
    return [
        Scene(
            number,
            west=(number * 77 % 720) / 2 - 180,
            south=(number * 31 % 320) / 2 - 80,
            time=FIRST + number * EVERY,
            cloud_cover=number * 7 % 101,
        )
        for number in range(count)
    ]


def collection(identity: str = COLLECTION) -> dict[str, Any]:
    """Of all scenes."""
    return {
        "type": "Collection",
        "id": identity,
        "stac_version": "1.1.0",
        "title": "Scenes",
        "description": "Squares with a time and a cloud cover",
        "keywords": ["squares"],
        "license": "CC-BY-4.0",
        "links": [{"rel": "license", "href": "https://creativecommons.org/licenses/by/4.0/"}],
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2022-01-01T00:00:00Z", None]]},
        },
    }


def item(scene: Scene, collection_id: str = COLLECTION) -> dict[str, Any]:
    """A STAC 1.1 item with a footprint that is split at the antimeridian (RFC 7946, section 3.1.9)."""
    rings = [_ring(west, scene.south, east, scene.north) for west, east in _spans(scene.west, scene.east)]
    whole = {"type": "Polygon", "coordinates": rings[0]}
    split = {"type": "MultiPolygon", "coordinates": rings}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [EO],
        "id": scene.id,
        "collection": collection_id,
        "geometry": whole if len(rings) == 1 else split,
        "bbox": [scene.west, scene.south, scene.east, scene.north],
        "properties": {
            "datetime": scene.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "created": "2026-01-01T00:00:00Z",
            "updated": "2026-01-01T00:00:00Z",
            "title": f"Scene {scene.number}",
            "eo:cloud_cover": scene.cloud_cover,
        },
        "links": [],
        "assets": {
            "data": {
                "href": f"https://data.example.org/{scene.id}.tif",
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "roles": ["data"],
            }
        },
    }


def _ring(west: float, south: float, east: float, north: float) -> list[list[list[float]]]:
    return [[[west, south], [east, south], [east, north], [west, north], [west, south]]]


def fill(database_url: str, count: int, page: int = 1000) -> list[Scene]:
    """Put the collection and its items into a catalog; answers what is in it."""
    made = scenes(count)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("SET search_path = pgstac, public")
        connection.execute("SELECT create_collection(%s::jsonb)", [json.dumps(collection())])
        # pgstac sorts as text what no queryable says to be a number.
        connection.execute("SELECT upsert_queryables(%s::jsonb)", [json.dumps({"properties": QUERYABLES})])
        for rows in _pages(made, page):
            documents = json.dumps([item(scene) for scene in rows])
            connection.execute("SELECT create_items(%s::jsonb)", [documents])
        connection.execute("ANALYZE")
    return made


def _pages(made: list[Scene], page: int) -> Iterator[list[Scene]]:
    for start in range(0, len(made), page):
        yield made[start : start + page]
