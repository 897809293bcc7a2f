"""Builds the STAC 1.1 item of a table of features in PostGIS (table extension)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import JsonValue

from .collection import collection_link
from .item import safe_id
from .lineage import PROCESSING

PROJECTION = "https://stac-extensions.github.io/projection/v2.0.0/schema.json"
TABLE = "https://stac-extensions.github.io/table/v1.2.0/schema.json"
EDGE_POINTS = 21
"""Points along each edge of an extent that is transformed: a straight edge is a curve in another CRS."""
LONGITUDES = 360.0


class NoPlace(Exception):
    """A table has no place on Earth; the message is the reason."""


@dataclass(frozen=True)
class Table:
    """A table as its publication left it. `extent` is in its own CRS, [x min, y min, x max, y max]."""

    schema: str
    name: str
    title: str
    crs: str
    extent: Sequence[float] | None
    rows: int
    columns: Sequence[tuple[str, str, str | None]]
    """Name, type, and what it was called before."""
    geometry: str
    href: str


def table_item(
    table: Table, *, collection_id: str, time: datetime, loaded: datetime, lineage: str
) -> dict[str, JsonValue]:
    """The item, whose id is always the same for a table of one name. Raises `NoPlace`.

    `time` is its datetime, `loaded` when its rows came. Its geometry is the table's extent.
    """
    geometry, bbox = _place(table)
    moment = _text(loaded)
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [PROJECTION, TABLE, PROCESSING],
        "id": safe_id(f"{table.schema}.{table.name}"),
        "geometry": geometry,
        "bbox": bbox,
        "properties": {
            "title": table.title,
            "datetime": _text(time),
            "created": moment,
            "updated": moment,
            "proj:code": _code(table.crs),
            "proj:bbox": [*(table.extent or ())],
            "table:columns": [_column(*column) for column in table.columns],
            "table:primary_geometry": table.geometry,
            "table:row_count": table.rows,
            "processing:lineage": lineage,
            "processing:datetime": moment,
        },
        "collection": collection_id,
        "links": [collection_link(collection_id)],
        "assets": {
            "data": {"href": table.href, "title": f"Table {table.schema}.{table.name}", "roles": ["data"]}
        },
    }


def _column(name: str, kind: str, original: str | None) -> dict[str, JsonValue]:
    column: dict[str, JsonValue] = {"name": name, "type": kind}
    if original is not None and original != name:
        column["description"] = original
    return column


def _text(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def _code(crs: str) -> str | None:
    from pyproj import CRS

    authority = CRS.from_user_input(crs).to_authority(min_confidence=90)
    return ":".join(authority) if authority else None


def _place(table: Table) -> tuple[JsonValue, JsonValue]:
    """Geometry and box in degrees; over the antimeridian west is greater than east (RFC 7946, 5.2)."""
    import shapely
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    if table.extent is None:
        raise NoPlace("it has no geometries")
    try:
        transformer = Transformer.from_crs(table.crs, "OGC:CRS84", always_xy=True)
        left, bottom, right, top = table.extent
        edges = transformer.transform_bounds(left, bottom, right, top, densify_pts=EDGE_POINTS)
    except ProjError as error:
        raise NoPlace(f"its extent cannot be transformed into degrees: {error}"[:300]) from error
    west, south, east, north = (float(edge) for edge in edges)
    if not all(abs(edge) <= 2 * LONGITUDES for edge in (west, south, east, north)):
        raise NoPlace("its extent lies nowhere on Earth")
    if east - west >= LONGITUDES:
        west, east = -180.0, 180.0
    west, east = _wrapped(west), _wrapped(east)
    south, north = max(south, -90.0), min(north, 90.0)
    boxes = [(west, east)] if west <= east else [(west, 180.0), (-180.0, east)]
    shapes = [shapely.envelope(shapely.LineString([(w, south), (e, north)])) for w, e in boxes]
    shape = shapes[0] if len(shapes) == 1 else shapely.MultiPolygon(shapes)
    made: JsonValue = json.loads(shapely.to_geojson(shapely.orient_polygons(shape)))
    return made, [west, south, east, north]


def _wrapped(longitude: float) -> float:
    return longitude if abs(longitude) <= 180 else (longitude + 180) % LONGITUDES - 180
