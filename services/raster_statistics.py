"""Statistics of bands from a bounded number of pixels and bytes, however large the raster is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .raster_report import BandStatistics, Number, StatisticsReport
from .raster_source import (
    JPEG2000_HEAD_BYTES,
    RANDOM_ACCESS,
    RasterSource,
    block_count,
    jpeg2000_tile_count,
    stored_bytes,
)

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

MAX_PIXELS = 4 * 1024**2
"""Per band, read at once."""
MAX_BLOCK_PIXELS = 16 * 1024**2
"""A block is decoded as a whole, however small the window."""
MAX_SAMPLED_BLOCKS = 64
MAX_BANDS = 64
WHOLE_FILE_BYTES = 4 * 1024**2
"""A file of at most so many bytes may be read whole, ..."""
MAX_FRACTION = 0.25
"""... and of a larger one about this part, its header included."""


class NoStatistics(Exception):
    """The raster has none, or they would cost too much; the text says why."""


def band_statistics(
    dataset: DatasetReader, source: RasterSource
) -> tuple[StatisticsReport, list[BandStatistics]]:
    """Statistics of the first `MAX_BANDS` bands. Raises `NoStatistics`.

    From all pixels of a small raster; from an overview of a large one; and if none is small enough, from
    blocks evenly spread over the image.
    """
    if dataset.count == 0:
        raise NoStatistics("the raster has no bands")
    if any("complex" in dtype for dtype in dataset.dtypes):
        raise NoStatistics("statistics of complex numbers are not defined")
    bounded = source.size > WHOLE_FILE_BYTES
    if bounded and dataset.driver not in RANDOM_ACCESS:
        raise NoStatistics(
            f"{dataset.driver} cannot be read in parts, and {source.size} bytes are too many to read whole"
        )
    budget = MAX_FRACTION * source.size if bounded else math.inf
    # JPEG 2000 has its resolutions inside each tile: a coarse one takes as many bytes as the finest.
    factors = [] if dataset.driver == "JP2OpenJPEG" else [int(factor) for factor in dataset.overviews(1)]
    for level in [None, *sorted(range(len(factors)), key=factors.__getitem__)]:
        with _level(dataset, level, source) as image:
            if image.width * image.height > MAX_PIXELS:
                continue
            share = _share(factors, level)
            size = stored_bytes(image) if bounded else 0
            if (share * source.size if size is None else size) + source.fetched() <= budget:
                return _of_all(dataset, image, level)
    return _of_some(dataset, source, budget)


def _share(factors: list[int], level: int | None) -> float:
    """The part of a file's pixels that a level has, the image and all overviews together being one."""
    pixels = [factor**-2 for factor in (1, *factors)]
    return pixels[0 if level is None else level + 1] / sum(pixels)


@contextmanager
def _level(dataset: DatasetReader, level: int | None, source: RasterSource) -> Iterator[DatasetReader]:
    """The image itself, or one of its overviews as a dataset of its own."""
    from rasterio.io import DatasetReader

    if level is None:
        yield dataset
        return
    reader: Any = DatasetReader  # takes a list of drivers and options for opening
    with reader(source.path, driver=[dataset.driver], overview_level=level) as overview:
        yield overview


def _of_all(
    dataset: DatasetReader, image: DatasetReader, level: int | None
) -> tuple[StatisticsReport, list[BandStatistics]]:
    """From all pixels of the image or of an overview."""
    _check_block(image)
    moments = [Moments() for _ in range(min(image.count, MAX_BANDS))]
    for band, of_band in enumerate(moments, 1):
        of_band.add(image.read(band, masked=True))
    report = StatisticsReport(
        source="all" if level is None else "overview",
        approximate=level is not None,
        pixels=image.width * image.height,
        fraction=image.width * image.height / (dataset.width * dataset.height),
    )
    return report, [of_band.summary() for of_band in moments]


