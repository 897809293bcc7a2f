"""What a job covers on the Earth: COGs and layers it made, STAC items, rasters that it looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from posixpath import dirname, normpath
from posixpath import join as joined
from typing import Any

from interfaces.errors import NotFound

from .bounded import bounded
from .database import Database
from .keyset import Document
from .sql_files import queries

WGS84 = 4326
LOOKED_AT = 50_000
"""Tasks and items of a run among which rasters and STAC items are looked for."""


@dataclass(frozen=True)
class Thumbnail:
    """Where the picture of a COG lies, and an etag that changes with the COG."""

    container: str
    name: str
    content_type: str
    etag: str


class Coverage:
    """Reads for maps. Raises `ServiceUnavailable` when the database does not answer."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("job_views")

    def features(self, job_id: str, run: int, limit: int) -> Document:
        """A GeoJSON FeatureCollection (RFC 7946) of at most `limit` features of each kind.

        `kind` is `cog`, `item`, `raster` or `layer`. Items of COGs that are shown are left out. `truncated`
        says that there are more; `without_place` counts what has none on the Earth.
        """
        key = {"job_id": job_id, "limit": limit + 1, "looked_at": LOOKED_AT}
        with bounded(self._database) as connection:

            def rows(query: str, **more: object) -> list[dict[str, Any]]:
                return connection.execute(self._sql[query], {**key, **more}).fetchall()

            cogs, layers = rows("published_cogs"), rows("layers")
            items, rasters = rows("items", run=run), rows("rasters", run=run)
        shown = {cog["item_id"] for cog in cogs}
        parts = [
            [_cog(row) for row in cogs[:limit]],
            [_item(row) for row in items[:limit] if row["item_id"] not in shown],
            [_raster(row) for row in rasters[:limit]],
            [_layer(row) for row in layers[:limit]],
        ]
        found = [feature for part in parts for feature in part]
        placed = [feature for feature in found if feature["geometry"] is not None]
        return {
            "type": "FeatureCollection",
            "features": placed,
            "without_place": len(found) - len(placed),
            "truncated": any(len(part) > limit for part in (cogs, items, rasters, layers)),
        }

    def thumbnail(self, container: str, name: str) -> Thumbnail:
        """Where the picture of a published COG lies. Raises `NotFound`."""
        with self._database.connection() as connection:
            row = connection.execute(
                self._sql["cog_thumbnail"], {"container": container, "name": name}
            ).fetchone()
        place = _beside(name, row["href"]) if row and row["href"] else None
        if row is None or place is None:
            raise NotFound(f"no COG that was published as {container}/{name} has a thumbnail"[:500])
        return Thumbnail(container, place, row["type"] or "image/png", row["etag"])


def _beside(cog: str, href: str) -> str | None:
    """The blob that a relative link in a COG's item names; None for any other link."""
    if "://" in href or href.startswith("/"):
        return None
    place = normpath(joined(dirname(cog), href))
    return None if place.startswith("../") or place == ".." else place


def _cog(row: dict[str, Any]) -> Document:
    properties = {key: row[key] for key in ("container", "name", "size", "published_at", "thumbnail")}
    return _feature("cog", row["name"], row["geometry"] or _box(row["bbox"]), properties)


def _item(row: dict[str, Any]) -> Document:
    title = str(row["item_id"])
    return _feature(
        "item", title, row["geometry"] or _box(row["bbox"]), {"collection": row["collection"], "item": title}
    )


def _raster(row: dict[str, Any]) -> Document:
    place = {"stage": row["stage"], "task_index": row["task_index"]}
    return _feature("raster", str(row["name"] or row["task_index"]), _box(row["bbox"]), place)


def _layer(row: dict[str, Any]) -> Document:
    name = f"{row['target_schema']}.{row['target_table']}"
    about = {key: row[key] for key in ("geometry_type", "row_count", "srid", "loaded_at")}
    return _feature("layer", name, _box(_degrees(row["extent"], row["srid"])), about)


def _feature(kind: str, title: str, geometry: object, properties: Document) -> Document:
    return {
        "type": "Feature",
        "geometry": geometry,
        "properties": {"kind": kind, "title": title, **properties},
    }


def _degrees(extent: Sequence[float] | None, srid: int) -> list[float] | None:
    if extent is None or srid == WGS84:
        return None if extent is None else list(extent)
    # PROJ is loaded by the first layer that is in another CRS.
    from .features_api.projections import degrees

    return degrees(extent, srid)


def _box(bbox: object) -> Document | None:
    """A box as a polygon; as two where its west is greater than its east (RFC 7946, section 5.2)."""
    if not isinstance(bbox, list) or not all(isinstance(one, int | float) for one in bbox):
        return None
    if len(bbox) not in (4, 6):
        return None
    half = len(bbox) // 2
    west, south, east, north = bbox[0], bbox[1], bbox[half], bbox[half + 1]
    rings = [_ring(*one) for one in _halves(west, south, east, north)]
    if len(rings) == 1:
        return {"type": "Polygon", "coordinates": rings}
    return {"type": "MultiPolygon", "coordinates": [[ring] for ring in rings]}


def _halves(
    west: float, south: float, east: float, north: float
) -> Iterator[tuple[float, float, float, float]]:
    if west <= east:
        yield west, south, east, north
        return
    yield west, south, 180.0, north
    yield -180.0, south, east, north


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]
