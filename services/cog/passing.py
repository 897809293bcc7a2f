"""Says whether a file is already what would be made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from interfaces.rasters import CogOptions, CogProfile

from .crs import has_crs
from .grid import moves

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


def passes_through(dataset: DatasetReader, options: CogOptions) -> bool:
    """True when the file is a strictly valid COG, up to date in its layout, and nothing else is asked for.

    What lies beside the file (masks, overviews, metadata) would be lost by copying its bytes.
    """
    from rio_cogeo.cogeo import cog_validate

    if dataset.driver != "GTiff" or len(dataset.files) > 1 or options.profile != CogProfile():
        return False
    if not _is_tiled(dataset):
        return False
    # Rotated or south-up rasters are moved without being asked for.
    if moves(dataset, options) or options.scaling is not None:
        return False
    if options.nodata != "keep" or options.data_type not in (None, *set(dataset.dtypes)):
        return False
    if options.bands is not None and options.bands != list(dataset.indexes):
        return False
    if options.assume_crs is not None and not has_crs(dataset):
        return False
    # KNOWN_INCOMPATIBLE_EDITION=YES, where the layout is stale, is one of its errors.
    valid, errors, warnings = cog_validate(dataset.name, strict=True, quiet=True)
    return bool(valid and not errors and not warnings)


def _is_tiled(dataset: DatasetReader) -> bool:
    """False for strips, which validation lets pass where a raster has at most 512 pixels on each side."""
    height, width = dataset.block_shapes[0]
    return bool(height % 16 == 0 and width % 16 == 0 and (width != dataset.width or width == height))
