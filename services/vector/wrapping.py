"""Geometries in degrees of which all longitudes come between -180 and 180: cut at the antimeridian.

RFC 7946, section 3.1.9: what crosses the antimeridian should be cut there, so that no part does. It is
written in two ways: longitudes jump by more than half a turn from one vertex to the next, and the shorter way
is meant; or they go on beyond ±180.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

QUARTER = 90.0
HALF = 180.0
TURN = 360.0
POLE = 90.0 - 1e-9
"""Degrees; an edge along a pole has no length, whatever its longitudes."""
NOTHING_LEFT = "nothing is left of it when it is cut at the antimeridian"


class Uncut(Exception):
    """A geometry cannot be cut; the message is the reason."""


def candidates(bounds: NDArray[Any]) -> NDArray[Any]:
    """Which geometries may have to be cut or moved: so wide, or so far, that some longitude says so.

    `bounds` are west, south, east and north of each.
    """
    # Comparisons with NaN, of what is missing or empty, are false.
    found: NDArray[Any] = (
        (bounds[:, 2] - bounds[:, 0] > HALF) | (bounds[:, 0] < -HALF) | (bounds[:, 2] > HALF)
    )
    return found


def wrapped(geometry: Any) -> Any:
    """The same place on Earth within -180 to 180; the geometry itself where nothing is to be done.

    Polygons become multi ones where they are cut. Z is interpolated. Raises `Uncut` for M, and for polygons
    with Z around a pole.
    """
    made = _wrapped(geometry)
    if made is not geometry and geometry.has_m:
        raise Uncut("it lies over the antimeridian, and geometries with M cannot be cut")
    return made


def _wrapped(geometry: Any) -> Any:
    import shapely

    kind = geometry.geom_type
    if kind in ("Point", "MultiPoint"):
        return _moved_points(geometry)
    if kind == "Polygon":
        return _polygon(geometry)
    if kind == "LineString":
        return _line(geometry)
    parts = list(geometry.geoms)
    made = [_wrapped(part) for part in parts]
    if all(one is part for one, part in zip(made, parts, strict=True)):
        return geometry
    if kind == "GeometryCollection":
        return shapely.GeometryCollection(made)
    pieces = [piece for one in made for piece in shapely.get_parts(one) if not piece.is_empty]
    return (shapely.MultiPolygon if kind == "MultiPolygon" else shapely.MultiLineString)(pieces)


def _moved_points(geometry: Any) -> Any:
    import shapely

    x = shapely.get_coordinates(geometry)[:, 0]
    if not (abs(x) > HALF).any():
        return geometry
    return _transformed(geometry, _within)


def _line(line: Any) -> Any:
    coordinates = _coordinates(line)
    followed = _followed(coordinates)
    if followed is coordinates and not _beyond(coordinates):
        return line
    return _cut_line(followed)


def _cut_line(coordinates: NDArray[Any]) -> Any:
    """Its parts in the order of the line: GEOS would lose some where it goes back on itself."""
    import numpy
    import shapely

    whole = _with_crossings(coordinates)
    x = whole[:, 0]
    middle = (x[1:] + x[:-1]) / 2
    turns = numpy.ceil((middle - HALF) / TURN)
    # What runs along the antimeridian stays on the side that it came from, or goes on to.
    along = (x[1:] == x[:-1]) & ((middle + HALF) % TURN == 0)
    turns[0] = turns[along.argmin()]
    turns = turns[numpy.maximum.accumulate(numpy.where(along, 0, numpy.arange(len(turns))))]
    ends = numpy.flatnonzero(numpy.diff(turns)) + 1
    made = []
    for begin, end in pairwise([0, *ends.tolist(), len(turns)]):
        moved = whole[begin : end + 1].copy()
        moved[:, 0] -= turns[begin] * TURN
        made.append(shapely.LineString(moved))
    made = [line for line in made if line.length > 0]
    if not made:
        raise Uncut(NOTHING_LEFT)
    return made[0] if len(made) == 1 else shapely.MultiLineString(made)


def _with_crossings(coordinates: NDArray[Any]) -> NDArray[Any]:
    """With vertices where it crosses odd multiples of half a turn."""
    import numpy

    x = coordinates[:, 0]
    first = numpy.floor((numpy.minimum(x[1:], x[:-1]) + HALF) / TURN) + 1
    last = numpy.ceil((numpy.maximum(x[1:], x[:-1]) + HALF) / TURN) - 1
    places: list[int] = []
    vertices: list[NDArray[Any]] = []
    for place in numpy.flatnonzero(first <= last).tolist():
        start, end = coordinates[place], coordinates[place + 1]
        edges = numpy.arange(first[place], last[place] + 1) * TURN - HALF
        # In the order in which it comes to them.
        for edge in edges if end[0] > start[0] else edges[::-1]:
            vertex = start + (end - start) * ((edge - start[0]) / (end[0] - start[0]))
            vertex[0] = edge
            places.append(place + 1)
            vertices.append(vertex)
    return numpy.insert(coordinates, places, vertices, axis=0) if places else coordinates


def _polygon(polygon: Any) -> Any:
    import shapely

    rings = [_coordinates(ring) for ring in (polygon.exterior, *polygon.interiors)]
    followed = [_followed(ring) for ring in rings]
    if all(new is old and not _beyond(old) for new, old in zip(followed, rings, strict=True)):
        return polygon
    if any(map(_turns, followed)):
        if polygon.has_z:
            raise Uncut("it goes around a pole, and such polygons with Z cannot be cut")
        return _around_pole(*followed)
    exterior, *holes = followed
    middle = (exterior[:, 0].min() + exterior[:, 0].max()) / 2
    for hole in holes:
        # A hole may have been followed on the other side of the Earth than what it is a hole of.
        hole[:, 0] += TURN * round((middle - (hole[:, 0].min() + hole[:, 0].max()) / 2) / TURN)
    return _cut(_valid(shapely.Polygon(exterior, holes)))


def _turns(ring: NDArray[Any]) -> bool:
    """Whether a ring ends a turn from where it began: it goes around a pole."""
    return bool(abs(ring[-1, 0] - ring[0, 0]) > HALF)


def _around_pole(exterior: NDArray[Any], *holes: NDArray[Any]) -> Any:
    """The side of a ring around the Earth that its holes are on; without holes the smaller one.

    Which way round the ring goes says nothing: shapefiles and RFC 7946 have it one way and the other.
    """
    import shapely

    if not _turns(exterior):
        raise Uncut("a hole of it goes around a pole, and it does not")
    x, y = exterior.T
    middle = ((y[1:] + y[:-1]) / 2 * (x[1:] - x[:-1])).sum() / (x[-1] - x[0])
    pole = -QUARTER if middle < 0 else QUARTER
    filled = [_valid(shapely.Polygon(hole)) for hole in holes if not _turns(hole)]
    cut = [_cut(hole) for hole in filled if not hole.is_empty]
    if any(not _cap(exterior, pole).covers(hole.representative_point()) for hole in cut):
        pole = -pole
    cut += [_cap(hole, pole) for hole in holes if _turns(hole)]
    return shapely.difference(_cap(exterior, pole), shapely.union_all(cut))


def _cap(ring: NDArray[Any], pole: float) -> Any:
    """What is between a ring around the Earth and a pole."""
    import numpy
    import shapely

    # It begins where it is nearest to the pole: so no line from there to the pole meets it again.
    turn = ring[-1, 0] - ring[0, 0]
    start = int(numpy.argmax(ring[:-1, 1] * pole))
    begun = numpy.concatenate([ring[start:-1], numpy.add(ring[: start + 1], (turn, 0.0))])
    begun[:, 0] -= TURN * numpy.floor((begun[0, 0] + HALF) / TURN)
    # Two turns hold all longitudes, and where they begin and end is beyond the antimeridian.
    twice = numpy.concatenate([numpy.subtract(begun, (turn, 0.0)), begun[1:]])
    made = _valid(shapely.Polygon([*twice, (twice[-1, 0], pole), (twice[0, 0], pole)]))
    return shapely.intersection(made, shapely.box(-HALF, -QUARTER, HALF, QUARTER))


def _valid(polygon: Any) -> Any:
    import shapely

    if polygon.is_valid:
        return polygon
    return shapely.make_valid(polygon, method="structure", keep_collapsed=False)


def _cut(geometry: Any) -> Any:
    """The parts of it in each turn, moved into the first, and brought together."""
    import shapely

    if geometry.is_empty:
        raise Uncut(NOTHING_LEFT)
    west, _, east, _ = geometry.bounds
    pieces: list[Any] = []
    first, last = int((west + HALF) // TURN), int((east + HALF) // TURN)
    for turn in range(first, last + 1):
        middle = turn * TURN
        inside = shapely.intersection(geometry, shapely.box(middle - HALF, -HALF, middle + HALF, HALF))
        moved = _transformed(inside, _shifted(-middle)) if turn else inside
        # Where it only touches the antimeridian, the other side has nothing of it.
        parts = shapely.get_parts(moved)
        pieces += [one for one in parts if shapely.get_dimensions(one) == 2 and not one.is_empty]
    if not pieces:
        raise Uncut(NOTHING_LEFT)
    if len(pieces) == 1:
        return pieces[0]
    return shapely.MultiPolygon(pieces)


def _coordinates(ring: Any) -> NDArray[Any]:
    import shapely

    found: NDArray[Any] = shapely.get_coordinates(ring, include_z=ring.has_z)
    return found


def _beyond(coordinates: NDArray[Any]) -> bool:
    return bool((abs(coordinates[:, 0]) > HALF).any())


def _followed(coordinates: NDArray[Any]) -> NDArray[Any]:
    """Longitudes that go on over the antimeridian where they jumped; itself where they do not.

    An edge of a whole turn, from -180 to 180, is that of a map of the world, and no jump; nor is one along a
    pole.
    """
    import numpy

    x, y = coordinates[:, 0], coordinates[:, 1]
    steps = numpy.diff(x)
    polar = (abs(y[1:]) >= POLE) & (abs(y[:-1]) >= POLE)
    jumps = (abs(steps) > HALF) & (abs(steps) < TURN) & ~polar
    if not jumps.any():
        return coordinates
    turns = numpy.where(jumps | (abs(steps) == TURN), -numpy.sign(steps) * TURN, 0.0)
    made = coordinates.copy()
    made[1:, 0] += numpy.cumsum(turns)
    return made


def _within(x: NDArray[Any]) -> NDArray[Any]:
    import numpy

    return numpy.where(abs(x) > HALF, (x + HALF) % TURN - HALF, x)


def _shifted(by: float) -> Callable[[NDArray[Any]], NDArray[Any]]:
    return lambda x: x + by


def _transformed(geometry: Any, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    import shapely

    def moved(coordinates: NDArray[Any]) -> NDArray[Any]:
        coordinates = coordinates.copy()
        coordinates[:, 0] = change(coordinates[:, 0])
        return coordinates

    return shapely.transform(geometry, moved, include_z=geometry.has_z)
