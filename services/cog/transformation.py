"""From one CRS to another, and where a CRS comes round the Earth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from .placement import Placement, Points, for_proj

if TYPE_CHECKING:
    import pyproj
    from numpy import ndarray
    from rasterio.crs import CRS

MERCATOR_LATITUDE = 85.06
"""Degrees; Mercator's y goes to infinity beyond, and web maps end at 85.0511."""
MERCATORS = (
    "Mercator (variant A)",
    "Mercator (variant B)",
    "Mercator (Spherical)",
    "Popular Visualisation Pseudo Mercator",
)
CYLINDRICAL = (
    *MERCATORS,
    "Equidistant Cylindrical",
    "Equidistant Cylindrical (Spherical)",
    "Lambert Cylindrical Equal Area",
    "Lambert Cylindrical Equal Area (Spherical)",
    "Miller Cylindrical",
)
"""Methods in which x is proportional to longitude, so that a grid may go on past ±180°."""


@dataclass(frozen=True)
class Cylinder:
    """A CRS whose x comes back to where it was after `period` (units of x), centred on `middle`."""

    period: float
    middle: float


def cylinder_of(crs: pyproj.CRS) -> Cylinder | None:
    """Whether and how x of the CRS comes round again; None for conic, azimuthal and local projections."""
    from pyproj import Transformer

    if crs.is_geographic:
        return Cylinder(2 * math.pi / crs.axis_info[0].unit_conversion_factor, 0.0)
    operation = _projection(crs)
    if operation is None or operation.method_name not in CYLINDRICAL or crs.geodetic_crs is None:
        return None
    forward = Transformer.from_crs(crs.geodetic_crs, crs, always_xy=True)
    middle = next(
        (float(one.value) * one.unit_conversion_factor for one in operation.params if "ongitude" in one.name),
        0.0,
    )
    unit = crs.geodetic_crs.axis_info[0].unit_conversion_factor
    east, centre = (forward.transform(angle / unit, 0.0)[0] for angle in (middle + math.pi / 2, middle))
    return Cylinder(4 * (east - centre), centre)


def _projection(crs: pyproj.CRS) -> Any:
    """The map projection or None, also of a CRS that is bound to another datum, or has heights besides."""
    while crs.is_compound or crs.is_bound:
        inner = crs.sub_crs_list[0] if crs.is_compound else crs.source_crs
        if inner is None:
            return None
        crs = inner
    return crs.coordinate_operation


def check_within_circle(source: Placement) -> None:
    """Raise PermanentTaskError for a projected raster that goes on past the antimeridian.

    What lies behind is the other side in its own CRS. GDAL follows longitudes there, but not metres.
    """
    if source.by != "transform" or source.crs is None or source.crs.is_geographic:
        return
    cylinder = cylinder_of(for_proj(source.crs))
    if cylinder is None:
        return
    left, _, right, _ = source.box
    half = cylinder.period / 2
    past = max(cylinder.middle - half - left, right - cylinder.middle - half)
    if past > abs(source.transform.a):
        raise PermanentTaskError(
            "the raster goes on past the antimeridian in a projected CRS: it cannot be warped to another"
        )


def way_between(source: CRS | None, target: CRS | None) -> Way | None:
    """None where coordinates stay what they are."""
    return None if source is None or target is None or source == target else Way(source, target)


def goes_around(source: Placement, cylinder: Cylinder | None) -> bool:
    """The raster reaches around the Earth, or nearly, in a CRS whose x comes round again."""
    if cylinder is None or not source.straight:
        return False
    left, _, right, _ = source.box
    return right - left > 0.9 * cylinder.period


class Way:
    """The way from one CRS to another, point by point; inf where there is none. For one thread at a time."""

    def __init__(self, source: CRS, target: CRS) -> None:
        from pyproj import Transformer

        self.source, self.target = for_proj(source), for_proj(target)
        self.to = cylinder_of(self.target)
        self.over = cylinder_of(self.source)
        projection = _projection(self.target)
        self._mercator = projection is not None and projection.method_name in MERCATORS
        self._through = Transformer.from_crs(self.source, self.target, always_xy=True)
        degrees = self.target.geodetic_crs
        self._to_degrees = Transformer.from_crs(self.source, degrees, always_xy=True)
        self._from_degrees = Transformer.from_crs(degrees, self.target, always_xy=True)

    def points(self, xs: ndarray, ys: ndarray) -> Points:
        """There. Latitudes are clipped to ±90°, and to what Mercator has room for."""
        import numpy

        if self.source.is_geographic:
            # Models that have pixel centres on the poles reach beyond them by half a pixel.
            quarter = math.pi / 2 / self.source.axis_info[0].unit_conversion_factor
            ys = numpy.clip(ys, -quarter, quarter)
        if self._mercator:
            degrees, latitudes = self._to_degrees.transform(xs, ys)
            finite = numpy.isfinite(latitudes)
            latitudes = numpy.where(
                finite, numpy.clip(latitudes, -MERCATOR_LATITUDE, MERCATOR_LATITUDE), numpy.inf
            )
            return self._arrays(self._from_degrees.transform(degrees, latitudes))
        return self._arrays(self._through.transform(xs, ys))

    def back(self, xs: ndarray, ys: ndarray) -> Points:
        """Here again."""
        return self._arrays(self._through.transform(xs, ys, direction="INVERSE"))

    @property
    def clips(self) -> bool:
        """Some latitudes are left out, so that points do not come back to themselves."""
        return self._mercator

    def poles(self, source: Placement) -> list[tuple[float, float]]:
        """Target coordinates of the poles that lie inside of the raster.

        Not for sources in which a pole is an edge instead of a point.
        """
        if self.over or source.by != "transform":
            return []
        inside = []
        for latitude in (-90.0, 90.0):
            x, y = self._to_degrees.transform(0.0, latitude, direction="INVERSE")
            _, again = self._to_degrees.transform(x, y)
            if not (math.isfinite(x) and math.isfinite(y)) or abs(again - latitude) > 1e-3:
                continue
            column, row = ~source.transform * (x, y)
            if 0 < column < source.width and 0 < row < source.height:
                limit = MERCATOR_LATITUDE if self._mercator else 90.0
                point = self._from_degrees.transform(0.0, math.copysign(limit, latitude))
                if all(map(math.isfinite, point)):
                    inside.append(point)
        return inside

    @staticmethod
    def _arrays(points: tuple[ndarray, ndarray]) -> Points:
        import numpy

        return numpy.asarray(points[0], dtype=float), numpy.asarray(points[1], dtype=float)
