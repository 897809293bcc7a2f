"""Geometries with less in them than the file has: fewer vertices, and coordinates on a grid."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import mending

if TYPE_CHECKING:
    from numpy.typing import NDArray


def generalised(
    geometries: Any, tolerance: float | None, grid: float | None, reasons: list[str | None]
) -> NDArray[Any]:
    """Simplify, then put on the grid, in place; what is valid stays so. Both in units of the coordinates.

    Simplifying drops vertices that are nearer than the tolerance to the line without them, and keeps rings
    from crossing (GEOS, Douglas-Peucker with topology). The grid's origin is 0, and Z and M are put on it;
    parts that are narrower than it are gone. Answers of which geometries nothing is left: those are empty.
    """
    import numpy
    import shapely

    if tolerance is None and grid is None:
        return numpy.zeros(len(geometries), dtype=bool)
    look_at = ~shapely.is_missing(geometries) & ~shapely.is_empty(geometries)
    if tolerance is not None:
        geometries[:] = shapely.simplify(geometries, tolerance, preserve_topology=True)
        # Parts of a multi geometry may come to lie over each other.
        mending.mended(geometries, look_at, reasons)
    if grid is not None:
        _changed(geometries, lambda some: shapely.set_precision(some, grid), reasons)
    collapsed: NDArray[Any] = look_at & shapely.is_empty(geometries)
    return collapsed


def _changed(geometries: Any, change: Callable[[Any], Any], reasons: list[str | None]) -> None:
    """All at once, or one by one where GEOS refuses one of them."""
    import shapely

    try:
        geometries[:] = change(geometries)
    except shapely.GEOSException:
        for place, one in enumerate(geometries):
            try:
                geometries[place] = change(one)
            except shapely.GEOSException as error:
                reasons[place] = f"cannot be put on the precision grid: {error}"[:300]
                geometries[place] = None
