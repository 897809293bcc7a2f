"""What a coarse look at a raster costs: which size is read, from which overview."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

MAX_DECODED_PIXELS = 64 * 1024**2
"""Of one band, for one coarse look: a raster without overviews may not be read whole for it."""
GDAL_TOLERANCE = 1.2
"""GDAL takes an overview that is coarser than what is asked by no more than this (gdaldataset.cpp)."""


class NoCoarseView(Exception):
    """No overview is small enough for a coarse look; the text says so."""


def coarse_shape(width: int, height: int, size: int) -> tuple[int, int]:
    """(rows, columns) of the whole image, its longer side at most `size`; at least one pixel."""
    scale = max(1.0, max(width, height) / size)
    return max(1, round(height / scale)), max(1, round(width / scale))


def check_cost(dataset: DatasetReader, shape: tuple[int, int]) -> None:
    """Raise `NoCoarseView` when reading a band at `shape` decodes more than `MAX_DECODED_PIXELS`."""
    if dataset.count == 0:
        raise NoCoarseView("the raster has no bands")
    wanted = min(dataset.height / shape[0], dataset.width / shape[1]) * GDAL_TOLERANCE
    factor = max((f for f in dataset.overviews(1) if f <= wanted), default=1)
    pixels = math.ceil(dataset.width / factor) * math.ceil(dataset.height / factor)
    if pixels > MAX_DECODED_PIXELS:
        raise NoCoarseView(
            f"the raster has {dataset.width} × {dataset.height} pixels and no overview that is small enough"
        )
