"""Where a raster lies on the Earth: bounds in WGS 84, or the reason why there are none."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rasterio.crs import CRS

DENSIFY_POINTS = 21
"""Points added to each edge: an edge that is straight in the CRS is a curve in longitude and latitude."""
EARTH_RADII = (6.3e6, 6.4e6)
"""Metres; every ellipsoid and sphere in use for the Earth lies between them."""

Footprint = tuple[list[float] | None, str | None]


def wgs84_bounds(crs: CRS, corners: list[tuple[float, float]]) -> Footprint:
    """[west, south, east, north] in degrees and None, or None and a reason.

    West > east when the raster crosses the antimeridian (RFC 7946, section 5.2). A raster with a pole in
    it reaches from -180 to 180 and to that pole.
    """
    from rasterio.errors import RasterioError
    from rasterio.warp import transform_bounds

    reason = why_not_on_earth(crs)
    if reason is not None:
        return None, reason
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    box = (min(xs), min(ys), max(xs), max(ys))
    if not all(map(math.isfinite, box)):
        return None, "the bounds are not finite numbers"
    if crs.is_geographic and (box[1] < -91 or box[3] > 91):
        return None, "the bounds are not latitudes, although the CRS is geographic"
    try:
        west, south, east, north = transform_bounds(crs, "EPSG:4326", *box, densify_pts=DENSIFY_POINTS)
    except (RasterioError, ValueError, OverflowError) as error:
        return None, f"the bounds cannot be transformed: {error}"[:300]
    if not all(map(math.isfinite, (west, south, east, north))):
        return None, "the bounds lie outside the area of use of the CRS"
    west, east = _wrapped(west, east)
    return [west, max(south, -90.0), east, min(north, 90.0)], None


def why_not_on_earth(crs: CRS) -> str | None:
    """The reason why coordinates of a CRS are no places on the Earth; None when they are."""
    from rasterio.errors import RasterioError

    try:
        radius = _earth_radius(crs.to_dict(projjson=True))
    except (RasterioError, ValueError) as error:
        return f"the CRS cannot be interpreted: {error}"[:300]
    if radius is None:
        return "the CRS is not one of the Earth (no ellipsoid)"
    if not EARTH_RADII[0] <= radius <= EARTH_RADII[1]:
        return f"the CRS is not one of the Earth: its ellipsoid has a radius of {radius:.0f} m"
    return None


def _wrapped(west: float, east: float) -> tuple[float, float]:
    """Longitudes from -180 to 180; those of 0 … 360 models and of boxes over the antimeridian, too."""
    if east - west >= 360:
        return -180.0, 180.0
    if west >= -180 and east <= 180:
        return west, east
    west = (west + 180) % 360 - 180
    east = (east + 180) % 360 - 180
    return west, 180.0 if east == -180.0 else east


def _earth_radius(projjson: Any) -> float | None:
    """Semi-major axis or radius of the first ellipsoid in a PROJJSON document, metres."""
    if isinstance(projjson, list):
        return next((r for r in map(_earth_radius, projjson) if r is not None), None)
    if not isinstance(projjson, dict):
        return None
    ellipsoid = projjson.get("ellipsoid")
    if isinstance(ellipsoid, dict):
        radius = ellipsoid.get("semi_major_axis", ellipsoid.get("radius"))
        if isinstance(radius, dict):
            unit = radius.get("unit")
            factor = unit.get("conversion_factor", 1.0) if isinstance(unit, dict) else 1.0
            return float(radius["value"]) * float(factor)
        return float(radius) if radius is not None else None
    return _earth_radius(list(projjson.values()))
