"""Many rasters as one: where each lies, which covers which, and which do not fit together."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
import rasterio.shutil
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader
from rasterio.merge import merge
from rasterio.transform import Affine, from_bounds, from_origin
from rasterio.warp import transform

from interfaces.conversions import Mosaic, MosaicPart, MosaicSource, SourceBlob
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, MosaicOptions
from services.cog.composing import composed, reaches_into
from services.cog.mosaic import compose, mosaic_source
from tests.unit.services.rasters import write_raster

LEFT = from_origin(500_000, 5_600_000, 10, 10)
RIGHT = from_origin(500_500, 5_600_000, 10, 10)
"""14 of its 64 columns lie on those of LEFT."""


def said(path: Path, taken_at: datetime | None = None, **options: Any) -> MosaicSource:
    """What the inspection says of a file."""
    blob = SourceBlob(container="bronze", name=str(path), etag="1", size=path.stat().st_size)
    with rasterio.open(path) as dataset:
        return mosaic_source(dataset, blob, CogOptions(**options), "categorical", taken_at)


def made_of(*paths: Path, order: str = "listed", pixel_size: str = "finest", **options: Any) -> Mosaic:
    mosaic = MosaicOptions.model_validate({"order": order, "pixel_size": pixel_size})
    return compose([said(path, **options) for path in paths], CogOptions(**options), mosaic)


def opened(part: MosaicPart) -> AbstractContextManager[DatasetReader]:
    reader: AbstractContextManager[DatasetReader] = rasterio.open(part.source.name)
    return reader


def pixels(mosaic: Mosaic) -> Any:
    """All of it, masked."""
    with composed(mosaic, opened) as view:
        return view.read(masked=True)


def values(mosaic: Mosaic) -> Any:
    """Of its first band, 99 where it is masked: an array that is masked is equal to everything there."""
    return pixels(mosaic)[0].filled(99)


def refusal(*paths: Path, **options: Any) -> str:
    with pytest.raises(PermanentTaskError) as caught:
        made_of(*paths, **options)
    return caught.value.detail


def plain(value: int, dtype: str = "uint8", bands: int = 1) -> Any:
    return numpy.full((bands, 48, 64), value, dtype)


def names(mosaic: Mosaic) -> list[str]:
    return [Path(part.source.name).stem for part in mosaic.parts]


def test_neighbours_keep_their_pixels_and_later_ones_cover_earlier_ones(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(1), transform=LEFT)
    two = write_raster(tmp_path / "two.tif", plain(2), transform=RIGHT)
    mosaic = made_of(one, two)

    assert [part.by for part in mosaic.parts] == ["pixels", "pixels"]
    assert mosaic.grid.transform == [10, 0, 500_000, 0, -10, 5_600_000]
    assert (mosaic.grid.width, mosaic.grid.height) == (114, 48)
    out = values(mosaic)
    assert (out[:, :50] == 1).all()
    assert (out[:, 50:] == 2).all()
    assert (values(made_of(two, one))[:, :64] == 1).all()


def test_the_mosaic_is_that_of_rasterio(tmp_path: Path) -> None:
    random = numpy.random.default_rng(2)
    paths = []
    for at in range(6):
        data = random.integers(0, 5, (2, 48, 64)).astype("int16")
        place = from_origin(500_000 + 10 * int(random.integers(0, 99)), 5_600_000 - 370 * at, 10, 10)
        paths.append(write_raster(tmp_path / f"{at}.tif", data, transform=place, nodata=0))
    expected, placed = merge(paths, method="last")
    mosaic = made_of(*paths)

    assert mosaic.nodata == 0
    assert list(placed)[:6] == pytest.approx(mosaic.grid.transform)
    numpy.testing.assert_array_equal(pixels(mosaic).data, expected)


def test_what_nobody_covers_is_masked_and_zero_is_a_value(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(0), transform=LEFT)
    two = write_raster(tmp_path / "two.tif", plain(0), transform=from_origin(501_000, 5_600_000, 10, 10))
    out = pixels(made_of(one, two))
    assert out.shape == (1, 48, 164)
    assert (~out.mask[0]).all(axis=0).tolist() == [True] * 64 + [False] * 36 + [True] * 64


def test_a_masked_pixel_shows_what_lies_under_it(tmp_path: Path) -> None:
    below = write_raster(tmp_path / "below.tif", plain(1), transform=LEFT)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        above = write_raster(tmp_path / "above.tif", plain(2), transform=RIGHT)
        with rasterio.open(above, "r+") as dataset:
            mask = numpy.full((48, 64), 255, "uint8")
            mask[:10] = 0
            dataset.write_mask(mask)
    out = pixels(made_of(below, above))
    assert (out[0, :10, 50:64] == 1).all()
    assert not out.mask[0, :10, 50:64].any()
    assert (out[0, 10:, 50:64].filled(99) == 2).all()
    assert out.mask[0, :10, 64:].all()


def test_transparent_pixels_show_what_lies_under_them(tmp_path: Path) -> None:
    below, above = plain(7, bands=4), plain(9, bands=4)
    below[3], above[3] = 255, 255
    above[3, :10] = 0
    rgba = {"photometric": "RGB", "alpha": "yes"}
    paths = (
        write_raster(tmp_path / "below.tif", below, transform=LEFT, **rgba),
        write_raster(tmp_path / "above.tif", above, transform=RIGHT, **rgba),
    )
    with composed(made_of(*paths), opened) as view:
        assert view.colorinterp[3] is ColorInterp.alpha
        assert view.count == 4
        out = view.read()
    assert (out[:, :10, 50:64] == numpy.array([7, 7, 7, 255])[:, None, None]).all()
    assert (out[:, 10:, 50:64] == numpy.array([9, 9, 9, 255])[:, None, None]).all()
    assert (out[3, :10, 64:] == 0).all()


def test_different_nodata_becomes_a_mask_since_one_may_be_a_value_of_the_other(tmp_path: Path) -> None:
    first, second = plain(5), plain(0)
    first[0, 0, :], second[0, 0, :] = 0, 255
    mosaic = made_of(
        write_raster(tmp_path / "one.tif", first, transform=LEFT, nodata=0),
        write_raster(tmp_path / "two.tif", second, transform=RIGHT, nodata=255),
    )
    assert mosaic.nodata is None
    assert "nodata differs (0.0, 255.0): a mask says where there is none" in mosaic.notes
    out = pixels(mosaic)
    assert out.mask[0, 0].all()
    assert not out.mask[0, 1:].any()
    assert (out[0, 1:, 50:] == 0).all()


def test_a_raster_beside_the_grid_or_in_another_crs_is_warped_onto_it(tmp_path: Path) -> None:
    first = write_raster(tmp_path / "first.tif", plain(1), transform=LEFT)
    beside = write_raster(
        tmp_path / "beside.tif", plain(2), transform=from_origin(500_644, 5_600_003, 10, 10)
    )
    west, south, east, north = 9.0, 50.54, 9.01, 50.545
    other = write_raster(
        tmp_path / "other.tif",
        plain(3),
        crs="EPSG:4326",
        transform=from_bounds(west, south, east, north, 64, 48),
    )
    mosaic = made_of(first, beside, other, pixel_size="first")

    assert [part.by for part in mosaic.parts] == ["pixels", "transform", "transform"]
    assert mosaic.grid.crs == "EPSG:32632"
    assert mosaic.notes[0] == "1 of 3 rasters keep their pixels, 2 are warped"
    with composed(mosaic, opened) as view:
        for place, value in ((first, 1), (beside, 2), (other, 3)):
            with rasterio.open(place) as dataset:
                middle = transform(dataset.crs, view.crs, *[[v] for v in dataset.xy(10, 40)])
            assert view.read(1, masked=True)[view.index(middle[0][0], middle[1][0])] == value


def test_south_up_and_point_placed_rasters_find_their_place(tmp_path: Path) -> None:
    north = write_raster(tmp_path / "north.tif", transform=LEFT)
    ramp = numpy.arange(48 * 64, dtype="uint16").reshape(1, 48, 64)
    south = write_raster(tmp_path / "south.tif", ramp, transform=Affine(10, 0, 500_640, 0, 10, 5_599_520))
    gcps = [
        GroundControlPoint(row, column, 501_280 + 10 * column, 5_600_000 - 10 * row)
        for row in (0, 48)
        for column in (0, 64)
    ]
    points = write_raster(tmp_path / "points.tif", ramp, transform=None, gcps=gcps)
    mosaic = made_of(north, south, points)

    assert [part.by for part in mosaic.parts] == ["pixels", "transform", "gcps"]
    out = pixels(mosaic)[0].filled(65535)
    assert out.shape == (48, 192)
    numpy.testing.assert_array_equal(out[:, 64:128], ramp[0, ::-1])
    numpy.testing.assert_array_equal(out[:, 128:], ramp[0])


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857"])
def test_both_sides_of_the_antimeridian_lie_side_by_side(tmp_path: Path, crs: str) -> None:
    unit = 1.0 if crs == "EPSG:4326" else math.pi * 6_378_137 / 180

    def eight_degrees(value: int, west: float) -> Path:
        place = from_origin(west * unit, 0, unit / 8, unit / 8)
        return write_raster(tmp_path / f"{value}.tif", plain(value), crs=crs, transform=place)

    near = eight_degrees(1, 172), eight_degrees(2, 164)
    mosaic = made_of(*near, eight_degrees(3, -180))
    assert mosaic.grid.width == 192
    assert mosaic.grid.transform[2] == pytest.approx(164 * unit)
    assert [part.by for part in mosaic.parts] == ["pixels"] * 3
    expected = numpy.repeat([2, 1, 3], 64)
    assert (values(mosaic) == expected).all()

    # A quarter of a pixel beside the others' grid.
    warped = made_of(*near, eight_degrees(4, -179.97))
    assert [part.by for part in warped.parts] == ["pixels", "pixels", "transform"]
    expected[128:] = 4
    assert (values(warped)[:, :192] == expected).all()

    # When most of it is behind the antimeridian, it is seen from there.
    behind = made_of(near[0], eight_degrees(5, -180), eight_degrees(6, -172))
    assert behind.grid.transform[2] == pytest.approx(-188 * unit)
    assert (values(behind) == numpy.repeat([1, 5, 6], 64)).all()


def test_tiles_of_the_whole_earth_stay_between_minus_180_and_180(tmp_path: Path) -> None:
    paths = [
        write_raster(
            tmp_path / f"{west}.tif",
            plain(1),
            crs="EPSG:4326",
            transform=from_bounds(west, -90, west + 90, 90, 64, 48),
        )
        for west in (90, -180, 0, -90)
    ]
    grid = made_of(*paths).grid
    assert (grid.transform[2], grid.width) == (-180, 256)


def test_a_frame_half_a_pixel_beside_that_of_the_earth_is_kept(tmp_path: Path) -> None:
    paths = [
        write_raster(
            tmp_path / f"{west}.tif",
            plain(1),
            crs="EPSG:4326",
            transform=from_bounds(west, -90, west + 180, 90, 64, 48),
        )
        for west in (-181.40625, -1.40625)
    ]
    assert made_of(*paths).grid.transform[2] == -181.40625


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("listed", ["b", "c", "a"]),
        ("name", ["a", "b", "c"]),
        ("newest_last", ["c", "a", "b"]),
        ("resolution", ["a", "b", "c"]),
    ],
)
def test_the_order_says_which_covers_which(tmp_path: Path, order: str, expected: list[str]) -> None:
    def source(name: str, size: float, year: int | None) -> MosaicSource:
        path = write_raster(
            tmp_path / f"{name}.tif", plain(1), transform=from_origin(500_000, 5_600_000, size, size)
        )
        return said(path, datetime(year, 1, 1, tzinfo=UTC) if year else None)

    sources = [source("b", 20, 2024), source("c", 10, None), source("a", 40, 2020)]
    mosaic = compose(sources, CogOptions(), MosaicOptions.model_validate({"order": order}))
    assert names(mosaic) == expected


@pytest.mark.parametrize(("pixel_size", "expected"), [("finest", 10), ("coarsest", 40), ("first", 20)])
def test_the_resolution_is_that_of_one_of_them(tmp_path: Path, pixel_size: str, expected: float) -> None:
    paths = [
        write_raster(
            tmp_path / f"{size}.tif", plain(1), transform=from_origin(500_003, 5_600_007, size, size)
        )
        for size in (20, 10, 40)
    ]
    mosaic = made_of(*paths, pixel_size=pixel_size)
    assert mosaic.grid.transform == [expected, 0, 500_003, 0, -expected, 5_600_007]
    assert sum(part.by == "pixels" for part in mosaic.parts) == 1


def test_another_crs_resolution_or_web_map_is_as_for_a_single_raster(tmp_path: Path) -> None:
    paths = (
        write_raster(tmp_path / "one.tif", plain(1), transform=LEFT),
        write_raster(tmp_path / "two.tif", plain(2), transform=RIGHT),
    )
    finer = made_of(*paths, resolution=4)
    assert finer.grid.transform == [4, 0, 500_000, 0, -4, 5_600_000]
    other = made_of(*paths, target_crs="EPSG:3857", resolution=16)
    assert other.grid.crs == "EPSG:3857"
    assert other.grid.transform[2] % 16 == 0
    web = made_of(*paths, web_optimized=True)
    assert (web.grid.width % 512, web.grid.height % 512) == (0, 0)
    for mosaic in (finer, other, web):
        assert set(numpy.unique(pixels(mosaic).compressed())) == {1, 2}
    assert refusal(*paths, resolution=1e-4).startswith("resolution: makes ")


def test_rasters_that_differ_are_refused_by_name(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(1))
    two_bands = write_raster(tmp_path / "bands.tif", plain(1, bands=2))
    wide = write_raster(tmp_path / "wide.tif", plain(1, "float32"))
    bare = write_raster(tmp_path / "bare.tif", plain(1), crs=None)
    assert refusal(one, two_bands) == f"band_count differs: 2 in {two_bands}, 1 in {one}"
    assert refusal(one, wide) == f"dtype differs: float32 in {wide}, uint8 in {one}"
    assert refusal(one, bare) == f"no CRS and assume_crs is not given: {bare}"
    assert made_of(one, bare, assume_crs="EPSG:32632").grid.width == 64
    assert made_of(one, wide, data_type="float32").dtype == "float32"


def test_colour_tables_have_to_be_the_same(tmp_path: Path) -> None:
    paths = []
    for name, red in (("one", 1), ("two", 2)):
        paths.append(write_raster(tmp_path / f"{name}.tif", plain(1)))
        with rasterio.open(paths[-1], "r+") as dataset:
            dataset.write_colormap(1, {1: (red, 0, 0, 255)})
    assert refusal(*paths) == f"colour tables differ: {paths[1]} from {paths[0]}"
    with composed(made_of(paths[0], paths[0]), opened) as view:
        assert view.colormap(1)[1] == (1, 0, 0, 255)


def test_a_raster_that_is_nowhere_or_on_another_planet_is_refused(tmp_path: Path) -> None:
    nowhere = write_raster(tmp_path / "nowhere.tif", plain(1), crs=None, transform=None)
    with pytest.raises(PermanentTaskError, match="is not georeferenced: it has no place in a mosaic"):
        said(nowhere)
    turned = Affine.translation(500_000, 5_600_000) @ Affine.rotation(30) @ Affine.scale(10, -10)
    with pytest.raises(PermanentTaskError, match="placement keep: a mosaic has one grid"):
        said(write_raster(tmp_path / "turned.tif", plain(1), transform=turned), placement="keep")
    of_earth = write_raster(tmp_path / "earth.tif", plain(1))
    of_moon = write_raster(tmp_path / "moon.tif", plain(1), crs="+proj=longlat +R=1737400")
    assert refusal(of_earth, of_moon).startswith(f"{of_moon}: the raster's CRS is not one of the Earth")


def test_a_window_opens_only_what_it_touches_and_has_the_pixels_of_the_whole(tmp_path: Path) -> None:
    random = numpy.random.default_rng(3)
    paths = [
        write_raster(
            tmp_path / f"{at}.tif",
            random.integers(1, 200, (1, 48, 64)).astype("uint8"),
            transform=from_origin(500_000 + 640 * at + 3 * (at == 1), 5_600_000, 10, 10),
        )
        for at in range(4)
    ]
    mosaic = made_of(*paths, pixel_size="first")
    whole = pixels(mosaic)
    asked: list[str] = []

    def noted(part: MosaicPart) -> AbstractContextManager[DatasetReader]:
        asked.append(Path(part.source.name).stem)
        return opened(part)

    window = (60, 5, 60, 30)
    with composed(mosaic, noted, window) as view:
        part = view.read(masked=True)
        assert view.transform.c == 500_600
    numpy.testing.assert_array_equal(part.data, whole.data[:, 5:35, 60:120])
    numpy.testing.assert_array_equal(part.mask, whole.mask[:, 5:35, 60:120])
    # The first once more, for what its bands are called.
    assert asked == ["0", "0", "1"]
    assert [reaches_into(each, window) is None for each in mosaic.parts] == [False, False, True, True]


def test_a_mosaic_becomes_a_cog(tmp_path: Path) -> None:
    one = write_raster(tmp_path / "one.tif", plain(1, bands=3), transform=LEFT, photometric="RGB")
    two = write_raster(
        tmp_path / "two.tif",
        plain(2, bands=3),
        transform=from_origin(501_000, 5_599_000, 10, 10),
        photometric="RGB",
    )
    mosaic = Mosaic.model_validate_json(made_of(one, two).model_dump_json())
    with composed(mosaic, opened) as view:
        rasterio.shutil.copy(view, tmp_path / "cog.tif", driver="COG")
    with rasterio.open(tmp_path / "cog.tif") as cog:
        expected = pixels(mosaic)
        assert cog.colorinterp[:3] == (ColorInterp.red, ColorInterp.green, ColorInterp.blue)
        numpy.testing.assert_array_equal(cog.read(), expected.data)
        numpy.testing.assert_array_equal(cog.dataset_mask() == 0, expected.mask[0])
