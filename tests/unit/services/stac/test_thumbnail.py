"""Pictures of rasters, read back pixel by pixel."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.io import MemoryFile

from services.stac import decimation
from services.stac.decimation import NoCoarseView
from services.stac.thumbnail import colour_bands, thumbnail
from tests.unit.services.rasters import write_raster


def picture(path: Path, **options: Any) -> NDArray[Any]:
    """Red, green, blue and alpha of the thumbnail: (4, rows, columns)."""
    with rasterio.open(path) as dataset:
        png = thumbnail(dataset, **options)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    with MemoryFile(png) as file, file.open() as image:
        assert image.driver == "PNG"
        bands = image.read()
    opaque = numpy.full_like(bands[:1], 255)
    if len(bands) in (1, 3):
        bands = numpy.concatenate([bands, opaque])
    return bands if len(bands) == 4 else numpy.concatenate([bands[[0, 0, 0]], bands[1:]])


def test_the_longer_side_is_as_asked_and_the_aspect_is_kept(tmp_path: Path) -> None:
    wide = write_raster(tmp_path / "wide.tif", numpy.ones((1, 300, 1200), "uint8"))
    small = write_raster(tmp_path / "small.tif", numpy.ones((1, 3, 7), "uint8"))
    line = write_raster(tmp_path / "line.tif", numpy.ones((1, 1, 5000), "uint8"))

    assert picture(wide).shape == (4, 128, 512)
    assert picture(wide, size=100).shape == (4, 25, 100)
    assert picture(small).shape == (4, 3, 7)
    assert picture(line).shape == (4, 1, 512)


def test_values_are_stretched_between_percentiles(tmp_path: Path) -> None:
    data = numpy.linspace(1000, 2000, 10_000).reshape(1, 100, 100).astype("uint16")
    data[0, 0, 0], data[0, 99, 99] = 0, 65535
    red, green, blue, alpha = picture(write_raster(tmp_path / "a.tif", data))

    assert (red == green).all()
    assert (red == blue).all()
    assert (alpha == 255).all()
    assert (red[0, 0], red[99, 99]) == (0, 255)
    assert red[50, 0] == pytest.approx(128, abs=2)
    assert red[25, 0] == pytest.approx((0.25 - 0.02) / 0.96 * 255, abs=2)


def test_a_picture_of_8_bits_is_shown_as_it_is(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(90, 110, (3, 20, 30)).astype("uint8")
    shown = picture(write_raster(tmp_path / "a.tif", data, photometric="RGB"))

    assert (shown[:3] == data).all()


def test_red_green_and_blue_are_found_by_their_interpretation(tmp_path: Path) -> None:
    data = numpy.zeros((4, 8, 8), "uint8")
    data[0], data[1], data[2] = 10, 20, 30
    path = write_raster(tmp_path / "a.tif", data)
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.undefined]

    assert picture(path)[:3, 0, 0].tolist() == [30, 20, 10]


@pytest.mark.parametrize(
    ("count", "dtype", "descriptions", "expected"),
    [
        (6, "uint16", (), [3, 2, 1]),
        (3, "uint16", (), [1, 2, 3]),
        (4, "uint16", ("Blue", "Green", "Red", "NIR"), [3, 2, 1]),
        (4, "uint16", ("nir", "red", "green", "blue"), [2, 3, 4]),
        (5, "float32", (), [1]),
        (5, "float32", ("red", "green", "blue", "x", "y"), [1, 2, 3]),
        (2, "uint8", (), [1]),
    ],
)
def test_of_many_bands_three_make_sense_or_one_is_shown(
    tmp_path: Path, count: int, dtype: str, descriptions: tuple[str, ...], expected: list[int]
) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((count, 4, 4), dtype), photometric="MINISBLACK")
    with rasterio.open(path, "r+") as dataset:
        for index, text in enumerate(descriptions, 1):
            dataset.set_band_description(index, text)

    with rasterio.open(path) as dataset:
        assert colour_bands(dataset) == expected


def test_a_colour_table_is_used(tmp_path: Path) -> None:
    data = numpy.zeros((1, 8, 8), "uint8")
    data[0, :, 4:], data[0, 0, 0] = 1, 7
    path = write_raster(tmp_path / "a.tif", data, photometric="palette", nodata=7)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (10, 20, 30, 255), 1: (200, 100, 50, 255), 7: (1, 2, 3, 255)})

    shown = picture(path)

    assert shown[:, 4, 2].tolist() == [10, 20, 30, 255]
    assert shown[:, 4, 6].tolist() == [200, 100, 50, 255]
    assert shown[3, 0, 0] == 0


def test_what_is_masked_is_transparent_whatever_its_colour(tmp_path: Path) -> None:
    path, mask = tmp_path / "a.tif", numpy.full((8, 8), 255, "uint8")
    mask[:, 4:] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_raster(path, numpy.zeros((1, 8, 8), "uint8"), photometric="palette")
        with rasterio.open(path, "r+") as dataset:
            dataset.write_colormap(1, {0: (10, 20, 30, 255)})
            dataset.write_mask(mask)

    assert (picture(path)[3] == mask).all()


def test_what_has_no_data_is_transparent(tmp_path: Path) -> None:
    data = numpy.full((1, 10, 10), 5.0, "float32")
    data[0, 0, 0], data[0, 0, 1], data[0, 0, 2], data[0, 0, 3] = -9999, math.nan, math.inf, -math.inf
    data[0, 9] = 6

    shown = picture(write_raster(tmp_path / "a.tif", data, nodata=-9999))

    assert shown[3, 0, :5].tolist() == [0, 0, 0, 0, 255]
    # What is infinite does not stretch the rest away.
    assert (shown[0, 9, 9], shown[0, 5, 5]) == (255, 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "complex64"])
def test_a_raster_without_any_data_is_all_transparent(tmp_path: Path, dtype: str) -> None:
    shown = picture(write_raster(tmp_path / "a.tif", numpy.zeros((1, 9, 9), dtype), nodata=0))

    assert shown.shape == (4, 9, 9)
    assert (shown[3] == 0).all()


def test_a_single_pixel_and_a_constant_are_grey(tmp_path: Path) -> None:
    pixel = picture(write_raster(tmp_path / "a.tif", numpy.full((1, 1, 1), 3, "int16")))
    constant = picture(write_raster(tmp_path / "b.tif", numpy.full((1, 4, 4), 1e308, "float64")))

    assert pixel.tolist() == [[[128]], [[128]], [[128]], [[255]]]
    assert (constant[0] == 128).all()


def test_the_largest_doubles_are_stretched_too(tmp_path: Path) -> None:
    data = numpy.array([[[-1.7e308, 0, 1.7e308]]])

    assert picture(write_raster(tmp_path / "a.tif", data))[0, 0] == pytest.approx([0, 128, 255], abs=1)


def test_of_complex_numbers_the_magnitude_is_shown(tmp_path: Path) -> None:
    data = numpy.array([[[1, 1j, -1, 3 + 4j, 5j, -5]]], "complex64")

    assert picture(write_raster(tmp_path / "a.tif", data))[0, 0].tolist() == [0, 0, 0, 255, 255, 255]


def test_a_few_pixels_that_differ_from_all_others_are_seen(tmp_path: Path) -> None:
    data = numpy.zeros((1, 100, 100), "uint16")
    data[0, 50, 50] = 9

    shown = picture(write_raster(tmp_path / "a.tif", data))[0]

    assert (shown[50, 50], shown[0, 0]) == (255, 0)


def test_an_alpha_band_is_opacity_and_no_colour(tmp_path: Path) -> None:
    data = numpy.full((4, 4, 4), 77, "uint8")
    data[3, :, :2] = 0
    data[3, :, 2:] = 255

    shown = picture(write_raster(tmp_path / "a.tif", data, photometric="RGB", alpha="YES"))

    assert (shown[3] == data[3]).all()
    assert (shown[:3, :, 2:] == 77).all()


def test_an_alpha_band_of_16_bits_that_holds_255_is_seen(tmp_path: Path) -> None:
    data = numpy.full((4, 4, 4), 1000, "uint16")
    data[3], data[3, 0, 0] = 255, 0

    shown = picture(write_raster(tmp_path / "a.tif", data, photometric="RGB", alpha="YES"))

    assert (shown[3, 0, 0], shown[3, 3, 3]) == (0, 255)


def test_north_is_up_also_where_the_rows_go_northward(tmp_path: Path) -> None:
    data = numpy.zeros((1, 10, 10), "uint8")
    data[0, 0] = 200

    shown = picture(
        write_raster(tmp_path / "a.tif", data, crs="EPSG:4326", transform=Affine(1, 0, 5, 0, 1, 5))
    )

    assert (shown[0, 9] == 255).all()
    assert (shown[0, :9] == 0).all()


def test_a_large_raster_is_averaged_and_its_data_reach_the_edge_of_the_rest(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(0, 2, (1, 1024, 1024)).astype("uint8") * 200
    data[0, :, :512] = 255
    path = write_raster(tmp_path / "a.tif", data, nodata=255)

    shown = picture(path, size=256)

    assert (shown[3, :, :128] == 0).all()
    assert (shown[3, :, 128:] == 255).all()
    # Of 16 pixels, any number may be 200; the nearest one is 0 or 200.
    assert len(numpy.unique(shown[0, :, 128:])) > 5


def test_a_raster_that_cannot_be_looked_at_cheaply_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decimation, "MAX_DECODED_PIXELS", 1000 * 1000)
    data = numpy.ones((1, 1100, 1100), "uint8")
    plain = write_raster(tmp_path / "plain.tif", data)
    cog = write_raster(tmp_path / "cog.tif", data, driver="COG")

    with rasterio.open(plain) as dataset, pytest.raises(NoCoarseView, match="1100 × 1100"):
        thumbnail(dataset)
    assert picture(cog).shape == (4, 512, 512)
