"""The extent of a collection from those of its parts, on a sphere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

Longitudes = list[tuple[float, float]]

MOST_INTERVALS = 360
"""What is kept of a collection's longitudes: past that the narrowest gaps are closed."""
WIDEST_ACROSS = 270.0
"""Degrees. A box across the antimeridian that is wider tells little more than one around the Earth."""
DIGITS = 9
"""Of degrees, 0.1 mm: as geometries are written."""


def joined(intervals: Iterable[Sequence[float]]) -> Longitudes:
    """The same longitudes as intervals that do not overlap, from west to east, at most `MOST_INTERVALS`."""
    made: list[list[float]] = []
    for west, east in sorted((one[0], one[1]) for one in intervals):
        if made and west <= made[-1][1]:
            made[-1][1] = max(made[-1][1], east)
        else:
            made.append([west, east])
    if len(made) > MOST_INTERVALS:
        gaps = sorted(range(1, len(made)), key=lambda n: made[n - 1][1] - made[n][0])
        kept = sorted(gaps[: MOST_INTERVALS - 1])
        made = [
            [made[first][0], made[after - 1][1]]
            for first, after in zip([0, *kept], [*kept, len(made)], strict=True)
        ]
    return [(west, east) for west, east in made]


def boxes(longitudes: Longitudes, south: float, north: float) -> list[list[float]]:
    """`extent.spatial.bbox`: the box around everything, and those of its parts where that says too much.

    What lies on both sides of the antimeridian has a box around the Earth first, and then one on each side: a
    collection has one box, or one and at least two that it is made of (STAC 1.1, collection-spec). GeoJSON's
    single box with west > east would be read by pgstac as the one around all the rest of the Earth, so that
    a search for collections would miss what is there.
    """
    west, east = longitudes[0][0], longitudes[-1][1]
    around = west + 360 - east
    gaps = [(after[0] - before[1], before[1], after[0]) for before, after in pairwise(longitudes)]
    widest, end, start = max(gaps, default=(0.0, 0.0, 0.0))
    if widest <= around or 360 - widest > WIDEST_ACROSS:
        return [_box(west, south, east, north)]
    return [
        _box(-180, south, 180, north),
        _box(start, south, 180, north),
        _box(-180, south, end, north),
    ]


def _box(west: float, south: float, east: float, north: float) -> list[float]:
    """Rounded outwards."""
    scale = 10**DIGITS
    low, high = (
        [math.floor(value * scale) / scale for value in (west, south)],
        [math.ceil(value * scale) / scale for value in (east, north)],
    )
    return [*low, *high]
