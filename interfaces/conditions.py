"""Conditions on the features of a layer, in CQL2: what people write becomes a tree that is checked.

https://docs.ogc.org/is/21-065r2/21-065r2.html. No text of a condition ever reaches SQL: whoever carries it
out walks the tree, of which everything but values is known here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, JsonValue

from . import cql2_text

MAX_DEPTH = 30
MAX_PARTS = 2000
LARGEST_EXACT = 2**53
"""Numbers of text are read as floating point; above this not every integer is one."""

LOGICAL = frozenset({"and", "or"})
COMPARISONS = frozenset({"=", "<>", "<", "<=", ">", ">="})
ARITHMETIC = frozenset({"+", "-", "*", "/"})
SPATIAL = frozenset(
    {
        "s_intersects",
        "s_disjoint",
        "s_within",
        "s_contains",
        "s_touches",
        "s_crosses",
        "s_overlaps",
        "s_equals",
    }
)
GEOMETRIES = frozenset({"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"})


def _parsed(value: Any) -> Any:
    """Text or JSON as a checked tree of CQL2-JSON."""
    if isinstance(value, str):
        value = _of_text(value)
    elif not isinstance(value, dict):
        return value
    _Check().condition(value, 0)
    return value


def _of_text(text: str) -> Any:
    if not text.strip():
        raise ValueError("is empty; leave it out for all features")
    return _exact(cql2_text.tree(text, is_json=False))


def _exact(tree: Any) -> Any:
    """Whole numbers as such. Raises `ValueError` for those that may have lost digits."""
    if isinstance(tree, dict):
        return {key: _exact(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_exact(value) for value in tree]
    if isinstance(tree, float) and tree.is_integer():
        if abs(tree) >= LARGEST_EXACT:
            raise ValueError(
                f"the number {tree:.0f} is too large to be exact: write it as a text, '{tree:.0f}'"
            )
        return int(tree)
    return tree


class _Check:
    """Walks a tree once."""

    def __init__(self) -> None:
        self._parts = 0

    def condition(self, tree: Any, depth: int) -> None:
        """What is true or false of a feature. Raises `ValueError` that says what is not."""
        self._count(depth)
        if isinstance(tree, bool):
            return
        if isinstance(tree, dict) and set(tree) == {"property"}:
            self.scalar(tree, depth)
            return
        op, arguments = _operation(tree)
        inner = depth + 1
        if op in LOGICAL:
            if len(arguments) < 2:
                raise ValueError(f"{op} takes two conditions or more")
            for one in arguments:
                self.condition(one, inner)
        elif op == "not":
            _number(op, arguments, 1)
            self.condition(arguments[0], inner)
        elif op in SPATIAL:
            _number(op, arguments, 2)
            self.scalar(arguments[0], inner)
            _geometry(op, arguments[1])
        else:
            self._predicate(op, arguments, inner)

    def _predicate(self, op: str, arguments: list[Any], depth: int) -> None:
        taken = {"between": 3, "in": 2, "like": 2, "isNull": 1} | dict.fromkeys(COMPARISONS, 2)
        if op not in taken:
            known = ", ".join(sorted({*taken, *LOGICAL, "not", *SPATIAL, *ARITHMETIC, "casei"}))
            raise ValueError(f"there is no operator {op[:100]!r} here; known are: {known}")
        _number(op, arguments, taken[op])
        self.scalar(arguments[0], depth)
        if op == "in":
            if not isinstance(arguments[1], list) or not arguments[1]:
                raise ValueError("in takes a list of values")
            for one in arguments[1]:
                self.scalar(one, depth)
            return
        for one in arguments[1:]:
            self.scalar(one, depth)

    def scalar(self, tree: Any, depth: int) -> None:
        """A value, a column, or what is computed of them."""
        self._count(depth)
        if isinstance(tree, str | bool | int | float):
            if isinstance(tree, str) and "\x00" in tree:
                raise ValueError("a text has no NUL character")
            return
        if isinstance(tree, dict) and len(tree) == 1:
            [(kind, value)] = tree.items()
            if kind == "property" and isinstance(value, str) and value:
                return
            if kind in ("date", "timestamp") and isinstance(value, str):
                _time(kind, value)
                return
        op, arguments = _operation(tree)
        if op == "casei":
            _number(op, arguments, 1)
        elif op in ARITHMETIC:
            _number(op, arguments, 2)
        else:
            raise ValueError(f"{op[:100]!r} is no value that can be compared")
        for one in arguments:
            self.scalar(one, depth + 1)

    def _count(self, depth: int) -> None:
        self._parts += 1
        if depth > MAX_DEPTH or self._parts > MAX_PARTS:
            raise ValueError(f"has more than {MAX_PARTS:,} parts, or more than {MAX_DEPTH} within each other")


def _operation(tree: Any) -> tuple[str, list[Any]]:
    if isinstance(tree, dict) and set(tree) == {"op", "args"}:
        op, arguments = tree["op"], tree["args"]
        if isinstance(op, str) and isinstance(arguments, list):
            return op, arguments
    raise ValueError(f"is no CQL2: {json.dumps(tree)[:100]}")


def _number(op: str, arguments: Sequence[Any], wanted: int) -> None:
    if len(arguments) != wanted:
        raise ValueError(f"{op} takes {wanted} arguments, not {len(arguments)}")


def _time(kind: str, text: str) -> None:
    from datetime import date, datetime

    read: Callable[[str], Any] = date.fromisoformat if kind == "date" else datetime.fromisoformat
    try:
        read(text)
    except ValueError:
        raise ValueError(f"{text[:50]!r} is no {kind} of ISO 8601") from None


def _geometry(op: str, tree: Any) -> None:
    import shapely

    if isinstance(tree, dict) and set(tree) == {"bbox"}:
        box = tree["bbox"]
        if isinstance(box, list) and len(box) == 4 and all(isinstance(edge, int | float) for edge in box):
            return
        raise ValueError(f"{op}: bbox is four numbers")
    if not isinstance(tree, dict) or tree.get("type") not in GEOMETRIES:
        raise ValueError(f"{op} takes a column and a geometry, one of {', '.join(sorted(GEOMETRIES))}")
    try:
        shape = shapely.from_geojson(json.dumps(tree))
    except shapely.GEOSException as error:
        raise ValueError(f"{op}: is no geometry: {error}"[:300]) from None
    if shape.is_empty or not shape.is_valid:
        raise ValueError(f"{op}: {shapely.is_valid_reason(shape) if not shape.is_empty else 'is empty'}")


Condition = Annotated[
    dict[str, JsonValue],
    BeforeValidator(_parsed, json_schema_input_type=str | dict[str, Any]),
    Field(
        description="Only features for which it holds: CQL2, text or JSON; its geometries in degrees (WGS 84)"
    ),
]