def _of_some(
    dataset: DatasetReader, source: RasterSource, budget: float
) -> tuple[StatisticsReport, list[BandStatistics]]:
    """From as many blocks as the budget allows; the last is read when it is expected to fit."""
    _check_block(dataset)
    expected = _bytes_at_once(dataset, source)
    if expected > budget:
        raise NoStatistics(
            f"the smallest part that can be read has about {expected:.0f} of the file's {source.size} bytes"
        )
    moments = [Moments() for _ in range(min(dataset.count, MAX_BANDS))]
    pixels, before = 0, source.fetched()
    for window in _spread_blocks(dataset, (budget - before) / expected):
        if pixels and before + expected > budget:
            break
        for band, of_band in enumerate(moments, 1):
            of_band.add(dataset.read(band, window=window, masked=True))
        pixels += int(window.width) * int(window.height)
        now = source.fetched()
        expected, before = max(expected, now - before), now
    report = StatisticsReport(
        source="sample",
        approximate=True,
        pixels=pixels,
        fraction=pixels / (dataset.width * dataset.height),
    )
    return report, [of_band.summary() for of_band in moments]


def _check_block(image: DatasetReader) -> None:
    height, width = image.block_shapes[0]
    if height * width > MAX_BLOCK_PIXELS:
        raise NoStatistics(f"a block has {width} × {height} pixels, too many to decode")


def _bytes_at_once(dataset: DatasetReader, source: RasterSource) -> float:
    """Bytes that are fetched at least, on the average, for the pixels of one block in all bands."""
    blocks = block_count(dataset)
    if dataset.driver == "JP2OpenJPEG" and source.size > WHOLE_FILE_BYTES:
        tiles = jpeg2000_tile_count(source.head(JPEG2000_HEAD_BYTES))
        if tiles is None:
            raise NoStatistics("the file does not say near its beginning how large its tiles are")
        blocks = min(blocks, tiles)
    stored = stored_bytes(dataset)
    return max(1.0, (source.size if stored is None else stored) / blocks)


def _spread_blocks(dataset: DatasetReader, affordable: float) -> list[Window]:
    """Blocks evenly spread over the image, in an order in which the first ones are, too."""
    from rasterio.windows import Window

    width, height = dataset.width, dataset.height
    block_height, block_width = dataset.block_shapes[0]
    columns, blocks = math.ceil(width / block_width), block_count(dataset)
    bound = min(blocks, MAX_SAMPLED_BLOCKS, max(1, MAX_PIXELS // (block_width * block_height)))
    wanted = int(max(1, min(bound, affordable)))
    windows = []
    for number in sorted(range(wanted), key=_reversed_bits):
        # The middle of each of `wanted` equal stretches of blocks, so that no edge is preferred.
        row, column = divmod((2 * number + 1) * blocks // (2 * wanted), columns)
        left, top = column * block_width, row * block_height
        windows.append(Window(left, top, min(block_width, width - left), min(block_height, height - top)))
    return windows


def _reversed_bits(number: int) -> int:
    return int(f"{number:016b}"[::-1], 2)


@dataclass
class Moments:
    """Of the pixels of one band that were seen so far; NaN counts as not valid."""

    seen: int = 0
    valid: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0
    """Sum of the squared differences from the mean."""

    def add(self, pixels: Any) -> None:
        """Take in a masked array (Chan, Golub, LeVeque 1979: combining means and variances)."""
        import numpy

        values = pixels.compressed()
        if values.dtype.kind == "f":
            values = values[~numpy.isnan(values)]
        self.seen += pixels.size
        if values.size == 0:
            return
        self.minimum = min(self.minimum, values.min().item())
        self.maximum = max(self.maximum, values.max().item())
        with numpy.errstate(over="ignore", invalid="ignore"):
            mean = values.mean(dtype="float64").item()
            squares = values.var(dtype="float64").item() * values.size
        total = self.valid + values.size
        difference = mean - self.mean
        self.squares += squares + difference * difference * self.valid * values.size / total
        self.mean += difference * values.size / total
        self.valid = total

    def summary(self) -> BandStatistics:
        """What is known now."""
        percent = 100.0 * self.valid / self.seen if self.seen else 0.0
        if not self.valid:
            return BandStatistics(minimum=None, maximum=None, mean=None, stddev=None, valid_percent=percent)
        return BandStatistics(
            minimum=json_number(self.minimum),
            maximum=json_number(self.maximum),
            mean=json_number(self.mean),
            stddev=json_number(math.sqrt(self.squares / self.valid)),
            valid_percent=percent,
        )


def json_number(value: float) -> Number:
    """The number, or the string that stands for it where JSON has no number."""
    if isinstance(value, int) or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
