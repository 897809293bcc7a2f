"""Digests of pixels: equal for what is equal to a reader, and for nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import pytest
import rasterio

from services.cog.fidelity import DIGEST_COLUMNS, PixelsDiffer, compare_tiles, digest

AREA = (0, 0, 700, 600)


def made(path: Path, data: Any, mask: Any = None, **profile: Any) -> str:
    count, height, width = data.shape
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
        rasterio.open(
            path,
            "w",
            driver="GTiff",
            width=width,
            height=height,
            count=count,
            dtype=data.dtype,
            **profile,
        ) as dataset,
    ):
        dataset.write(data)
        if mask is not None:
            dataset.write_mask(mask)
    return str(path)


@pytest.fixture
def data() -> Any:
    return numpy.random.default_rng(1).integers(1, 200, (2, 600, 700), "uint8")


def of(path: str, area: tuple[int, int, int, int] = AREA) -> str:
    return digest(path, area, lambda: None)


def test_how_pixels_are_stored_does_not_matter(tmp_path: Path, data: Any) -> None:
    plain = made(tmp_path / "plain.tif", data)
    tiled = made(tmp_path / "tiled.tif", data, tiled=True, blockxsize=256, blockysize=256, compress="zstd")
    assert of(plain) == of(tiled)


def test_a_part_of_the_whole_has_the_digest_of_the_part_by_itself(tmp_path: Path, data: Any) -> None:
    whole = made(tmp_path / "whole.tif", data)
    part = made(tmp_path / "part.tif", data[:, 100:350, 256:700])
    assert of(whole, (256, 100, 444, 250)) == of(part, (0, 0, 444, 250))


def test_a_single_pixel_matters(tmp_path: Path, data: Any) -> None:
    before = of(made(tmp_path / "a.tif", data))
    data[1, 599, 699] += 1
    assert of(made(tmp_path / "b.tif", data)) != before


def test_what_lies_under_a_mask_does_not_matter_but_the_mask_does(tmp_path: Path, data: Any) -> None:
    mask = numpy.full((600, 700), 255, "uint8")
    mask[10:20, 10:20] = 0
    one = of(made(tmp_path / "a.tif", data, mask))
    data[:, 12, 12] = 250
    assert of(made(tmp_path / "b.tif", data, mask)) == one
    mask[300, 300] = 0
    assert of(made(tmp_path / "c.tif", data, mask)) != one


def test_one_nan_is_like_another(tmp_path: Path) -> None:
    values = numpy.ones((1, 600, 700), "float32")
    values[0, 5, 5] = numpy.nan
    one = of(made(tmp_path / "a.tif", values))
    values.view("uint32")[0, 5, 5] = 0x7FC00001
    assert numpy.isnan(values[0, 5, 5])
    assert of(made(tmp_path / "b.tif", values)) == one
    values[0, 5, 5] = 0
    assert of(made(tmp_path / "c.tif", values)) != one


def test_rasters_that_are_wider_than_what_is_read_at_once_are_read_to_their_end(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(1, 200, (1, 600, DIGEST_COLUMNS + 300), "uint8")
    whole = made(tmp_path / "whole.tif", data)
    width = DIGEST_COLUMNS + 200
    part = made(tmp_path / "part.tif", data[:, 50:, 100:])
    assert of(whole, (100, 50, width, 550)) == of(part, (0, 0, width, 550))
    data[0, 599, -1] += 1
    assert of(made(tmp_path / "other.tif", data), (100, 50, width, 550)) != of(part, (0, 0, width, 550))


def test_tiles_are_found_in_a_cog_by_their_digests(tmp_path: Path, data: Any) -> None:
    path = made(tmp_path / "a.tif", data)
    areas = [(0, 0, 512, 600), (512, 0, 188, 600)]
    tiles: list[Any] = [(area, digest(path, area, lambda: None)) for area in areas]
    data[1, 599, 699] += 1
    other = made(tmp_path / "b.tif", data)

    compare_tiles(path, tiles, 2, lambda: None)
    with pytest.raises(PixelsDiffer, match=r"1 of 2 tiles are not in the COG .* at column 512, row 0"):
        compare_tiles(other, tiles, 2, lambda: None)
    with pytest.raises(PixelsDiffer, match="at column 0, row 0"):
        compare_tiles(path, [(areas[0], None), tiles[1]], 2, lambda: None)
