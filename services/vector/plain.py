"""Geometries of which NumPy alone sees that they are right as they are: most points, lines and simple shapes.

GEOS looks at one geometry after the other, makes objects of them, and needs ten times as long. What is not
found to be right here is no worse for it: it goes the whole way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import wkb
from .lonlat import LonLat

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

POINT, LINE, POLYGON = 1, 2, 3
PART_HEADS = {POINT: 5, LINE: 9, POLYGON: 13}
"""Bytes of WKB before the first coordinate: byte order, code, and numbers of rings and of vertices."""
MULTI_HEAD = 9
"""Bytes before the first part: byte order, code, number of parts."""
FEWEST = {POINT: 1, LINE: 2, POLYGON: 4}
"""Vertices."""
VERTEX = 16
MULTI = 3
"""Between the codes of a geometry and of a multi geometry of such."""
ALL_CODES = frozenset({1, 2, 3, 4, 5, 6})
HALF_TURN, POLE = 180.0, 90.0
MARGIN = 1e-13
"""Of the square of a ring's extent: a hundred times what products of differences of doubles err by."""


@dataclass(frozen=True)
class Found:
    """Of a column of geometries, as arrays of truth values."""

    right: NDArray[Any]
    """Which would stay as they are, byte for byte, however they were repaired; or become so by a turn."""
    clockwise: NDArray[Any]
    """Of those that are right, polygons whose ring is to be turned."""


def look(
    column: pa.Array,
    codes: NDArray[Any],
    wraps: Mapping[int, int],
    *,
    degrees: bool,
    served: LonLat | None = None,
) -> Found:
    """Find, in a column of WKB, the geometries that are right.

    `codes` are those of `wkb.codes`; of them only the keys of `wraps` are looked at. In x and y: points;
    lines without repeated vertices; polygons of one ring that is closed and seen as a whole from the mean of
    its vertices, so that it crosses itself nowhere; and multi geometries of one such part. All coordinates
    are finite; those in `degrees` on Earth, and on one side of the antimeridian; of all `served` has no
    doubts.
    """
    import numpy

    found = Found(numpy.zeros(len(column), dtype=bool), numpy.zeros(len(column), dtype=bool))
    for code in ALL_CODES & wraps.keys():
        places = numpy.flatnonzero(codes == code)
        if not len(places):
            continue
        places, counts = _well_formed(column, places, code)
        if not len(places):
            continue
        edges = _Edges(*_coordinates(column, places, _head_bytes(code)), counts)
        right, clockwise = edges.right(_base(code))
        right &= edges.finite(degrees=degrees)
        if served is not None:
            edges.leave_out(right, served)
        found.right[places] = right
        found.clockwise[places] = right & clockwise
    return found


def turned(column: pa.Array, codes: NDArray[Any], clockwise: NDArray[Any]) -> pa.Array:
    """The same, of polygons of one ring, with those that are `clockwise` the other way round."""
    import numpy
    import pyarrow as pa
    import pyarrow.compute as pc

    for code in (POLYGON, POLYGON + MULTI):
        which = clockwise & (codes == code)
        places, head = numpy.flatnonzero(which), _head_bytes(code)
        if not len(places):
            continue
        chosen = column.take(pa.array(places))
        counts = (wkb.buffers(chosen)[2] - head) // VERTEX
        ends = numpy.cumsum(counts)
        # In each from the last to the first, which are the same.
        backwards = numpy.repeat(2 * ends - counts - 1, counts) - numpy.arange(ends[-1])
        pairs = numpy.stack(_coordinates(chosen, numpy.arange(len(chosen)), head), axis=1)[backwards]
        offsets = numpy.concatenate([[0], ends * VERTEX]).astype(numpy.int32)
        buffers = [None, pa.py_buffer(offsets.tobytes()), pa.py_buffer(pairs.tobytes())]
        bodies = pa.Array.from_buffers(pa.binary(), len(chosen), buffers)
        heads = pc.binary_slice(chosen, 0, head).cast(pa.binary())
        made = pc.binary_join_element_wise(heads, bodies, pa.scalar(b"", pa.binary()))
        column = pc.replace_with_mask(column, pa.array(which), made.cast(column.type))
    return column


def _base(code: int) -> int:
    return code - MULTI if code > POLYGON else code


def _head_bytes(code: int) -> int:
    """Before the first vertex."""
    return PART_HEADS[_base(code)] + (MULTI_HEAD if code > POLYGON else 0)


