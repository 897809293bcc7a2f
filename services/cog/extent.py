"""How far a raster reaches in another CRS, also across the antimeridian and around a pole."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from interfaces.errors import PermanentTaskError

from .placement import Placement, Points
from .transformation import MERCATOR_LATITUDE, Cylinder, Way

if TYPE_CHECKING:
    from numpy import ndarray

EDGE_STEPS = 512
"""Points on each edge: what a curved edge bulges between two of them is 1/500,000 of its sagitta."""
MESH_STEPS = 64
LONGEST = 80_000_000
"""Metres from one edge of a grid to the other: twice around the Earth."""
ROUND_TRIP = 0.01
"""Of a source pixel's length that a point may miss itself by, there and back, where a CRS is still valid."""


@dataclass(frozen=True)
class Extent:
    """Bounds in units of a CRS, and the length of a square pixel that keeps the source's detail there."""

    left: float
    bottom: float
    right: float
    top: float
    resolution: float
    circle: float | None
    """Width of the whole Earth, where x comes round again."""


def extent_in(source: Placement, way: Way | None) -> Extent:
    """Bounds of the raster in the CRS that the way leads to, in pixels that are square; None: in its own.

    Longitude is followed along the raster's edges, so that one that crosses the antimeridian is as wide as
    it is: its bounds go on past 180° (or the equivalent in metres), with their centre in (-180°, 180°]. A
    raster with a pole inside reaches around the whole Earth and to the pole. In Mercator's projections,
    latitude ends at ±85.06°.

    Raises PermanentTaskError when no part of the raster can be transformed.
    """
    import numpy

    width, height = source.width, source.height
    if way is None and source.straight:
        return Extent(*source.box, math.sqrt(abs(source.transform.a * source.transform.e)), None)
    columns, rows = _edges(width, height)
    mesh_columns, mesh_rows = numpy.meshgrid(
        numpy.linspace(0, width, MESH_STEPS + 1), numpy.linspace(0, height, MESH_STEPS + 1)
    )
    edges = _transformed(source, way, columns, rows)
    mesh = _transformed(source, way, mesh_columns, mesh_rows)
    cylinder = way.to if way else None
    if cylinder:
        # Both begin at the same corner, and so stay on the same turn around the Earth.
        edges = _unwrapped(edges[0], cylinder.period), edges[1]
        mesh = _unwrapped_mesh(mesh[0], cylinder.period), mesh[1]
    xs = numpy.concatenate([edges[0], mesh[0].ravel()])
    ys = numpy.concatenate([edges[1], mesh[1].ravel()])
    valid = numpy.isfinite(xs) & numpy.isfinite(ys)
    if way and way.clips and valid.any() and numpy.ptp(ys[valid]) == 0:
        raise PermanentTaskError(
            f"the raster lies beyond {MERCATOR_LATITUDE}° of latitude, where Mercator's y ends"
        )
    if not valid.any():
        raise PermanentTaskError("no part of the raster can be transformed to target_crs")
    box = [xs[valid].min(), ys[valid].min(), xs[valid].max(), ys[valid].max()]
    if way:
        _check_reach(max(box[2] - box[0], box[3] - box[1]), way)
    if way and cylinder:
        box = _around_the_cylinder(box, cylinder, way.poles(source))
    elif way:
        for x, y in way.poles(source):
            box = [min(box[0], x), min(box[1], y), max(box[2], x), max(box[3], y)]
    left, bottom, right, top = map(float, box)
    circle = cylinder.period if cylinder else None
    return Extent(left, bottom, right, top, _resolution(mesh, width, height), circle)


def source_pixels(source: Placement, way: Way | None, size: tuple[float, float]) -> tuple[float, float]:
    """Columns and rows of the source that a pixel of a size (x, y) in the target CRS reaches across.

    Where it reaches across many; not at a pole, where it is any number (the 95th of 100).
    """
    import numpy

    width, height = source.width, source.height
    columns, rows = numpy.meshgrid(
        numpy.linspace(0, width, MESH_STEPS + 1), numpy.linspace(0, height, MESH_STEPS + 1)
    )
    xs, ys = _transformed(source, way, columns, rows)
    if way and way.to:
        xs = _unwrapped_mesh(xs, way.to.period)
    a, d = numpy.diff(xs, axis=1)[:-1] * MESH_STEPS / width, numpy.diff(ys, axis=1)[:-1] * MESH_STEPS / width
    b, e = (
        numpy.diff(xs, axis=0)[:, :-1] * MESH_STEPS / height,
        numpy.diff(ys, axis=0)[:, :-1] * MESH_STEPS / height,
    )
    with numpy.errstate(divide="ignore", invalid="ignore"):
        area = numpy.abs(a * e - b * d)
        across = (numpy.abs(e) * size[0] + numpy.abs(b) * size[1]) / area
        down = (numpy.abs(d) * size[0] + numpy.abs(a) * size[1]) / area
    usable = numpy.isfinite(across) & numpy.isfinite(down)
    if not usable.any():
        return float(width), float(height)
    return float(numpy.percentile(across[usable], 95)), float(numpy.percentile(down[usable], 95))


