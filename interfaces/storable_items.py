"""What the catalog asks of items and collections beyond their schemas, so as to store and find them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime

from pydantic import JsonValue

from .catalog_ids import why_unfit

TIMES = ("datetime", "start_datetime", "end_datetime")


def why_not_storable(item: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """Path and reason of everything that stands in the way."""
    yield from why_id_is_unfit(item.get("id"))
    geometry = item.get("geometry")
    if geometry is None:
        yield "geometry", "is null: pgstac stores no item without a place"
    elif isinstance(geometry, dict):
        yield from _open_rings(geometry, "geometry")
        yield from _not_on_earth(geometry)
    properties = item.get("properties")
    if isinstance(properties, dict):
        yield from _bad_times(properties)


def why_id_is_unfit(identifier: JsonValue) -> Iterator[tuple[str, str]]:
    """Why nobody could ask for an object of this id."""
    reason = why_unfit(identifier)
    if reason is not None:
        yield "id", reason


def _bad_times(properties: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    moments = {}
    for name in TIMES:
        text = properties.get(name)
        if isinstance(text, str):
            try:
                moments[name] = datetime.fromisoformat(text)
            except ValueError:
                yield f"properties.{name}", f"{text[:50]!r} is no moment that PostgreSQL knows"
    start, end = moments.get("start_datetime"), moments.get("end_datetime")
    try:
        backwards = start is not None and end is not None and start > end
    except TypeError:  # one of them without a time zone, which its schema does not let pass
        backwards = False
    if backwards:
        yield "properties.start_datetime", "is after end_datetime: no search would find it"


def _not_on_earth(geometry: Mapping[str, JsonValue]) -> Iterator[tuple[str, str]]:
    """No search would find it there (RFC 7946, 3.1.9: what crosses the antimeridian is cut)."""
    found = False
    for longitude, latitude in _positions(geometry):
        found = True
        if not -180 <= longitude <= 180:
            yield "geometry", f"has the longitude {longitude}, which is not from -180 to 180"
            return
        if not -90 <= latitude <= 90:
            yield "geometry", f"has the latitude {latitude}, which is not from -90 to 90"
            return
    if not found:
        yield "geometry", "is empty: no search would find it"


def _positions(geometry: Mapping[str, JsonValue]) -> Iterator[tuple[float, float]]:
    """Every longitude and latitude, of whatever depth; what is none its schema tells."""
    left: list[JsonValue] = [geometry.get("coordinates"), geometry.get("geometries")]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left += [value.get("coordinates"), value.get("geometries")]
        elif isinstance(value, list):
            if len(value) >= 2 and isinstance(value[0], int | float) and isinstance(value[1], int | float):
                yield value[0], value[1]
            else:
                left += value


def _open_rings(geometry: Mapping[str, JsonValue], path: str) -> Iterator[tuple[str, str]]:
    """PostGIS stores rings that are not closed, and fails at every search that meets them."""
    kind, coordinates = geometry.get("type"), geometry.get("coordinates")
    if kind == "GeometryCollection":
        members = geometry.get("geometries")
        for number, member in enumerate(members if isinstance(members, list) else []):
            if isinstance(member, dict):
                yield from _open_rings(member, f"{path}.geometries.{number}")
        return
    if not isinstance(coordinates, list):
        return
    polygons: list[JsonValue] = [coordinates] if kind == "Polygon" else coordinates
    if kind not in ("Polygon", "MultiPolygon"):
        return
    for number, polygon in enumerate(polygons):
        inner = f".{number}" if kind == "MultiPolygon" else ""
        for index, ring in enumerate(polygon if isinstance(polygon, list) else []):
            if isinstance(ring, list) and ring and ring[0] != ring[-1]:
                yield f"{path}.coordinates{inner}.{index}", "the ring is not closed (RFC 7946, 3.1.6)"