def _well_formed(column: pa.Array, places: NDArray[Any], code: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Of geometries of one code the places of those whose bytes say of one part, and of nothing else.

    And how many vertices each has.
    """
    import numpy

    base, head = _base(code), _head_bytes(code)
    data, starts, lengths = wkb.buffers(column)
    starts, lengths = starts[places], lengths[places]
    counts = (lengths - head) // VERTEX
    there = (counts >= FEWEST[base]) & (lengths == head + counts * VERTEX)
    if base == POINT:
        there &= counts == 1
    places, starts, counts = places[there], starts[there], counts[there]
    if not len(places):
        return places, counts
    # A window of the head's length at each start.
    heads = numpy.lib.stride_tricks.sliding_window_view(data, head)[starts]
    there = (heads == _heads(code, counts)).all(axis=1)
    return places[there], counts[there]


def _heads(code: int, counts: NDArray[Any]) -> NDArray[Any]:
    """The very bytes that must come before so many vertices, least significant first."""
    import numpy

    base, head = _base(code), _head_bytes(code)
    words: list[Any] = []
    if code > POLYGON:
        words += [(1, code), 1]
    words += [(1, base)]
    if base == POLYGON:
        words += [1]
    if base != POINT:
        words += [counts]
    made = numpy.zeros((len(counts), head), dtype=numpy.uint8)
    at = 0
    for word in words:
        value = word
        if isinstance(word, tuple):
            made[:, at] = word[0]
            at, value = at + 1, word[1]
        number = numpy.broadcast_to(numpy.asarray(value, dtype="<u4"), len(counts))
        made[:, at : at + 4] = numpy.ascontiguousarray(number).view(numpy.uint8).reshape(-1, 4)
        at += 4
    return made


def _coordinates(column: pa.Array, places: NDArray[Any], head: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """All x and all y of these geometries, one after the other."""
    import numpy
    import pyarrow as pa
    import pyarrow.compute as pc

    chosen = column if len(places) == len(column) else column.take(pa.array(places))
    # Without an end PyArrow 26 reckons with more bytes than there can be.
    bodies = pc.binary_slice(chosen, head, int(wkb.buffers(chosen)[2].max()))
    data, starts, lengths = wkb.buffers(bodies)
    pairs = data[starts[0] : starts[-1] + lengths[-1]].view(numpy.float64).reshape(-1, 2)
    return numpy.ascontiguousarray(pairs[:, 0]), numpy.ascontiguousarray(pairs[:, 1])


class _Edges:
    """Vertices of rings or lines, one after the other, so many of each."""

    def __init__(self, x: NDArray[Any], y: NDArray[Any], counts: NDArray[Any]) -> None:
        import numpy

        self._x, self._y, self._counts = x, y, counts
        ends = numpy.cumsum(counts)
        self._first, self._last = ends - counts, ends - 1
        first = self._first
        self._west, self._east = numpy.minimum.reduceat(x, first), numpy.maximum.reduceat(x, first)
        self._south, self._north = numpy.minimum.reduceat(y, first), numpy.maximum.reduceat(y, first)

    def finite(self, *, degrees: bool) -> NDArray[Any]:
        """Which have finite coordinates, and, in degrees, such that need neither move nor be cut."""
        import numpy

        # Comparisons with NaN are false, and the least of numbers with a NaN among them is NaN.
        if not degrees:
            found: NDArray[Any] = numpy.isfinite(self._west) & numpy.isfinite(self._east)
            return found & numpy.isfinite(self._south) & numpy.isfinite(self._north)
        found = (self._west >= -HALF_TURN) & (self._east <= HALF_TURN)
        found &= (self._south >= -POLE) & (self._north <= POLE)
        return found & (self._east - self._west <= HALF_TURN)

    def leave_out(self, right: NDArray[Any], served: LonLat) -> None:
        """Of those that are `right`, and finite, leave out what might not be served."""
        edges = [self._west, self._south, self._east, self._north]
        doubtful = served.doubtful(edges if right.all() else [edge[right] for edge in edges])
        if doubtful.any():
            right[right] = ~doubtful

    def right(self, base: int) -> tuple[NDArray[Any], NDArray[Any]]:
        """Which are as they should be; and which of them run clockwise."""
        import numpy

        found = numpy.ones(len(self._counts), dtype=bool)
        clockwise = ~found
        if base == POINT:
            return found, clockwise
        x, y = self._x, self._y
        same = (x[1:] == x[:-1]) & (y[1:] == y[:-1])
        same[self._last[:-1]] = False
        if same.any():
            found &= numpy.add.reduceat(numpy.append(same, False), self._first, dtype=numpy.int64) == 0
        if base == POLYGON:
            with numpy.errstate(over="ignore", invalid="ignore"):
                whole, clockwise = self._seen_whole()
            found &= whole & self._closed()
        return found, clockwise

    def _closed(self) -> NDArray[Any]:
        closed: NDArray[Any] = self._x[self._first] == self._x[self._last]
        closed &= self._y[self._first] == self._y[self._last]
        return closed

    def _seen_whole(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Which rings go once around the mean of their vertices, always one way; and which go clockwise.

        If, seen from there, each edge leads to the same side, by a clear margin, and all edges together
        around once, then no two of them meet but at the vertex between them.
        """
        import numpy

        x = self._x - numpy.repeat(self._mean(self._x), self._counts)
        y = self._y - numpy.repeat(self._mean(self._y), self._counts)
        left = numpy.empty(len(x))
        numpy.multiply(x[:-1], y[1:], out=left[:-1])
        left[:-1] -= y[:-1] * x[1:]
        clockwise: NDArray[Any] = left[self._first] < 0
        if clockwise.any():
            # Those as in a mirror.
            sides = numpy.repeat(numpy.where(clockwise, -1.0, 1.0), self._counts)
            left, y = left * sides, y * sides
        # From the last vertex, which is the first, to that of the next ring leads no edge.
        left[self._last] = numpy.inf
        extent = (self._east - self._west) ** 2 + (self._north - self._south) ** 2
        whole: NDArray[Any] = numpy.minimum.reduceat(left, self._first) > MARGIN * extent
        below = y < 0
        upward = numpy.empty(len(y), dtype=bool)
        numpy.logical_and(below[:-1], ~below[1:], out=upward[:-1])
        upward[self._last] = False
        whole &= numpy.add.reduceat(upward, self._first, dtype=numpy.int64) == 1
        return whole, clockwise

    def _mean(self, values: NDArray[Any]) -> NDArray[Any]:
        """Of each ring's vertices, the last of which is its first."""
        import numpy

        first = values[self._first]
        # Of differences, since sums of large numbers lose what small rings are made of.
        away = values - numpy.repeat(first, self._counts)
        mean: NDArray[Any] = first + numpy.add.reduceat(away, self._first) / (self._counts - 1)
        return mean
