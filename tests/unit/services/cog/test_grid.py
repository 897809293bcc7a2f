"""Where output pixels lie: what stays, what is turned or rectified, what is refused and why."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from pyproj import Transformer
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine, from_bounds, from_origin
from rasterio.warp import calculate_default_transform

from interfaces.conversions import Content, Warp
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, CogProfile
from services.cog.grid import HALF_WORLD, resampling_for, warp_for
from tests.unit.services.rasters import write_raster

MARS = (
    'PROJCRS["Mars",BASEGEOGCRS["Mars 2000",DATUM["Mars 2000",ELLIPSOID["Mars",3396190,169.894]]],'
    'CONVERSION["eqc",METHOD["Equidistant Cylindrical",ID["EPSG",1028]]],CS[Cartesian,2],'
    'AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
)
WHOLE_EARTH = {"crs": "EPSG:4326", "transform": from_bounds(-180, -90, 180, 90, 64, 48)}


def warp(path: Path, content: Content = "categorical", **options: Any) -> Warp | None:
    with rasterio.open(path) as dataset:
        return warp_for(dataset, CogOptions(**options), content)


def needed(path: Path, **options: Any) -> Warp:
    made = warp(path, **options)
    assert made is not None
    return made


def bounds(made: Warp) -> tuple[float, float, float, float]:
    x, _, left, _, y, top = made.grid.transform
    return left, top + y * made.grid.height, left + x * made.grid.width, top


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(PermanentTaskError) as caught:
        warp(path, **options)
    return caught.value.detail


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"target_crs": "EPSG:32632"},
        {"resolution": 10},
        {"assume_crs": "EPSG:4326"},
        {"placement": "refuse"},
    ],
    ids=str,
)
def test_a_north_up_raster_of_which_no_change_is_asked_stays_where_it_is(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    assert warp(write_raster(tmp_path / "a.tif"), **options) is None


def test_a_raster_that_is_not_placed_at_all_stays_but_is_not_warped(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs=None, transform=None)
    assert warp(path) is None
    assert "not georeferenced" in refusal(path, target_crs="EPSG:3857", assume_crs="EPSG:4326")
    assert refusal(path, resolution=2).startswith("resolution: the raster is not georeferenced")


@pytest.mark.parametrize(
    "transform",
    [Affine(10, 0, 500_000, 0, 10, 5_000_000), Affine(-10, 0, 500_640, 0, -10, 5_000_480)],
    ids=["south-up", "east-west"],
)
def test_a_turned_raster_goes_onto_the_grid_of_the_same_pixel_centres(
    tmp_path: Path, transform: Affine
) -> None:
    made = needed(
        write_raster(tmp_path / "a.tif", transform=transform), placement="refuse", resampling="cubic"
    )

    assert made.grid.transform == [10, 0, 500_000, 0, -10, 5_000_480]
    assert (made.grid.width, made.grid.height, made.grid.crs) == (64, 48, "EPSG:32632")
    assert (made.resampling, made.by) == ("nearest", "transform")


def test_a_rotated_raster_is_rectified_around_all_its_corners_or_refused(tmp_path: Path) -> None:
    transform = Affine.translation(500_000, 5_600_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    path = write_raster(tmp_path / "a.tif", transform=transform)
    made = needed(path)

    left, bottom, right, top = bounds(made)
    corners = [transform @ corner for corner in ((0, 0), (64, 0), (0, 48), (64, 48))]
    for edge, inside in (
        (left, min(x for x, _ in corners)),
        (-right, -max(x for x, _ in corners)),
        (bottom, min(y for _, y in corners)),
        (-top, -max(y for _, y in corners)),
    ):
        assert edge - 0.01 <= inside < edge + 10
    assert made.grid.transform[0] == pytest.approx(10)
    assert refusal(path, placement="refuse") == "the raster is rotated or sheared, and placement is refuse"


def test_a_rotated_raster_without_crs_is_rectified_in_its_own_coordinates(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs=None, transform=Affine(8, 6, 0, 6, -8, 0))
    assert needed(path).grid.crs is None
    assumed = needed(path, assume_crs="EPSG:32632")
    assert (assumed.grid.crs, assumed.source_crs) == ("EPSG:32632", "EPSG:32632")


def test_ground_control_points_are_followed_or_refused(tmp_path: Path) -> None:
    gcps = [
        GroundControlPoint(row, column, 10 + column / 100, 50 - row / 100)
        for row in (0, 48)
        for column in (0, 64)
    ]
    path = write_raster(tmp_path / "a.tif", transform=None, crs="EPSG:4326", gcps=gcps)
    made = needed(path)

    assert (made.by, made.grid.crs) == ("gcps", "EPSG:4326")
    assert bounds(made) == pytest.approx((10, 49.52, 10.64, 50))
    assert made.grid.transform[0] == pytest.approx(0.01)
    assert (
        refusal(path, placement="refuse")
        == "the raster is placed by ground control points, and placement is refuse"
    )


def test_a_missing_crs_is_assumed_or_the_warp_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs=None)
    assert refusal(path, target_crs="EPSG:3857") == "the raster has no CRS and assume_crs is not given"
    assert refusal(path, web_optimized=True) == "the raster has no CRS and assume_crs is not given"

    made = needed(path, target_crs="EPSG:3857", assume_crs="EPSG:32632")
    named = needed(write_raster(tmp_path / "b.tif"), target_crs="EPSG:3857")
    assert made.grid == named.grid
    assert (made.source_crs, named.source_crs) == ("EPSG:32632", None)


def test_a_raster_that_names_another_crs_than_the_assumed_keeps_its_own(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif")
    made = needed(path, target_crs="EPSG:3857", assume_crs="EPSG:32633")
    assert made == needed(path, target_crs="EPSG:3857")


def test_no_raster_goes_from_one_body_to_another(tmp_path: Path) -> None:
    of_mars = write_raster(tmp_path / "mars.tif", crs=MARS)
    assert "not one of the Earth (its ellipsoid has a radius of 3396190 m)" in refusal(
        of_mars, target_crs="EPSG:4326"
    )
    of_earth = write_raster(tmp_path / "earth.tif")
    assert refusal(of_earth, target_crs=MARS).startswith("target_crs is not one of the Earth")
    # Its own coordinates need no Earth.
    assert needed(of_mars, resolution=20).grid.width == 32


def test_a_local_crs_leads_nowhere(tmp_path: Path) -> None:
    local = 'LOCAL_CS["site",UNIT["metre",1]]'
    assert "is a local one" in refusal(write_raster(tmp_path / "a.tif", crs=local), target_crs="EPSG:3857")


def test_edges_are_multiples_of_the_resolution_and_cover_the_raster(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", transform=from_origin(500_003, 5_600_007, 10, 10))
    made = needed(path, resolution=[25, 50])

    assert made.grid.transform == [25, 0, 500_000, 0, -50, 5_600_050]
    assert bounds(made) == (500_000, 5_599_500, 500_650, 5_600_050)


def test_a_grid_in_another_crs_covers_every_edge_and_is_as_fine_as_gdals(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", transform=from_origin(200_000, 6_000_000, 10_000, 10_000))
    made = needed(path, target_crs="EPSG:3035")

    with rasterio.open(path) as dataset:
        theirs, _, _ = calculate_default_transform(
            dataset.crs, "EPSG:3035", dataset.width, dataset.height, *dataset.bounds
        )
        edge = numpy.linspace(0, 1, 2001)
        left, bottom, right, top = dataset.bounds
        xs = numpy.concatenate([left + edge * (right - left)] * 2 + [edge * 0 + left, edge * 0 + right])
        ys = numpy.concatenate([edge * 0 + bottom, edge * 0 + top] + [bottom + edge * (top - bottom)] * 2)
    x, y = Transformer.from_crs(32632, 3035, always_xy=True).transform(xs, ys)
    west, south, east, north = bounds(made)
    size = made.grid.transform[0]
    for edge_, outermost in ((west, x.min()), (-east, -x.max()), (south, y.min()), (-north, -y.max())):
        assert edge_ - 0.002 * size <= outermost <= edge_ + 1.001 * size
    assert size == pytest.approx(theirs.a, rel=0.01)


def test_coordinates_are_in_the_traditional_order_whatever_the_authority_says(tmp_path: Path) -> None:
    west, south, east, north = bounds(needed(write_raster(tmp_path / "a.tif"), target_crs="EPSG:4326"))
    assert 8.9 < west < east < 9.1
    assert 50.5 < south < north < 50.6


@pytest.mark.parametrize(("target", "turn"), [("EPSG:4326", 360.0), ("EPSG:3857", 2 * HALF_WORLD)])
def test_a_raster_over_the_antimeridian_goes_on_past_it(tmp_path: Path, target: str, turn: float) -> None:
    path = write_raster(
        tmp_path / "a.tif", crs="EPSG:32660", transform=from_origin(660_000, 5_800_000, 1000, 1000)
    )
    west, _, east, _ = bounds(needed(path, target_crs=target))
    assert west < turn / 2 < east
    assert east - west < turn / 300


def test_longitudes_from_0_to_360_stay_the_frame(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs="EPSG:4326", transform=from_bounds(0, -90, 360, 90, 64, 48))
    west, _, east, _ = bounds(needed(path, target_crs="EPSG:3857"))
    assert (west, east) == pytest.approx((0, 2 * HALF_WORLD), abs=1)


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -90), ("EPSG:3413", 90)])
def test_a_pole_inside_is_part_of_the_grid_all_around(tmp_path: Path, crs: str, pole: float) -> None:
    # Not in the middle: one side of the raster is nearer to the pole than the others.
    path = write_raster(tmp_path / "a.tif", crs=crs, transform=from_origin(-4e6, 3e6, 1e5, 1e5))
    west, south, east, north = bounds(needed(path, target_crs="EPSG:4326"))
    assert (west, east) == pytest.approx((-180, 180))
    assert (south if pole < 0 else north) == pytest.approx(pole)

    _, south, _, north = bounds(needed(path, target_crs="EPSG:3857", resolution=10_000))
    limit = Transformer.from_crs(4326, 3857, always_xy=True).transform(0, math.copysign(85.06, pole))[1]
    outer, inner = (-south, -limit) if pole < 0 else (north, limit)
    assert inner - 1 <= outer < inner + 10_000


def test_a_raster_that_mercator_has_no_room_for_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs="EPSG:3413", transform=from_origin(-3e5, 2e5, 1e4, 1e4))
    assert "beyond 85.06° of latitude" in refusal(path, target_crs="EPSG:3857")


def test_mercator_ends_at_85_06_degrees(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", **WHOLE_EARTH)
    west, south, east, north = bounds(needed(path, target_crs="EPSG:3857", resolution=10_000))
    assert (west, east) == (-20_040_000, 20_040_000)
    assert (south, north) == (-20_050_000, 20_050_000)


def test_a_raster_around_the_whole_earth_is_one_turn_wide_at_the_resolution_of_its_own(
    tmp_path: Path,
) -> None:
    path = write_raster(tmp_path / "a.tif", **WHOLE_EARTH)
    west, _, east, _ = bounds(needed(path, target_crs="EPSG:3857"))
    assert (west, east) == pytest.approx((-HALF_WORLD, HALF_WORLD))


@pytest.mark.parametrize(("block_size", "tile"), [(512, 512), (1024, 512), (256, 256), (384, 256)])
def test_web_optimized_grids_are_whole_tiles_of_the_nearest_zoom_level(
    tmp_path: Path, block_size: int, tile: int
) -> None:
    path = write_raster(tmp_path / "a.tif")
    made = needed(path, web_optimized=True, profile=CogProfile(block_size=block_size))
    size, _, left, _, _, top = made.grid.transform

    zoom = math.log2(2 * HALF_WORLD / tile / size)
    assert zoom == pytest.approx(round(zoom), abs=1e-9)
    native = needed(path, target_crs="EPSG:3857").grid.transform[0]
    assert 2**-0.5 <= size / native <= 2**0.5
    for edge in ((left + HALF_WORLD) / size / tile, (HALF_WORLD - top) / size / tile):
        assert edge == pytest.approx(round(edge), abs=1e-6)
    assert made.grid.width % tile == made.grid.height % tile == 0
    assert made.grid.crs == "EPSG:3857"
    west, south, east, north = bounds(needed(path, target_crs="EPSG:3857"))
    outer = bounds(made)
    slack = 2 * native
    assert outer[0] <= west + slack
    assert outer[1] <= south + slack
    assert outer[2] >= east - slack
    assert outer[3] >= north - slack


def test_a_grid_that_is_the_rasters_own_needs_no_warp(tmp_path: Path) -> None:
    size = 2 * HALF_WORLD / 512 / 2**5
    data = numpy.zeros((1, 512, 512), "uint8")
    path = write_raster(
        tmp_path / "a.tif", data, crs="EPSG:3857", transform=from_origin(-HALF_WORLD, HALF_WORLD, size, size)
    )
    assert warp(path, web_optimized=True) is None


def test_web_maps_of_the_whole_earth_end_with_their_tiles(tmp_path: Path) -> None:
    made = needed(write_raster(tmp_path / "a.tif", **WHOLE_EARTH), web_optimized=True)
    assert bounds(made) == pytest.approx((-HALF_WORLD, -HALF_WORLD, HALF_WORLD, HALF_WORLD))


@pytest.mark.parametrize(
    ("target", "resolution", "reason"),
    [
        # Degrees for metres, and metres for degrees.
        ("EPSG:3857", 0.00001, "resolution: makes "),
        ("EPSG:4326", 10, "resolution: makes 1 × 1 pixels of a raster of 64 × 48"),
        ("EPSG:32632", 0.01, "resolution: makes 64000 × 48000 pixels, more than 100000000"),
        ("EPSG:32632", 0.0001, "resolution: makes 6400000 × 4800000 pixels, more than 5000000 on a side"),
    ],
)
def test_a_resolution_in_the_wrong_unit_is_refused_with_what_it_would_make(
    tmp_path: Path, target: str, resolution: float, reason: str
) -> None:
    path = write_raster(tmp_path / "a.tif")
    assert refusal(path, target_crs=target, resolution=resolution).startswith(reason)


def test_a_raster_that_reaches_to_where_the_target_is_infinite_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", **WHOLE_EARTH)
    assert refusal(path, target_crs="EPSG:3413") == (
        "the raster reaches too far beyond the area of use of target_crs "
        "(west, south, east, north: -180, 60, 180, 90)"
    )


def test_a_target_that_no_part_of_the_raster_reaches_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", crs="EPSG:4326", transform=from_bounds(-100, -20, -80, 0, 64, 48))
    far = "+proj=ortho +lat_0=40 +lon_0=100 +ellps=WGS84"
    assert refusal(path, target_crs=far) == "no part of the raster can be transformed to target_crs"


@pytest.mark.parametrize("content", ["categorical", "bitmask", "circular", "complex"])
def test_values_that_cannot_be_mixed_are_chosen(content: Content) -> None:
    assert resampling_for(CogOptions(), content) == "nearest"


def test_values_that_can_be_mixed_are_interpolated_unless_told_otherwise() -> None:
    assert resampling_for(CogOptions(), "continuous") == "bilinear"
    assert resampling_for(CogOptions(), "picture") == "cubic"
    assert resampling_for(CogOptions(resampling="average"), "categorical") == "average"
