"""Boxes in degrees, and in the CRS of a column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from pyproj import Transformer
from pyproj.exceptions import ProjError

WGS84 = 4326
WIDEST_DEGREES = 30.0
"""Few projections keep wider boxes, or can tell where they are."""
Bounds = tuple[float, float, float, float]
_transformer = lru_cache(64)(Transformer.from_crs)


def projected(srid: int, bounds: Sequence[float]) -> Bounds | None:
    """The box around a box in degrees; None where there is none, or none that is sure."""
    west, south, east, north = bounds
    if not 0 <= east - west <= WIDEST_DEGREES or north - south > WIDEST_DEGREES:
        return None
    try:
        found = _transformer(WGS84, srid, always_xy=True).transform_bounds(west, south, east, north)
    except ProjError:
        return None
    return _finite(found)


def degrees(extent: Sequence[float] | None, srid: int) -> list[float] | None:
    """A layer's extent in degrees; None where there is none, or none that can be told."""
    if extent is None:
        return None
    if srid == WGS84:
        return [float(one) for one in extent]
    try:
        west, south, east, north = extent
        found = _transformer(srid, WGS84, always_xy=True).transform_bounds(west, south, east, north)
    except ProjError:
        return None
    return None if (sure := _finite(found)) is None else list(sure)


def bounds_of(shape: dict[str, Any]) -> Bounds:
    """Of a GeoJSON geometry with at least one position."""
    positions = list(_positions(shape.get("geometries") or shape["coordinates"]))
    xs, ys = [one[0] for one in positions], [one[1] for one in positions]
    return min(xs), min(ys), max(xs), max(ys)


def _positions(part: Any) -> Iterator[Sequence[float]]:
    if isinstance(part, dict):
        part = part.get("geometries") or part["coordinates"]
    if part and isinstance(part[0], int | float):
        yield part
        return
    for one in part:
        yield from _positions(one)


def _finite(found: Bounds) -> Bounds | None:
    return found if all(map(math.isfinite, found)) and found[0] <= found[2] else None
