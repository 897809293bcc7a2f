"""Statistics of a raster: of all its pixels, of an overview, or of some of its blocks."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy
import pytest
import rasterio
from rasterio.enums import Resampling

from services import raster_statistics
from services.raster_source import jpeg2000_tile_count

from .rasters import inspect, readable, write_raster


def test_statistics_of_a_small_raster_are_those_of_all_its_valid_pixels(tmp_path: Path) -> None:
    data = numpy.arange(64 * 48, dtype="float32").reshape(1, 48, 64)
    data[0, 0, :32] = -1
    data[0, 0, 32:] = numpy.nan
    path = write_raster(tmp_path / "a.tif", data, nodata=-1)

    report = readable(inspect(path, statistics=True))

    valid = data[0, 1:]
    (band,) = report.bands
    assert report.statistics is not None
    assert (report.statistics.source, report.statistics.approximate) == ("all", False)
    assert band.statistics is not None
    assert band.statistics.minimum == valid.min()
    assert band.statistics.maximum == valid.max()
    assert band.statistics.mean == pytest.approx(valid.mean(dtype="float64"))
    assert band.statistics.stddev == pytest.approx(valid.std(dtype="float64"))
    assert band.statistics.valid_percent == pytest.approx(100 * 47 / 48)


def test_statistics_of_a_raster_without_a_valid_pixel(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.full((1, 4, 4), 3, "uint8"), nodata=3)

    (band,) = readable(inspect(path, statistics=True)).bands

    assert band.statistics is not None
    assert (band.statistics.minimum, band.statistics.valid_percent) == (None, 0)


def test_statistics_of_a_large_raster_come_from_an_overview(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster_statistics, "MAX_PIXELS", 256 * 256)
    data = numpy.full((1, 1024, 1024), 9, "uint8")
    path = write_raster(tmp_path / "a.tif", data, tiled=True, blockxsize=256, blockysize=256)
    with rasterio.open(path, "r+") as dataset:
        dataset.build_overviews([2, 4, 8], Resampling.nearest)

    report = readable(inspect(path, statistics=True))

    assert report.statistics is not None
    assert (report.statistics.source, report.statistics.pixels) == ("overview", 256 * 256)
    assert report.bands[0].statistics is not None
    assert report.bands[0].statistics.mean == 9


def test_statistics_of_a_large_raster_without_overviews_come_from_some_of_its_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raster_statistics, "MAX_PIXELS", 256 * 256)
    rows = numpy.arange(1024, dtype="uint16")
    data = numpy.repeat(rows, 1024).reshape(1, 1024, 1024)
    path = write_raster(tmp_path / "a.tif", data, tiled=True, blockxsize=64, blockysize=64)

    report = readable(inspect(path, statistics=True))

    assert report.statistics is not None
    assert (report.statistics.source, report.statistics.approximate) == ("sample", True)
    assert report.statistics.pixels <= 256 * 256
    assert report.bands[0].statistics is not None
    assert report.bands[0].statistics.mean == pytest.approx(data.mean(), rel=0.15)


def test_pixels_that_cannot_be_read_are_a_reason_not_a_failure(tmp_path: Path) -> None:
    data = numpy.random.default_rng(1).integers(0, 255, (1, 256, 256), "uint8")
    path = write_raster(tmp_path / "a.tif", data, compress="deflate")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2000] = bytes(2000)
    path.write_bytes(content)

    report = readable(inspect(path, statistics=True))

    assert report.statistics is None
    assert report.statistics_reason is not None
    assert "cannot be read" in report.statistics_reason
    assert report.width == 256


def test_complex_numbers_have_no_statistics_and_say_so(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", numpy.zeros((1, 4, 4), "complex64"))

    report = readable(inspect(path, statistics=True))

    assert report.statistics_reason is not None
    assert "complex" in report.statistics_reason


def test_moments_of_parts_are_those_of_the_whole() -> None:
    data = numpy.ma.masked_equal(numpy.random.default_rng(1).normal(1e6, 3, 10_000), 0)
    moments = raster_statistics.Moments()
    for part in (data[:0], data[:10], data[10:4000], data[4000:]):
        moments.add(part)

    made = moments.summary()

    assert (made.minimum, made.maximum, made.valid_percent) == (data.min(), data.max(), 100)
    assert made.mean == pytest.approx(data.mean(), rel=1e-12)
    assert made.stddev == pytest.approx(data.std(), rel=1e-9)


def test_the_tiles_of_a_jpeg_2000_are_counted_by_its_first_marker() -> None:
    """ISO/IEC 15444-1, A.5.1."""
    sizes = struct.pack(">HH8I", 41, 0, 3601, 1025, 1, 1, 1024, 1024, 0, 0)

    assert jpeg2000_tile_count(b"boxes" + b"\xff\x4f\xff\x51" + sizes) == 8
    assert jpeg2000_tile_count(b"boxes" + b"\xff\x4f\xff\x51" + sizes[:20]) is None
    assert jpeg2000_tile_count(b"boxes") is None
