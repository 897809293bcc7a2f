"""What requests may ask, before tipg reads it: an unknown parameter would otherwise select everything."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from ciso8601 import parse_rfc3339
from fastapi import Path, Query, Request
from morecantile import Tile
from tipg.resources.enums import MediaType

from interfaces.errors import FieldError, InvalidRequest, NotFound
from repositories.asgi.cql2_filters import read, unfit

CRS84 = {"http://www.opengis.net/def/crs/OGC/1.3/CRS84", "http://www.opengis.net/def/crs/OGC/0/CRS84h"}
SELECTING = {
    *("ids", "datetime", "bbox", "bbox-crs", "properties", "filter", "filter-lang", "filter-crs"),
    *("geom-column", "datetime-column", "limit", "simplify"),
}
PARAMETERS: Mapping[str, Collection[str]] = {
    "items": {*SELECTING, "f", "offset", "bbox-only", "sortby", "crs"},
    "item": {"f", "bbox-only", "simplify", "geom-column", "datetime-column", "properties", "crs"},
    "collection_get_tile": SELECTING,
    "collection_tilejson": {*SELECTING, "minzoom", "maxzoom"},
    "collection_stylejson": {*SELECTING, "minzoom", "maxzoom"},
    "collections": {"f", "bbox", "datetime", "type", "limit", "offset"},
}
"""By the name of the route. Those that select features also take columns by their names."""
BY_COLUMN = {"items", "collection_get_tile", "collection_tilejson", "collection_stylejson"}
MOST_ZOOM = 24
"""WebMercatorQuad has no more."""


def check(request: Request, columns: Collection[str] = ()) -> None:
    """Raise `InvalidRequest` for parameters that this address does not have, or that no condition can be."""
    name = request.scope["route"].name
    known = PARAMETERS.get(name, {"f"})
    for parameter, value in request.query_params.multi_items():
        if "\x00" in parameter + value:
            raise wrong(parameter.replace("\x00", ""), "has U+0000")
        if parameter not in known and not (name in BY_COLUMN and parameter in columns):
            raise wrong(parameter, "is no parameter of this address, and no column of the layer")
        if parameter not in known and parameter != parameter.lower():
            raise wrong(parameter, "has capitals: name it in filter")
        if parameter in ("crs", "bbox-crs", "filter-crs") and value not in CRS84:
            raise wrong(parameter, "is answered in CRS84 only")
        if parameter == "simplify" and not (_number(value) or 0) > 0:
            raise wrong(parameter, "must be a number greater than 0")
        if parameter == "limit" and re.fullmatch(r"0+", value):
            raise wrong(parameter, "must be at least 1")
        if parameter in {"minzoom", "maxzoom"} & set(known) and not (
            re.fullmatch(r"\d{1,2}", value) and int(value) <= MOST_ZOOM
        ):
            raise wrong(parameter, f"must be a whole number from 0 to {MOST_ZOOM}")
        if parameter == "offset" and not re.fullmatch(r"\d{1,18}", value):
            raise wrong(parameter, "must be a whole number from 0")
    least, most = (request.query_params.get(one) for one in ("minzoom", "maxzoom"))
    if "minzoom" in known and least and most and int(least) > int(most):
        raise wrong("maxzoom", "is less than minzoom")


def wrong(field: str, reason: str) -> InvalidRequest:
    """The error for a parameter."""
    return InvalidRequest(f"{field}: {reason}", errors=[FieldError(field=field, reason=reason)])


def instant(text: str) -> str:
    """The same. Raises `InvalidRequest` for what RFC 3339 has no time for."""
    try:
        parse_rfc3339(text)
    except ValueError:
        raise wrong("datetime", "must be RFC 3339 times, as 2024-01-31T12:00:00Z/..") from None
    return text


async def bbox(bbox: Annotated[str | None, Query(description="west,south,east,north")] = None) -> Any:
    """Four numbers in degrees, of which the first is greater than the third across the antimeridian."""
    if not bbox:
        return None
    numbers = [_number(part) for part in bbox.split(",")]
    if len(numbers) not in (4, 6):
        raise wrong("bbox", "has four or six numbers")
    west, south, east, north = (numbers[n] for n in ((0, 1, 2, 3) if len(numbers) == 4 else (0, 1, 3, 4)))
    if None in numbers or west is None or south is None or east is None or north is None:
        raise wrong("bbox", "has four or six numbers")
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90:
        raise wrong("bbox", "is in degrees: longitude from -180 to 180, latitude from -90 to 90")
    if south > north:
        raise wrong("bbox", "has a south that is north of its north")
    return [west, south, east, north]


async def times(
    datetime: Annotated[
        str | None, Query(description="An RFC 3339 time, or an interval a/b, ../b, a/..")
    ] = None,
) -> list[str] | None:
    """One time, or the two ends of an interval."""
    if not datetime:
        return None
    ends = datetime.split("/")
    if len(ends) > 2:
        raise wrong("datetime", "is a time or an interval of two")
    told = [parse_rfc3339(instant(end)) for end in ends if end not in ("..", "")]
    if not told:
        raise wrong("datetime", "has neither a start nor an end")
    if len(told) == 2 and told[0] > told[1]:
        raise wrong("datetime", "ends before it starts")
    return ends


async def cql(
    query: Annotated[str | None, Query(alias="filter", description="CQL2")] = None,
    filter_lang: Annotated[Literal["cql2-text", "cql2-json"] | None, Query(alias="filter-lang")] = None,
) -> Any:
    """The filter's tree, which the layer looks at: it knows its columns."""
    if query is None:
        return None
    if not query.strip():
        raise unfit("is empty")
    tree = read(query, filter_lang)
    if tree is None:
        # NULL; whoever is handed it would take it for no filter.
        raise unfit("is no condition")
    return tree


