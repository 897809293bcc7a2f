"""A loaded layer as a collection of tipg's, with what tipg has otherwise than its clients expect."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Sequence
from functools import reduce
from itertools import count
from typing import Any

import orjson
from cql2 import Expr
from morecantile import Tile, TileMatrixSet
from pydantic import Field
from tipg.collections import Column, PgCollection
from tipg.model import Extent

from interfaces.errors import InvalidRequest, NotFound, ServiceUnavailable

from .connections import FIRST
from .faults import REPLACED
from .filters import admitted, box
from .parameters import instant
from .projections import WGS84, projected

SELECTED = {"tipg_id", "tipg_geom"}
"""What the library calls the key and the geometry that it selects, beside columns of whatever names."""
ROW_GEOMETRY = "geometry"
"""What it calls the geometry among the columns of a row, in CSV and NDJSON."""
CRS_MEMBER, CRS_BEFORE = b'"crs":', 64
"""What PostGIS writes into GeoJSON that is not in degrees, and before which byte."""
INTEGERS = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}


class Layer(PgCollection):
    """A table, as it was when the request came."""

    key_columns: list[str] = Field(default_factory=list)
    most_in_tile: int
    known_bounds: list[float] | None = None
    """[west, south, east, north] in degrees."""

    @property
    def extent(self) -> Extent | None:
        """Where its features are; None where nobody knows."""
        if self.known_bounds is None:
            return None
        crs = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
        return Extent.model_validate({"spatial": {"bbox": [self.known_bounds], "crs": crs}})

    @property
    def bounds(self) -> list[float]:
        """The same; empty where nobody knows, for tipg makes a list of it."""
        return self.known_bounds or []

    @property
    def names(self) -> set[str]:
        """Of all columns, as filters may name them."""
        return {column.name for column in self.properties}

    def cql_where(
        self,
        ids: list[str] | None = None,
        datetime: list[str] | None = None,
        bbox: list[float] | None = None,
        properties: list[tuple[str, Any]] | None = None,
        cql: Any = None,
        geom: str | None = None,
        dt: str | None = None,
        tile: Tile | None = None,
        tms: TileMatrixSet | None = None,
    ) -> Expr | None:
        """All conditions together. `cql` is a tree that was read and not looked at yet."""
        found: list[Expr | None] = []
        if ids:
            found.append(self._with_ids(ids))
        geometry = self.get_geometry_column(geom)
        if bbox is not None and geometry is not None:
            found.append(_meets(geometry, bbox))
        if tile and tms and geometry is not None:
            found.append(_meets(geometry, list(tms.bounds(tile)), about=True))
        condition = super().cql_where
        found += [condition(datetime=part, dt=dt) for part in _instants(datetime or [])]
        if cql is not None:
            found.append(admitted(cql, self.names, {one.name: one.srid for one in self.geometry_columns}))
        # Where a column is called as a parameter is, the parameter is meant.
        by_column = [one for one in properties or [] if one[0] != "crs"]
        if by_column:
            found.append(condition(properties=by_column))
        conditions = [one for one in found if one is not None]
        return reduce(lambda one, other: one + other, conditions) if conditions else None

    async def get_tile(self, conn: Any, *, limit: int | None = None, **selection: Any) -> bytes:
        """A tile, of no more features than it may have. Raises `InvalidRequest` where more are asked for."""
        if limit is not None and not 1 <= limit <= self.most_in_tile:
            raise InvalidRequest(f"limit: a tile has from 1 to {self.most_in_tile} features")
        made: bytes = await super().get_tile(conn, limit=limit or self.most_in_tile, **selection)
        return made

    def _with_ids(self, ids: Sequence[str]) -> Expr:
        if len(self.key_columns) > 1:
            # Each is a list of its own, in which there are commas too.
            ids = _lists(",".join(ids))
        conditions = [self._with_id(identifier) for identifier in ids]
        return Expr(conditions[0] if len(conditions) == 1 else {"op": "or", "args": conditions})

    def _with_id(self, identifier: str) -> dict[str, Any]:
        """Values are text, which PostgreSQL reads as the column's type: all numbers are doubles in CQL2."""
        if not self.key_columns:
            raise InvalidRequest("ids: the layer has no key")
        values = [identifier] if len(self.key_columns) == 1 else _key_values(identifier)
        if len(values) != len(self.key_columns):
            raise NotFound(f"there is no feature {identifier}")
        parts = []
        for name, value in zip(self.key_columns, values, strict=True):
            column = self.get_column(name)
            most = INTEGERS.get(column.type if column else "")
            if most and not (re.fullmatch(r"-?\d{1,19}", value) and -most <= int(value) < most):
                raise NotFound(f"there is no feature {identifier}")
            parts.append({"op": "=", "args": [{"property": name}, value]})
        return parts[0] if len(parts) == 1 else {"op": "and", "args": parts}

    def _select_id(self) -> str:
        """The key; of several columns as a JSON array of text, without spaces."""
        if len(self.key_columns) < 2:
            return str(super()._select_id())
        texts = " || ',' || ".join(f"to_json(CAST({_quoted(name)} AS text))" for name in self.key_columns)
        return f"'[' || {texts} || ']' AS tipg_id"

    def _sort_expressions(self, sortby: str | None) -> list[tuple[str, str]]:
        """What was asked for and then the key, so that a feature is on one page only."""
        found: list[tuple[str, str]] = super()._sort_expressions(sortby) if sortby else []
        there = {name for name, _ in found}
        found += [(name, _quoted(name)) for name in self.key_columns if name not in there]
        # Alone, such a name would be that of what is selected, and not the column's.
        return [
            (name, words.replace(_quoted(name), f"coalesce({_quoted(name)})") if name in SELECTED else words)
            for name, words in found or super()._sort_expressions(None)
        ]

    async def _features_query(self, conn: Any, **selection: Any) -> AsyncIterator[Any]:
        """Features with all their columns, of which some are called as what the library selects or adds."""
        as_rows = bool(selection.get("geom_as_wkt"))
        async for feature in super()._features_query(conn, **selection):
            geometry = feature["geometry"]
            if isinstance(geometry, orjson.Fragment) and CRS_MEMBER in orjson.dumps(geometry)[:CRS_BEFORE]:
                # Not in degrees: it has another CRS than when it was looked up.
                raise ServiceUnavailable(REPLACED)
            found = {name.removesuffix(FIRST): value for name, value in feature["properties"].items()}
            if as_rows and ROW_GEOMETRY in found:
                name = next(
                    name for name in map(f"{ROW_GEOMETRY}_{{}}".format, count(2)) if name not in found
                )
                found = {name if one == ROW_GEOMETRY else one: value for one, value in found.items()}
            yield {**feature, "properties": found}

    def columns(self, properties: list[str] | None = None) -> list[str]:
        """The columns that were asked for. Raises `InvalidRequest` for one that is not there."""
        unknown = sorted(set(properties or []) - self.names - {""})
        if unknown:
            raise InvalidRequest(f"properties: {unknown[0]!r} is no column of this layer")
        chosen: list[str] = super().columns(properties)
        return chosen


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _lists(text: str) -> list[str]:
    """JSON of lists with commas between them, each by itself. Raises `NotFound` for what is none."""
    try:
        return [json.dumps(one) for one in json.loads(f"[{text}]")]
    except (ValueError, RecursionError):
        raise NotFound(f"there is no feature {text}") from None


