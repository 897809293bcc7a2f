"""The boxes of a collection, on both sides of the antimeridian."""

from __future__ import annotations

import random

import pytest

from services.stac.collection_extent import MOST_INTERVALS, boxes, joined


def test_intervals_that_touch_or_overlap_become_one() -> None:
    assert joined([(5, 6), (0, 1), (1, 2), (0.5, 0.7), (5.5, 7)]) == [(0, 2), (5, 7)]


def test_joining_parts_in_any_order_gives_the_same() -> None:
    draw = random.Random(3)
    parts = [(west, west + draw.random()) for west in (draw.uniform(-180, 179) for _ in range(300))]
    halves = [*joined(parts[:150]), *joined(parts[150:])]
    assert joined(halves) == joined(parts)


def test_of_too_many_intervals_the_narrowest_gaps_are_closed() -> None:
    narrow = [(n / 10, n / 10 + 0.09) for n in range(MOST_INTERVALS)]
    wide = [(-100.0, -99.0), (100.0, 101.0)]
    made = joined([*narrow, *wide])
    assert len(made) == MOST_INTERVALS
    assert (made[0], made[-1]) == (wide[0], wide[1])
    assert (made[1][0], made[-2][1]) == (narrow[0][0], narrow[-1][1])


@pytest.mark.parametrize(
    ("longitudes", "expected"),
    [
        ([(5, 6), (9, 12)], [[5, -1, 12, 1]]),
        ([(-9, -8), (169, 170)], [[-9, -1, 170, 1]]),
        ([(-180, 180)], [[-180, -1, 180, 1]]),
        # Fiji: both sides, each with a box of its own.
        ([(-180, -178), (177, 180)], [[-180, -1, 180, 1], [177, -1, 180, 1], [-180, -1, -178, 1]]),
        # Japan and Hawaii: nothing lies at the antimeridian, but it is the shorter way around.
        ([(-160, -155), (130, 145)], [[-180, -1, 180, 1], [130, -1, 180, 1], [-180, -1, -155, 1]]),
        # All over the Earth, with a gap somewhere: one box says it.
        ([(-180, -20), (20, 180)], [[-180, -1, 180, 1]]),
    ],
    ids=["one box", "far apart", "everywhere", "both sides", "shorter across", "gap"],
)
def test_a_collection_has_one_box_or_one_more_on_each_side_of_the_antimeridian(
    longitudes: list[tuple[float, float]], expected: list[list[float]]
) -> None:
    assert boxes(longitudes, -1, 1) == expected


def test_boxes_are_rounded_outwards() -> None:
    ((west, south, east, north),) = boxes([(0.1234567891234, 1.1234567891234)], -0.11111111111, 0.11111111111)
    assert (west, east) == (0.123456789, 1.12345679)
    assert (south, north) == (-0.111111112, 0.111111112)
