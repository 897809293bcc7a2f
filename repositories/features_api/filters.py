"""CQL2 filters, held to what CQL2 itself has and to the columns of a layer.

The library that reads them writes whatever function they name into the query: `pg_read_file`, `query_to_xml`,
`set_config`. Only what is listed here gets further.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cql2 import Expr

from interfaces.cql2_text import first_line
from repositories.asgi.cql2_filters import unfit

from .projections import WGS84, bounds_of, projected

OPERATORS = frozenset(
    {
        *("and", "or", "not", "=", "<>", "<", "<=", ">", ">=", "isNull", "like", "between", "in"),
        *("+", "-", "*", "/", "%", "^", "div", "casei"),
        *("s_intersects", "s_equals", "s_disjoint", "s_touches", "s_within", "s_overlaps", "s_crosses"),
        "s_contains",
        *("t_after", "t_before", "t_contains", "t_disjoint", "t_during", "t_equals", "t_finishedBy"),
        *("t_finishes", "t_intersects", "t_meets", "t_metBy", "t_overlappedBy", "t_overlaps"),
        *("t_startedBy", "t_starts", "a_containedBy", "a_contains", "a_equals"),
    }
)
"""Operators and functions of CQL2 (https://docs.ogc.org/is/21-065r2/21-065r2.html). Not ACCENTI, for which
PostgreSQL has nothing by itself, and not A_OVERLAPS, which the library takes for a search in text."""
_SPELLED = {name.lower(): name for name in OPERATORS}
GEOMETRIES = frozenset(
    {"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"}
)
LARGEST_EXACT = 2**53 - 1
TIME = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)?)?")


def admitted(tree: Any, names: Collection[str], srids: Mapping[str, int | None]) -> Expr:
    """The filter as a condition of a query. Raises `InvalidRequest`.

    `names` are those of the columns that it may name, `srids` what the geometries among them are in; shapes
    in a filter are in degrees.
    """
    if not (isinstance(tree, bool) or (isinstance(tree, dict) and "op" in tree)):
        raise unfit("is no condition")
    held = _Admission(names, srids).node(tree)
    try:
        made = Expr(held)
        made.to_sql()
    # The library raises no other kind for what it cannot write as a query.
    except Exception as error:  # noqa: BLE001
        raise unfit(f"is no CQL2: {first_line(error)}") from None
    return made


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """A box as GeoJSON; of two parts where its west is greater than its east (RFC 7946, section 5.2)."""
    if west <= east:
        return {"type": "Polygon", "coordinates": [_ring(west, south, east, north)]}
    halves = [[_ring(west, south, 180.0, north)], [_ring(-180.0, south, east, north)]]
    return {"type": "MultiPolygon", "coordinates": halves}


def _ring(west: float, south: float, east: float, north: float) -> list[list[float]]:
    return [[west, south], [east, south], [east, north], [west, north], [west, south]]


class _Admission:
    """Copies a tree, of which only what is known gets into the copy."""

    def __init__(self, names: Collection[str], srids: Mapping[str, int | None]) -> None:
        self._names = names
        self._srids = srids

    def node(self, node: Any) -> Any:
        """A part of the tree."""
        if isinstance(node, list):
            return [self.node(one) for one in node]
        if isinstance(node, dict):
            return self._operation(node) if "op" in node else self._value(node)
        if isinstance(node, float | int) and not isinstance(node, bool):
            if not math.isfinite(node):
                raise unfit("has a number that is none")
            if abs(node) > LARGEST_EXACT and float(node).is_integer():
                raise unfit("has a whole number beyond 2^53, which is not exact: write it as text, in quotes")
        return node

    def _operation(self, node: dict[str, Any]) -> dict[str, Any]:
        operator = _SPELLED.get(str(node["op"]).lower())
        if operator is None:
            raise unfit(f"{str(node['op'])[:100]!r} is no operator or function here")
        arguments = [self.node(one) for one in node.get("args", [])]
        if operator.startswith("s_"):
            arguments = self._in_one_crs(arguments)
        return {"op": operator, "args": arguments}

    def _in_one_crs(self, arguments: list[Any]) -> list[Any]:
        """Shapes in the CRS of the column, which its index knows; where they do not fit in, in degrees."""
        named = {one["property"] for one in arguments if isinstance(one, dict) and "property" in one}
        srids = {self._srids.get(name) or WGS84 for name in named}
        shapes = [one for one in arguments if isinstance(one, dict) and "type" in one]
        if srids == {WGS84} or not srids or (len(srids) == 1 and not shapes):
            return arguments
        [srid, *others] = srids
        if not others and all(projected(srid, bounds_of(shape)) is not None for shape in shapes):
            return [_transformed(one, srid) if one in shapes else one for one in arguments]
        return [_transformed(one, WGS84) if one not in shapes else one for one in arguments]

    def _value(self, node: dict[str, Any]) -> dict[str, Any]:
        if "property" in node:
            if node["property"] not in self._names:
                raise unfit(f"{str(node['property'])[:100]!r} is no column of this layer: see its queryables")
            return {"property": node["property"]}
        if "bbox" in node:
            bounds = node["bbox"]
            numbers = all(isinstance(one, float | int) and math.isfinite(one) for one in bounds)
            if len(bounds) not in (4, 6) or not numbers:
                raise unfit("BBOX has four or six numbers")
            return box(*(bounds[n] for n in ((0, 1, 2, 3) if len(bounds) == 4 else (0, 1, 3, 4))))
        if node.get("type") in GEOMETRIES:
            return _geometry(node)
        for kind in ("timestamp", "date"):
            if kind in node:
                return {kind: _time(node[kind])}
        if "interval" in node:
            ends = [one if one == ".." or isinstance(one, dict) else _time(one) for one in node["interval"]]
            return {"interval": [self.node(one) for one in ends]}
        raise unfit(f"{', '.join(map(str, node))[:100]!r} is nothing that CQL2 has")


def _transformed(part: Any, srid: int) -> dict[str, Any]:
    return {"op": "st_transform", "args": [part, srid]}


def _geometry(node: dict[str, Any]) -> dict[str, Any]:
    part = "geometries" if node["type"] == "GeometryCollection" else "coordinates"
    if part == "geometries":
        if not node[part]:
            raise unfit("has a geometry without coordinates")
        return {"type": node["type"], part: [_geometry(one) for one in node[part]]}
    numbers = list(_numbers(node[part]))
    if not numbers or not all(isinstance(one, float | int) and math.isfinite(one) for one in numbers):
        raise unfit("has a geometry whose coordinates are not numbers")
    return {"type": node["type"], part: node[part]}


def _numbers(part: Any) -> Iterator[Any]:
    for one in part:
        if isinstance(one, list):
            yield from _numbers(one)
        else:
            yield one


def _time(value: Any) -> str:
    if not isinstance(value, str) or not TIME.fullmatch(value):
        raise unfit(f"{str(value)[:40]!r} is no time: RFC 3339 has them, as 2024-01-31T12:00:00Z")
    return value