async def document_format(
    _: Annotated[Literal["json"] | None, Query(alias="f")] = None,
) -> MediaType | None:
    """JSON: there are no pages for people here."""
    return None


async def queryables_format(
    _: Annotated[Literal["json", "schemajson"] | None, Query(alias="f")] = None,
) -> MediaType | None:
    """JSON Schema."""
    return None


async def items_format(
    request: Request,
    f: Annotated[Literal["geojson", "json", "csv", "geojsonseq", "ndjson"] | None, Query()] = None,
) -> MediaType:
    """What was asked for by name, else by the Accept header, else GeoJSON, which JSON stands for too."""
    accepted = _accepted(request.headers.get("accept", ""))
    streams = [MediaType.csv, MediaType.geojsonseq, MediaType.ndjson]
    by_value = {media.value: media for media in (*streams, MediaType.geojson, MediaType.json)}
    asked = MediaType[f] if f else next((by_value[one] for one in accepted if one in by_value), None)
    if asked in streams and request.scope["route"].name == "item":
        if f:
            raise wrong("f", "one feature is GeoJSON")
        return MediaType.geojson
    return asked if asked in streams and asked is not None else MediaType.geojson


def _accepted(header: str) -> list[str]:
    """Media types, what is liked best first (RFC 9110, section 12.5.1)."""
    liked = []
    for part in header.lower().split(","):
        name, *about = (word.strip() for word in part.split(";"))
        weights = [_number(word[2:]) or 0.0 for word in about if word.startswith("q=")]
        liked.append((weights[0] if weights else 1.0, name))
    return [name for weight, name in sorted(liked, key=lambda one: -one[0]) if weight > 0]


async def tile(
    z: Annotated[int, Path(description="Zoom level")],
    x: Annotated[int, Path(description="Column")],
    y: Annotated[int, Path(description="Row")],
) -> Tile:
    """A tile of the matrix set. Raises `NotFound` for one that it does not have."""
    if not 0 <= z <= MOST_ZOOM:
        raise NotFound(f"there is no zoom level {z}")
    if not (0 <= x < 2**z and 0 <= y < 2**z):
        raise NotFound(f"zoom level {z} has no tile {x}/{y}")
    return Tile(x, y, z)


def _number(text: str) -> float | None:
    try:
        # Python's own numbers may have underscores, and digits of any script.
        found = float(text) if text.isascii() and "_" not in text else math.nan
    except ValueError:
        return None
    return found if math.isfinite(found) else None
