"""Statistics of bands from a bounded number of pixels, however large the raster is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .raster_report import BandStatistics, Number, StatisticsReport

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

MAX_PIXELS = 4 * 1024**2
"""Per band, read at once."""
MAX_BLOCK_PIXELS = 16 * 1024**2
"""A block is decoded as a whole, however small the window."""
MAX_SAMPLED_BLOCKS = 64
MAX_BANDS = 64


class NoStatistics(Exception):
    """The raster has none, or they would cost too much; the text says why."""


def band_statistics(dataset: DatasetReader) -> tuple[StatisticsReport, list[BandStatistics]]:
    """Statistics of the first `MAX_BANDS` bands. Raises `NoStatistics`.

    From all pixels of a small raster, from an overview of a large one, and from blocks evenly spread over
    a large one without overviews.
    """
    if dataset.count == 0:
        raise NoStatistics("the raster has no bands")
    if any("complex" in dtype for dtype in dataset.dtypes):
        raise NoStatistics("statistics of complex numbers are not defined")
    bands = range(1, min(dataset.count, MAX_BANDS) + 1)
    height, width = dataset.shape
    block_height, block_width = dataset.block_shapes[0]
    if block_height * block_width > MAX_BLOCK_PIXELS:
        raise NoStatistics(f"a block has {block_width} × {block_height} pixels, too many to decode")
    decimation = _decimation(dataset, width, height)
    if decimation is not None:
        shape = math.ceil(height / decimation), math.ceil(width / decimation)
        pixels = shape[0] * shape[1]
        report = StatisticsReport(
            source="all" if decimation == 1 else "overview",
            pixels=pixels,
            fraction=pixels / (width * height),
        )
        return report, [_summary([dataset.read(band, out_shape=shape, masked=True)]) for band in bands]
    windows = list(_spread_blocks(width, height, block_width, block_height))
    pixels = sum(int(window.width) * int(window.height) for window in windows)
    report = StatisticsReport(source="sample", pixels=pixels, fraction=pixels / (width * height))
    return report, [
        _summary([dataset.read(band, window=window, masked=True) for window in windows]) for band in bands
    ]


def _decimation(dataset: DatasetReader, width: int, height: int) -> int | None:
    """1 for all pixels, the factor of the most detailed overview that is small enough, or None."""
    for factor in [1, *sorted(dataset.overviews(1))]:
        if math.ceil(width / factor) * math.ceil(height / factor) <= MAX_PIXELS:
            return int(factor)
    return None


def _spread_blocks(width: int, height: int, block_width: int, block_height: int) -> Iterator[Window]:
    from rasterio.windows import Window

    columns, rows = math.ceil(width / block_width), math.ceil(height / block_height)
    wanted = min(columns * rows, MAX_SAMPLED_BLOCKS, max(1, MAX_PIXELS // (block_width * block_height)))
    for number in range(wanted):
        # The middle of each of `wanted` equal stretches of blocks, so that no edge is preferred.
        row, column = divmod((2 * number + 1) * columns * rows // (2 * wanted), columns)
        left, top = column * block_width, row * block_height
        yield Window(left, top, min(block_width, width - left), min(block_height, height - top))


def _summary(parts: list[Any]) -> BandStatistics:
    """Of masked arrays; NaN counts as not valid."""
    import numpy

    valid = numpy.concatenate([part.compressed() for part in parts])
    total = sum(part.size for part in parts)
    if valid.dtype.kind == "f":
        valid = valid[~numpy.isnan(valid)]
    percent = 100.0 * valid.size / total if total else 0.0
    if valid.size == 0:
        return BandStatistics(minimum=None, maximum=None, mean=None, stddev=None, valid_percent=percent)
    with numpy.errstate(over="ignore", invalid="ignore"):
        return BandStatistics(
            minimum=json_number(valid.min().item()),
            maximum=json_number(valid.max().item()),
            mean=json_number(valid.mean(dtype="float64").item()),
            stddev=json_number(valid.std(dtype="float64").item()),
            valid_percent=percent,
        )


def json_number(value: float) -> Number:
    """The number, or the string that stands for it where JSON has no number."""
    if isinstance(value, int) or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