def _check_reach(length: float, way: Way) -> None:
    """Polar and other projections go to infinity somewhere, where nobody wants a grid to reach."""
    axis, area = way.target.axis_info[0], way.target.area_of_use
    if way.target.is_geographic or length * axis.unit_conversion_factor <= LONGEST:
        return
    used = f" (west, south, east, north: {', '.join(f'{edge:g}' for edge in area.bounds)})" if area else ""
    raise PermanentTaskError(f"the raster reaches too far beyond the area of use of target_crs{used}")


def _edges(width: int, height: int) -> Points:
    """Once around the raster from its upper left corner, pixels."""
    import numpy

    across, down = numpy.linspace(0, width, EDGE_STEPS + 1), numpy.linspace(0, height, EDGE_STEPS + 1)
    left, right = numpy.zeros_like(down), numpy.full_like(down, width)
    top, bottom = numpy.zeros_like(across), numpy.full_like(across, height)
    columns = numpy.concatenate([across, right[1:], across[::-1][1:], left[1:]])
    rows = numpy.concatenate([top, down[1:], bottom[1:], down[::-1][1:]])
    return columns, rows


def _transformed(source: Placement, way: Way | None, columns: ndarray, rows: ndarray) -> Points:
    """Target coordinates of pixel corners; nan where they have none, or do not come back from there."""
    import numpy

    xs, ys = source.points(columns, rows)
    if way is None:
        return xs, ys
    there = way.points(xs, ys)
    valid = numpy.isfinite(there[0]) & numpy.isfinite(there[1])
    if not way.clips:
        again = way.back(*there)
        missed = numpy.abs(again[1] - ys)
        if not way.over:  # else x may come back a turn later, and at a pole as anything
            missed = numpy.hypot(again[0] - xs, missed)
        scale = numpy.hypot(numpy.ptp(xs) / source.width, numpy.ptp(ys) / source.height)
        valid &= ~(missed > max(ROUND_TRIP * scale, 1e-9))
    return numpy.where(valid, there[0], numpy.nan), numpy.where(valid, there[1], numpy.nan)


def _unwrapped(xs: ndarray, period: float) -> ndarray:
    """x followed along a path: no step is more than half a turn."""
    import numpy

    followed = xs.copy()
    finite = numpy.isfinite(xs)
    followed[finite] = numpy.unwrap(xs[finite], period=period)
    return followed


def _unwrapped_mesh(xs: ndarray, period: float) -> ndarray:
    import numpy

    followed: ndarray = numpy.array([_unwrapped(row, period) for row in xs])
    first = followed[:, 0]
    followed += (_unwrapped(first, period) - first)[:, None]
    return followed


def _around_the_cylinder(
    box: list[float], cylinder: Cylinder, poles: list[tuple[float, float]]
) -> list[float]:
    left, bottom, right, top = box
    if poles:
        left, right = cylinder.middle - cylinder.period / 2, cylinder.middle + cylinder.period / 2
        ys = [y for _, y in poles]
        return [left, min(bottom, *ys), right, max(top, *ys)]
    # The small share keeps 0 … 360° as it is, whose centre is 180° but for the last digit.
    centre = (left + right) / 2 - cylinder.middle
    turns = math.ceil(centre / cylinder.period - 0.5 - 1e-9)
    return [left - turns * cylinder.period, bottom, right - turns * cylinder.period, top]


def _resolution(mesh: Points, width: int, height: int) -> float:
    """Side of a square that covers as much as a source pixel does in the middle of all of them."""
    import numpy

    xs, ys = mesh
    across = (xs[:-1, 1:] - xs[:-1, :-1], ys[:-1, 1:] - ys[:-1, :-1])
    down = (xs[1:, :-1] - xs[:-1, :-1], ys[1:, :-1] - ys[:-1, :-1])
    areas = numpy.abs(across[0] * down[1] - across[1] * down[0])
    usable = areas[numpy.isfinite(areas) & (areas > 0)]
    if usable.size == 0:
        raise PermanentTaskError("no part of the raster can be transformed to target_crs")
    cell = (width / MESH_STEPS) * (height / MESH_STEPS)
    return float(numpy.sqrt(numpy.median(usable) / cell))
