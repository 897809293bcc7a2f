"""Whether a table's geometries have longitudes and latitudes, in which they are served.

PostGIS refuses a whole page or tile for one vertex that it cannot transform.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

WGS84 = "EPSG:4326"
NOWHERE = "cannot be transformed into longitudes and latitudes"
STEPS = 5
"""Places along each side of a box, and within it, that are looked at."""


class LonLat:
    """Of one CRS. What is in degrees is looked at otherwise; of what has none on Earth, nothing is asked."""

    def __init__(self, crs: str) -> None:
        from pyproj.exceptions import ProjError

        try:
            self._transform = None if is_geographic(crs) else transformation(crs, WGS84)
        except ProjError:
            # Of another planet: the whole layer has none.
            self._transform = None

    def doubtful(self, edges: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Which of many boxes are in part without; `edges` are all wests, souths, easts and norths, finite.

        The box around all of them is looked at first, and so are those that reach farthest: of good data
        nothing else is.
        """
        import numpy

        if self._transform is None or not len(edges[0]):
            return numpy.zeros(len(edges[0]), dtype=bool)
        farthest = [edges[0].argmin(), edges[1].argmin(), edges[2].argmax(), edges[3].argmax()]
        some = [[edge[one] for edge in edges] for one in farthest]
        whole = [edge[one] for edge, one in zip(edges, farthest, strict=True)]
        if not self._nowhere(numpy.array([whole, *some])).any():
            return numpy.zeros(len(edges[0]), dtype=bool)
        return self._nowhere(numpy.stack(edges, axis=1))

    def refuse(self, geometries: Any, bounds: NDArray[Any], reasons: list[str | None]) -> None:
        """Reject geometries with a vertex that has none: they become none. `bounds` (n by 4) may be NaN."""
        import numpy
        import shapely

        if self._transform is None:
            return
        there = numpy.flatnonzero(~numpy.isnan(bounds[:, 0]))
        places = there[self.doubtful(list(bounds[there].T))]
        if not len(places):
            return
        vertices, owners = shapely.get_coordinates(geometries[places], return_index=True)
        lost = ~numpy.isfinite(self._transform(vertices[:, 0], vertices[:, 1])).all(axis=0)
        for place in places[numpy.unique(owners[lost])].tolist():
            reasons[place], geometries[place] = reasons[place] or NOWHERE, None

    def _nowhere(self, boxes: NDArray[Any]) -> NDArray[Any]:
        """Of each box (n by 4), whether a point of a grid within it has none."""
        import numpy

        assert self._transform is not None
        steps = numpy.linspace(0.0, 1.0, STEPS)
        # Not a difference, which may be infinite.
        x = boxes[:, :1] * (1 - steps) + boxes[:, 2:3] * steps
        y = boxes[:, 1:2] * (1 - steps) + boxes[:, 3:] * steps
        xs, ys = numpy.repeat(x, STEPS, axis=1), numpy.tile(y, STEPS)
        made = self._transform(xs.ravel(), ys.ravel())
        lost: NDArray[Any] = ~numpy.isfinite(made).all(axis=0).reshape(xs.shape).all(axis=1)
        return lost


def transformation(source: str, target: str) -> Callable[..., Any] | None:
    """Coordinates (x, y[, z]) to coordinates, x first whatever the CRS says; None where they stay."""
    from pyproj import CRS, Transformer

    one, other = CRS.from_user_input(source), CRS.from_user_input(target)
    if one == other or one.equals(other, ignore_axis_order=True):
        return None
    transform: Callable[..., Any] = Transformer.from_crs(one, other, always_xy=True).transform
    return transform


def is_geographic(crs: str) -> bool:
    """Whether its coordinates are longitudes and latitudes in degrees."""
    from pyproj import CRS

    parsed = CRS.from_user_input(crs)
    return bool(parsed.is_geographic and parsed.axis_info and parsed.axis_info[0].unit_name == "degree")
