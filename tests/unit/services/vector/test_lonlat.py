"""What cannot be transformed into degrees would make whole pages of the features API fail."""

from __future__ import annotations

from typing import Any

import numpy
import pytest

from services.vector.lonlat import NOWHERE, LonLat

from .shapes import shaped

UTM, MOLLWEIDE = "EPSG:32632", "ESRI:54009"


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("Point", "POINT (500000 5000000)", "POINT (1e15 5000000)"),
        ("Polygon", "POLYGON ((0 0, 9 0, 9 9, 0 0))", "POLYGON ((0 0, 1e15 0, 1e15 9, 0 0))"),
        (
            "Polygon",
            "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 1 2, 2 2, 1 1))",
            "POLYGON ((0 0, 1e9 0, 1e9 9, 0 9, 0 0), (1 1, 1 2, 2 2, 1 1))",
        ),
    ],
)
def test_what_has_no_longitude_and_latitude_is_rejected_alone(kind: str, good: str, bad: str) -> None:
    result = shaped(kind, good, bad, good, None, crs=UTM, target=UTM)
    assert result.reasons == [None, NOWHERE, None, None]
    assert shaped(kind, good, None, crs=UTM, target=UTM).reasons == [None, None]


def test_what_only_its_box_has_no_place_for_is_loaded() -> None:
    # The map of the world is an ellipse, and this goes along its edge.
    edge = "LINESTRING (17500000 2000000, 17000000 2500000, 14000000 5500000)"
    beyond = "LINESTRING (17900000 2000000, 17900000 8000000)"
    result = shaped("LineString", edge, beyond, "LINESTRING (0 0, 1 1)", crs=MOLLWEIDE, target="ESRI:54009")
    assert result.reasons == [None, NOWHERE, None]


def test_latitudes_beyond_the_poles_are_none_in_grads_either() -> None:
    result = shaped("Point", "POINT (1 99)", "POINT (1 101)", crs="EPSG:4807", target="EPSG:4807")
    assert result.reasons == [None, NOWHERE]


def test_a_layer_of_another_planet_is_loaded_as_it_is() -> None:
    moon = "ESRI:103878"
    assert shaped("Point", "POINT (1e15 0)", crs=moon, target=moon).reasons == [None]


def test_of_good_data_only_a_few_places_of_all_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    lonlat = LonLat(UTM)
    given = lonlat._transform
    assert given is not None

    def counting(x: Any, y: Any) -> Any:
        asked.append(numpy.size(x))
        return given(x, y)

    monkeypatch.setattr(lonlat, "_transform", counting)
    west = numpy.linspace(400_000.0, 600_000.0, 5000)
    assert not lonlat.doubtful([west, west * 9, west + 10, west * 9 + 10]).any()
    assert sum(asked) == 5 * 25
