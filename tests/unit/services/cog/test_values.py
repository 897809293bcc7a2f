"""Bands, data types, scaling, nodata and masks as a job asks for them."""

from __future__ import annotations

from pathlib import Path

import numpy
import pytest
import rasterio
from rasterio.enums import ColorInterp

from tests.unit.services.rasters import write_raster

from .making import cog_of

ROW = numpy.arange(700 * 600).reshape(1, 700, 600)
BIG = ROW.astype("uint16")


def test_bands_are_taken_in_the_order_asked_for_with_all_that_is_theirs(tmp_path: Path) -> None:
    data = numpy.concatenate([BIG, BIG + 1, BIG + 2])
    path = write_raster(tmp_path / "a.tif", data)
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("one", "two", "three")
        dataset.scales = (1.0, 2.0, 3.0)
        dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)

    with cog_of(path, bands=[3, 1, 3]) as cog:
        assert numpy.array_equal(cog.read(), data[[2, 0, 2]])
        assert cog.descriptions == ("three", "one", "three")
        assert cog.scales == (3.0, 1.0, 3.0)


def test_one_band_of_a_masked_raster_keeps_the_mask(tmp_path: Path) -> None:
    mask = numpy.where(ROW[0] % 5 == 0, 0, 255).astype("uint8")
    path = write_raster(tmp_path / "a.tif", numpy.concatenate([BIG, BIG + 1]))
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(mask)

    with cog_of(path, bands=[2]) as cog:
        assert numpy.array_equal(cog.read_masks(1), mask)
        assert numpy.array_equal(cog.read(), BIG + 1)


def test_a_narrower_type_rounds_and_cuts(tmp_path: Path) -> None:
    data = numpy.zeros((1, 4, 4), "float32")
    data[0, 0] = [-7.0, 1.4, 1.6, 300.0]

    with cog_of(write_raster(tmp_path / "a.tif", data), data_type="uint8") as cog:
        assert cog.dtypes == ("uint8",)
        assert cog.read(1)[0].tolist() == [0, 1, 2, 255]


def test_a_wider_type_keeps_values_and_nodata(tmp_path: Path) -> None:
    with cog_of(write_raster(tmp_path / "a.tif", BIG, nodata=7), data_type="float32") as cog:
        assert (cog.dtypes, cog.nodata) == (("float32",), 7.0)
        assert numpy.array_equal(cog.read(), BIG.astype("float32"))


def test_scaling_is_linear_and_cut_to_its_range(tmp_path: Path) -> None:
    data = numpy.zeros((1, 4, 4), "uint16")
    data[0, 0] = [0, 1000, 2000, 9999]
    scaling = {"from_range": [1000, 3000], "to_range": [0, 200]}

    with cog_of(write_raster(tmp_path / "a.tif", data), data_type="uint8", scaling=scaling) as cog:
        assert cog.read(1)[0].tolist() == [0, 0, 100, 200]


def test_scaled_values_mean_what_they_did(tmp_path: Path) -> None:
    data = numpy.full((1, 4, 4), 2000, "uint16")
    path = write_raster(tmp_path / "a.tif", data)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.1,), (-50.0,)
        dataset.update_tags(1, STATISTICS_MAXIMUM="2000", wavelength="0.6")
    scaling = {"from_range": [1000, 3000], "to_range": [0, 200]}

    with cog_of(path, data_type="uint8", scaling=scaling) as cog:
        assert cog.read(1)[0, 0] * cog.scales[0] + cog.offsets[0] == pytest.approx(2000 * 0.1 - 50)
        assert cog.tags(1) == {"wavelength": "0.6"}


def test_nodata_does_not_take_part_in_scaling(tmp_path: Path) -> None:
    data = numpy.zeros((1, 4, 4), "int16")
    data[0, 0] = [-9999, 0, 50, 100]
    path = write_raster(tmp_path / "a.tif", data, nodata=-9999)
    scaling = {"from_range": [0, 100], "to_range": [0, 200]}

    with cog_of(path, data_type="int16", scaling=scaling) as cog:
        assert cog.nodata == -9999
        assert cog.read(1)[0].tolist() == [-9999, 0, 100, 200]
    with cog_of(path, data_type="uint8", scaling=scaling) as cog:
        assert cog.nodata is None
        assert cog.read(1, masked=True)[0].tolist() == [None, 0, 100, 200]


def test_alpha_is_not_scaled(tmp_path: Path) -> None:
    data = numpy.full((4, 33, 32), 100, "uint16")
    path = write_raster(tmp_path / "a.tif", data, photometric="rgb", alpha="yes")
    scaling = {"from_range": [0, 1000], "to_range": [0, 255]}

    with cog_of(path, data_type="uint8", scaling=scaling) as cog:
        assert cog.read()[:, 0, 0].tolist() == [26, 26, 26, 100]