def _key_values(identifier: str) -> list[str]:
    try:
        values = json.loads(identifier)
    except ValueError:
        return []
    return values if isinstance(values, list) and all(isinstance(one, str) for one in values) else []


def _instants(given: Sequence[str]) -> list[list[str]]:
    """Intervals as tipg takes them one end at a time: both ends belong to them (OGC 17-069r4, 7.15.4)."""
    if len(given) < 2:
        return [[instant(one)] for one in given]
    start, end = given
    parts = [[instant(start), ".."]] if start not in ("..", "") else []
    return parts + ([["..", instant(end)]] if end not in ("..", "") else [])


def _meets(geometry: Column, bounds: Sequence[float], *, about: bool = False) -> Expr:
    """Whether a geometry meets a box in degrees; `about` is enough where what is outside is cut away."""
    west, south, east, north = bounds
    shape = box(west, south, east, north)
    column = {"property": geometry.name}
    if geometry.srid in (None, WGS84):
        return Expr({"op": "s_intersects", "args": [column, shape]})
    in_degrees = {"op": "s_intersects", "args": [{"op": "st_transform", "args": [column, WGS84]}, shape]}
    around = projected(geometry.srid, bounds)
    if around is None:
        return Expr(in_degrees)
    # The index knows this one; its box holds more than the box in degrees.
    indexed = {
        "op": "s_intersects",
        "args": [column, {"op": "st_setsrid", "args": [box(*around), geometry.srid]}],
    }
    return Expr(indexed if about else {"op": "and", "args": [indexed, in_degrees]})
