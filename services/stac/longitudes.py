"""Polygons on the sphere as GeoJSON wants them: cut at the antimeridian, closed over a pole, wound right.

RFC 7946, sections 3.1.6 (winding), 3.1.9 (antimeridian) and 5.2, 5.3 (bounding boxes).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

POLE = 90 - 1e-7
"""Degrees; a vertex that is nearer to a pole, by about a centimetre, is at it."""
STEP = 10.0
"""Degrees of longitude between vertices along a pole."""
DIGITS = 9
"""Of degrees, 0.1 mm."""


def on_sphere(rings: list[NDArray[Any]]) -> Any:
    """A shapely (Multi)Polygon from a closed exterior ring and its holes, each an array of (lon, lat).

    Consecutive vertices are less than 180 degrees apart. Rings are counterclockwise as seen from outside
    the Earth, holes too: that alone tells which side of a ring around a pole is meant.
    """
    import shapely

    area = _enclosed(rings[0])
    for hole in rings[1:]:
        area = shapely.difference(area, _enclosed(hole))
    return area


def _enclosed(ring: NDArray[Any]) -> Any:
    """What lies to the left of a ring."""
    import antimeridian
    import shapely

    ring = continuous(ring)
    west, east = ring[:, 0].min(), ring[:, 0].max()
    turns = round(float(ring[-1, 0] - ring[0, 0]) / 360)
    if turns == 0 and west >= -180 and east <= 180:
        return _valid(shapely.Polygon(ring))
    ring[:, 0] = (ring[:, 0] + 180) % 360 - 180
    # The library joins the last piece to the first only if the ring is closed to the last bit.
    ring[-1] = ring[0]
    return _valid(antimeridian.fix_polygon(shapely.Polygon(ring), fix_winding=False, great_circle=False))


def continuous(ring: NDArray[Any]) -> NDArray[Any]:
    """The ring with longitudes that do not jump, beyond ±180 where it must be.

    A vertex at a pole has no longitude: it becomes the way along the pole from the longitude before to the
    one after it, with the ring's inside on the left: westward at the north pole, eastward at the south.
    """
    import numpy

    polar = numpy.abs(ring[:, 1]) >= POLE
    # Vertices at a pole with different longitudes are an edge of an image in degrees, and meant so.
    if not polar.any() or len(set(ring[polar, 0].tolist())) > 1:
        return numpy.column_stack([numpy.unwrap(ring[:, 0], period=360), ring[:, 1]])
    open_ring = ring[:-1]
    start = int(numpy.argmin(numpy.abs(open_ring[:, 1]) >= POLE))
    made: list[tuple[float, float]] = []
    behind: float | None = None
    for longitude, latitude in [*numpy.roll(open_ring, -start, axis=0), open_ring[start]]:
        if abs(latitude) >= POLE:
            behind = 90.0 if latitude > 0 else -90.0
            continue
        if not made:
            made.append((float(longitude), float(latitude)))
            continue
        last = made[-1][0]
        if behind is None:
            now = last + (longitude - last + 180) % 360 - 180
        else:
            now = last - (last - longitude) % 360 if behind > 0 else last + (longitude - last) % 360
            steps = max(2, int(abs(now - last) / STEP) + 1)
            made += [(float(along), behind) for along in numpy.linspace(last, now, steps)]
            behind = None
        made.append((float(now), float(latitude)))
    return numpy.array(made)


def _valid(area: Any) -> Any:
    import shapely

    if area.is_valid:
        return area
    return shapely.make_valid(area, method="structure", keep_collapsed=False)


def geojson(area: Any) -> dict[str, Any]:
    """The (Multi)Polygon as a GeoJSON geometry: exteriors counterclockwise, holes clockwise."""
    import shapely
    from shapely.geometry import mapping
    from shapely.geometry.polygon import orient

    rounded = _valid(shapely.transform(area, lambda xy: xy.round(DIGITS)))
    parts = [orient(part) for part in shapely.get_parts(rounded) if part.area > 0]
    made: dict[str, Any] = mapping(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))
    return {"type": made["type"], "coordinates": _lists(made["coordinates"])}


def _lists(value: Any) -> Any:
    return [_lists(part) for part in value] if isinstance(value, tuple | list) else float(value)


def bbox(area: Any) -> list[float]:
    """[west, south, east, north] of an area between -180 and 180; west > east across the antimeridian.

    The box leaves out the widest range of longitudes in which nothing lies.
    """
    import shapely

    bounds = [part.bounds for part in shapely.get_parts(area)]
    south, north = min(b[1] for b in bounds), max(b[3] for b in bounds)
    spans = sorted((b[0], b[2]) for b in bounds)
    east = spans[0][1]
    gaps = []
    for start, end in spans[1:]:
        gaps.append((start - east, start, east))
        east = max(east, end)
    # Around the back, from the last part to the first: preferred, since it needs no crossing.
    around = spans[0][0] + 360 - east
    width, west, end = max(gaps, default=(0.0, 0.0, 0.0))
    if width > around:
        return [west, south, end, north]
    return [spans[0][0], south, east, north]
