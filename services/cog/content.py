"""What the pixel values of a raster are, and how they may therefore be resampled.

The mean of two classes is a third one, of two directions often the opposite one, and of flags nonsense.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interfaces.conversions import Content
from interfaces.rasters import CogOptions, OverviewResampling
from services.raster_source import RANDOM_ACCESS, block_count

if TYPE_CHECKING:
    from rasterio.io import DatasetReader
    from rasterio.windows import Window

FEW_VALUES = 32
"""A raster of small integers whose sample has no more of them is taken for one of classes."""
MIN_SAMPLE = 256
"""Pixels; fewer say nothing."""
SAMPLE_SIDE = 512
SAMPLED_BLOCKS = 8
MAX_SAMPLE_BLOCK = 4 * 1024**2
"""Pixels: a larger block costs too much to decode for a guess."""
ELEVATION_DRIVERS = {"SRTMHGT", "DTED"}
SMALL_INTEGERS = {"uint8", "int8", "uint16", "int16"}

BITMASK_NAMES = re.compile(
    r"(^|_)(qa|bqa|qa60|qa_pixel|pixel_qa|qa_radsat|radsat|bitmask|bit_mask|flags?|quality_flags?)(_|$)"
)
CIRCULAR_NAMES = re.compile(
    r"(^|_)(direction|aspect|azimuth|heading|bearing|wdir|winddir|wind_dir|swdir|dirpw|mwd)(_|$)"
)
CLASS_NAMES = re.compile(
    r"(^|_)(class|classes|classification|labels?|land_?cover|lulc|scl|fmask|categories|category)(_|$)"
)
NAMING_TAGS = ("long_name", "standard_name", "name", "layer", "grib_element", "grib_comment", "variable")

OVERVIEWS: dict[Content, OverviewResampling] = {
    "continuous": "average",
    "picture": "average",
    "categorical": "mode",
    "bitmask": "nearest",
    "circular": "nearest",
    "complex": "nearest",
}


@dataclass(frozen=True)
class Classified:
    """What a raster's values are, and the sign by which that was told."""

    content: Content
    sign: str

    def note(self) -> str:
        """For the plan's notes."""
        return f"content {self.content}: {self.sign}"


def classify(dataset: DatasetReader, bands: list[int] | None = None) -> Classified:
    """What the values of these bands (from 1; None: all) are.

    May read one overview or a few blocks of the first band, at most `SAMPLED_BLOCKS` of them. Raises what
    rasterio raises when these cannot be read.
    """
    chosen = bands or list(dataset.indexes)
    # Each of these asks GDAL about every band.
    types, interpretations = dataset.dtypes, dataset.colorinterp
    dtypes = {str(types[band - 1]) for band in chosen}
    if any("complex" in dtype for dtype in dtypes):
        return Classified("complex", "the data type is complex")
    colors = [interpretations[band - 1].name for band in chosen]
    if "palette" in colors:
        return Classified("categorical", "it has a colour table")
    if {"red", "green", "blue"} <= set(colors):
        if dtypes == {"uint8"}:
            return Classified("picture", "its bands are red, green and blue, of 8 bits")
        return Classified("continuous", f"its bands are colours of {', '.join(sorted(dtypes))}")
    if dataset.driver in ELEVATION_DRIVERS:
        return Classified("continuous", f"{dataset.driver} holds elevations")
    named = _by_name(dataset, chosen, integers=all("int" in dtype for dtype in dtypes))
    if named is not None:
        return named
    data = [band for band, color in zip(chosen, colors, strict=True) if color != "alpha"]
    if len(data) == 1 and str(types[data[0] - 1]) in SMALL_INTEGERS:
        return _by_values(dataset, data[0])
    return Classified("continuous", f"{', '.join(sorted(dtypes))} without a sign of anything else")


def overview_resampling_for(content: Content, options: CogOptions) -> tuple[OverviewResampling, str]:
    """How to make overviews, and a note of why."""
    asked = options.profile.overview_resampling
    if asked == "auto":
        return OVERVIEWS[content], f"overviews by {OVERVIEWS[content]}: for {content} values"
    note = f"overviews by {asked}: asked for"
    if OVERVIEWS[content] != "average" and asked not in ("nearest", "mode"):
        note += f", although the values are {content}"
    return asked, note


def _by_name(dataset: DatasetReader, bands: list[int], *, integers: bool) -> Classified | None:
    names = [dataset.name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]]
    descriptions = dataset.descriptions
    for band in bands:
        names.append(descriptions[band - 1] or "")
        tags = {key.lower(): value for key, value in dataset.tags(band).items()}
        names += [tags[key] for key in NAMING_TAGS if key in tags]
    for name in names:
        words = _words(name)
        if integers and BITMASK_NAMES.search(words):
            return Classified("bitmask", f"it is named {name[:100]!r}")
        if CIRCULAR_NAMES.search(words):
            return Classified("circular", f"it is named {name[:100]!r}")
        if integers and CLASS_NAMES.search(words):
            return Classified("categorical", f"it is named {name[:100]!r}")
    return None


def _words(name: str) -> str:
    """windDirection, wind-direction → wind_direction"""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", spaced.lower())


def _by_values(dataset: DatasetReader, band: int) -> Classified:
    import numpy

    values = _sample(dataset, band)
    if values is None:
        return Classified("continuous", "integers, too costly to sample")
    distinct = len(numpy.unique(values))
    if values.size >= MIN_SAMPLE and 2 <= distinct <= FEW_VALUES:
        return Classified("categorical", f"{distinct} distinct integers in a sample of {values.size} pixels")
    return Classified("continuous", f"{distinct} distinct integers in a sample of {values.size} pixels")


def _sample(dataset: DatasetReader, band: int) -> Any:
    """Valid values of some pixels, one-dimensional; None where they cost too much."""
    import numpy

    width, height = dataset.width, dataset.height
    block_height, block_width = dataset.block_shapes[band - 1]
    if block_height * block_width > MAX_SAMPLE_BLOCK:
        return None
    factor = max(1, max(width, height) // SAMPLE_SIDE)
    # Nearest: the average of two classes would be a third.
    if any(overview >= factor for overview in dataset.overviews(band)) and dataset.driver != "JP2OpenJPEG":
        shape = (max(1, height // factor), max(1, width // factor))
        return dataset.read(band, out_shape=shape, masked=True).compressed()
    if dataset.driver not in RANDOM_ACCESS and width * height > MAX_SAMPLE_BLOCK:
        return None
    parts = [dataset.read(band, window=window, masked=True).compressed() for window in _spread(dataset, band)]
    return numpy.concatenate(parts)


def _spread(dataset: DatasetReader, band: int) -> list[Window]:
    """Whole blocks, evenly spread from first to last."""
    from rasterio.windows import Window

    height, width = dataset.block_shapes[band - 1]
    columns, blocks = -(-dataset.width // width), block_count(dataset)
    count = min(blocks, max(SAMPLED_BLOCKS, min(64, SAMPLE_SIDE**2 // (width * height))))
    windows = []
    for number in sorted({(2 * i + 1) * blocks // (2 * count) for i in range(count)}):
        row, column = divmod(number, columns)
        left, top = column * width, row * height
        windows.append(Window(left, top, min(width, dataset.width - left), min(height, dataset.height - top)))
    return windows