def test_nodata_that_was_undeclared_is_declared_and_pixels_stay(tmp_path: Path) -> None:
    with cog_of(write_raster(tmp_path / "a.tif", BIG), nodata=9) as cog:
        assert cog.nodata == 9
        assert numpy.array_equal(cog.read(), BIG)
        assert numpy.array_equal(cog.read_masks(1) == 0, BIG[0] == 9)


def test_another_nodata_takes_the_place_of_the_former(tmp_path: Path) -> None:
    with cog_of(write_raster(tmp_path / "a.tif", BIG, nodata=9), nodata=11) as cog:
        assert cog.nodata == 11
        assert set(cog.read(1)[(BIG[0] == 9)]) == {11}
        assert numpy.array_equal(cog.read_masks(1) == 0, (BIG[0] == 9) | (BIG[0] == 11))


def test_another_nodata_takes_the_place_of_nan(tmp_path: Path) -> None:
    data = BIG.astype("float32")
    data[0, 3] = numpy.nan

    with cog_of(write_raster(tmp_path / "a.tif", data, nodata=numpy.nan), nodata=-1) as cog:
        assert cog.nodata == -1
        assert (cog.read(1)[3] == -1).all()


def test_nodata_of_a_narrower_type_replaces_one_that_does_not_fit(tmp_path: Path) -> None:
    data = numpy.zeros((1, 4, 4), "int16")
    data[0, 0] = [-9999, 1, 50, 100]
    path = write_raster(tmp_path / "a.tif", data, nodata=-9999)

    with cog_of(path, data_type="uint8", nodata=255) as cog:
        assert cog.nodata == 255
        assert cog.read(1)[0].tolist() == [255, 1, 50, 100]


@pytest.mark.parametrize("value", [9, numpy.nan])
def test_nodata_becomes_a_mask(tmp_path: Path, value: float) -> None:
    data = BIG.astype("float32")
    data[0, 3] = value

    with cog_of(write_raster(tmp_path / "a.tif", data, nodata=value), nodata="mask") as cog:
        assert cog.nodata is None
        assert [flag.name for flag in cog.mask_flag_enums[0]] == ["per_dataset"]
        missing = (data[0] == value) | numpy.isnan(data[0])
        assert missing.any()
        assert numpy.array_equal(cog.read_masks(1) == 0, missing)


def test_a_mask_of_several_bands_hides_what_is_valid_in_none(tmp_path: Path) -> None:
    data = numpy.ones((3, 600, 600), "uint8")
    data[:, 0, 0] = 0
    data[1, 1, 1] = 0

    with cog_of(write_raster(tmp_path / "a.tif", data, photometric="rgb", nodata=0), nodata="mask") as cog:
        assert (cog.read_masks(1)[0, 0], cog.read_masks(1)[1, 1]) == (0, 255)
        assert numpy.array_equal(cog.read(), data)


def test_a_jpeg_masks_what_its_alpha_hid(tmp_path: Path) -> None:
    data = numpy.full((4, 600, 600), 120, "uint8")
    data[3, :300] = 0
    data[3, 300:] = 255
    path = write_raster(tmp_path / "a.tif", data, photometric="rgb", alpha="yes")

    with cog_of(path, profile={"compression": "jpeg", "quality": 90}) as cog:
        assert cog.count == 3
        assert numpy.array_equal(cog.read_masks(1) != 0, data[3] != 0)
        assert abs(cog.read(1)[400, 100].astype(int) - 120) < 3


@pytest.mark.parametrize("compression", ["jpeg", "webp"])
def test_a_lossy_picture_with_nodata_is_stored_with_a_mask(tmp_path: Path, compression: str) -> None:
    data = numpy.full((3, 600, 600), 120, "uint8")
    data[:, :300] = 0
    path = write_raster(tmp_path / "a.tif", data, photometric="rgb", nodata=0)

    with cog_of(path, nodata="mask", profile={"compression": compression}) as cog:
        assert numpy.array_equal(cog.read_masks(1) == 0, data[0] == 0)


def test_lossy_lerc_stays_within_its_error_and_keeps_nan(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).normal(size=(1, 600, 600)).astype("float32")
    data[0, :9] = numpy.nan
    path = write_raster(tmp_path / "a.tif", data, nodata=numpy.nan)

    with cog_of(path, profile={"compression": "lerc", "max_z_error": 0.01}) as cog:
        assert numpy.isnan(cog.read(1)[:9]).all()
        assert 0 < numpy.abs(cog.read(1)[9:] - data[0, 9:]).max() <= 0.01
