"""What values are, told from types, colours, names and a sample; and what follows for resampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from interfaces.conversions import Content
from interfaces.rasters import CogOptions
from services.cog.content import Classified, classify, overview_resampling_for
from services.cog.grid import resampling_for
from tests.unit.services.rasters import write_raster


def content_of(path: Path, bands: list[int] | None = None) -> Classified:
    with rasterio.open(path) as dataset:
        return classify(dataset, bands)


def noise(dtype: str, bands: int = 1, most: int = 250) -> Any:
    return numpy.random.default_rng(1).integers(0, most, (bands, 64, 64)).astype(dtype)


def test_complex_numbers_are_complex(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise("float32").astype("complex64"))

    assert content_of(path).content == "complex"


def test_a_colour_table_means_categories(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise("uint8"), photometric="palette")
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {0: (255, 0, 0, 255), 1: (0, 255, 0, 255)})

    assert content_of(path) == Classified("categorical", "it has a colour table")


@pytest.mark.parametrize(
    ("dtype", "bands", "content"),
    [("uint8", 3, "picture"), ("uint8", 4, "picture"), ("uint16", 3, "continuous")],
)
def test_red_green_and_blue_of_8_bits_are_a_picture(
    tmp_path: Path, dtype: str, bands: int, content: Content
) -> None:
    path = write_raster(tmp_path / "a.tif", noise(dtype, bands), photometric="rgb")

    assert content_of(path).content == content


def test_one_colour_of_a_picture_is_no_picture(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", noise("uint8", 3), photometric="rgb")

    assert content_of(path, [1]).content == "continuous"


@pytest.mark.parametrize(
    ("name", "dtype", "content"),
    [
        ("LC08_L2SP_QA_PIXEL", "uint16", "bitmask"),
        ("LC08_L2SP_SR_B4", "uint16", "continuous"),
        ("wind_direction", "float32", "circular"),
        ("windDirection", "float32", "circular"),
        ("aspect", "int16", "circular"),
        ("aspects_of_life", "int16", "continuous"),
        ("land-cover", "uint8", "categorical"),
        ("class_probability", "float32", "continuous"),
        ("aquatic", "uint16", "continuous"),
    ],
)
@pytest.mark.parametrize("where", ["file name", "description", "tag"])
def test_names_say_what_values_are(
    tmp_path: Path, name: str, dtype: str, content: Content, where: str
) -> None:
    path = write_raster(tmp_path / (f"{name}.tif" if where == "file name" else "a.tif"), noise(dtype))
    with rasterio.open(path, "r+") as dataset:
        if where == "description":
            dataset.set_band_description(1, name)
        if where == "tag":
            dataset.update_tags(1, long_name=name)

    assert content_of(path).content == content


@pytest.mark.parametrize(("most", "content"), [(12, "categorical"), (200, "continuous")])
def test_few_distinct_small_integers_are_classes(tmp_path: Path, most: int, content: Content) -> None:
    found = content_of(write_raster(tmp_path / "a.tif", noise("uint8", most=most)))

    assert found.content == content
    assert f"{most} distinct integers" in found.sign


def test_nodata_is_no_class_and_a_constant_has_none(tmp_path: Path) -> None:
    data = numpy.zeros((1, 64, 64), "int16")
    data[0, :, :32] = -9999

    assert content_of(write_raster(tmp_path / "a.tif", data, nodata=-9999)).content == "continuous"


def test_several_bands_of_few_values_are_not_taken_for_classes(tmp_path: Path) -> None:
    assert content_of(write_raster(tmp_path / "a.tif", noise("uint8", 2, most=5))).content == "continuous"


def test_a_large_raster_is_sampled_block_by_block(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(0, 9, (1, 1500, 1500)).astype("uint8")
    path = write_raster(tmp_path / "a.tif", data, tiled=True, blockxsize=256, blockysize=256)

    found = content_of(path)

    assert found.content == "categorical"
    assert int(found.sign.split()[-2]) < 0.3 * data.size


@pytest.mark.parametrize(
    ("content", "warping", "overviews"),
    [
        ("continuous", "bilinear", "average"),
        ("picture", "cubic", "average"),
        ("categorical", "nearest", "mode"),
        ("bitmask", "nearest", "nearest"),
        ("circular", "nearest", "nearest"),
        ("complex", "nearest", "nearest"),
    ],
)
def test_resampling_follows_from_the_content_and_says_so(
    content: Content, warping: str, overviews: str
) -> None:
    options = CogOptions()

    assert resampling_for(options, content) == warping
    assert overview_resampling_for(content, options) == (
        overviews,
        f"overviews by {overviews}: for {content} values",
    )


def test_a_resampling_that_was_asked_for_is_used_and_doubted_where_it_mixes_classes() -> None:
    options = CogOptions.model_validate(
        {"resampling": "lanczos", "profile": {"overview_resampling": "cubic"}}
    )

    assert resampling_for(options, "categorical") == "lanczos"
    assert overview_resampling_for("continuous", options) == ("cubic", "overviews by cubic: asked for")
    assert "although the values are categorical" in overview_resampling_for("categorical", options)[1]
