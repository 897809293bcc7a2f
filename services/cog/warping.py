"""Shows a raster on another grid, as a virtual raster that is warped while it is read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from interfaces.conversions import Grid, Warp
from interfaces.errors import PermanentTaskError
from interfaces.rasters import Resampling

from .extent import source_pixels
from .placement import Placement, placement, rpc_height
from .transformation import Way, goes_around, way_between
from .virtual import Layer, Window, gdal_type, selected, warped_document

if TYPE_CHECKING:
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

WARP_MEMORY = 128 * 1024**2
"""Bytes of source and output pixels, masks and weights for one block of the output at a time."""
ROWS_MEMORY = 3 * WARP_MEMORY
"""The same, of those few blocks that take whole rows of the source (see `_block`)."""
LARGEST_BLOCK = 512
"""Pixels on a side of the blocks that are warped at a time."""
KERNELS: dict[Resampling, tuple[str, int]] = {
    "nearest": ("NearestNeighbour", 0),
    "bilinear": ("Bilinear", 1),
    "cubic": ("Cubic", 2),
    "cubic_spline": ("CubicSpline", 2),
    "lanczos": ("Lanczos", 3),
    "average": ("Average", 0),
    "mode": ("Mode", 0),
}
"""GDAL's names, and how many source pixels beyond the one that is hit a kernel takes in."""
FLOATS = ("float32", "float64")
APPROXIMATE = 0.01
"""Pixels of the source by which a position may be off where values are interpolated anyway. gdalwarp takes
0.125, which is 1.5 times as fast and differs by up to 3 % of a raster's range. Where a value is chosen
(nearest, mode), each pixel is transformed for itself: an eighth of the speed, 4 to 8 megapixels a second."""


@contextmanager
def warped(
    dataset: DatasetReader,
    warp: Warp,
    *,
    nodata: float | None,
    window: Window | None = None,
) -> Iterator[DatasetReader]:
    """The raster on the warp's grid, or the window (column, row, width, height) of it, open for reading.

    It has the source's bands with their colours, descriptions, units, scales, offsets and tags. A window has
    the very pixels that the whole has there. What has no data:

    * `nodata` given: pixels outside the source's footprint, masked ones, and those of the source's own
      nodata (else of this) have this value;
    * the source has an alpha band: that stays, and is 0 outside;
    * else: the dataset has a mask, which is 0 outside and where the source is masked or has no data. A
      raster that was all valid and that covers its grid, as a south-up one that is turned does, has none.

    NaN counts as no data where values are interpolated, whether the source says so or not. Bands of a pixel
    are looked at one by one: where one has no data, the others are kept.

    The dataset is opened again by its name, which has to be GDAL's, by the thread that enters and with its
    GDAL options. Memory is bounded by `WARP_MEMORY` (over a pole `ROWS_MEMORY`) for each thread that reads,
    besides GDAL's block cache. GCPs use a polynomial of the order that GDAL takes for their number, RPCs the
    height `rpc_height`.

    Raises PermanentTaskError where a single block of the output takes more of the source than that.
    """
    import rasterio

    document = document_of(dataset, warp, nodata=nodata, window=window)
    with rasterio.open(document, driver="VRT") as shown:
        yield shown


def document_of(
    dataset: DatasetReader,
    warp: Warp,
    *,
    nodata: float | None,
    window: Window | None = None,
    moved_by: float = 0.0,
) -> str:
    """The virtual raster that `warped` opens; `moved_by` is added to x of the source (turns of the Earth)."""
    source = placement(dataset, warp.source_crs)
    layer = _layer(dataset, source, warp, nodata, moved_by)
    inner = warped_document(dataset, warp.grid, layer)
    return selected(dataset, warp.grid, layer, inner, window or (0, 0, warp.grid.width, warp.grid.height))


def _layer(
    dataset: DatasetReader, source: Placement, warp: Warp, nodata: float | None, moved_by: float = 0.0
) -> Layer:
    """What the virtual raster is to do."""
    from rasterio.enums import ColorInterp, MaskFlags

    a, b, c, d, e, f = tuple(source.transform)[:6]
    interpretations = list(dataset.colorinterp)
    alpha = interpretations.index(ColorInterp.alpha) + 1 if ColorInterp.alpha in interpretations else None
    all_valid = all(MaskFlags.all_valid in flags for flags in dataset.mask_flag_enums)
    exact = warp.resampling in ("nearest", "mode")
    # Not a number is no data, said or not: mixed into its neighbours it would take them all.
    unsaid = nodata if exact or nodata is not None or dataset.dtypes[0] not in FLOATS else math.nan
    source_nodata = [unsaid if value is None else value for value in dataset.nodatavals]
    covered = all_valid and unsaid is None and _covers(source, warp.grid)
    has_mask = nodata is None and alpha is None and not covered
    other_crs = source.crs != _crs(warp.grid)
    return Layer(
        by=warp.by,
        transform=(a, b, c + moved_by, d, e, f),
        source_crs=source.crs.to_wkt(version="WKT2_2019") if other_crs and source.crs else None,
        centre_longitude=_centre_longitude(source, warp.grid),
        kernel=KERNELS[warp.resampling][0],
        error_threshold=0.0 if exact else APPROXIMATE,
        block=_block(dataset, source, warp),
        memory=WARP_MEMORY,
        source_nodata=source_nodata,
        nodata=nodata,
        alpha=alpha,
        mask=has_mask,
        rpc_height=rpc_height(source.rpcs) if source.rpcs and warp.by == "rpcs" else None,
    )


def _covers(source: Placement, grid: Grid) -> bool:
    """No pixel of the grid lies outside of the raster, as far as can be told without a transformation."""
    if not source.straight or source.crs != _crs(grid):
        return False
    west, south, east, north = source.box
    x, _, left, _, y, top = grid.transform
    tolerance = 1e-6 * min(x, -y)
    return bool(
        west - tolerance <= left
        and left + x * grid.width <= east + tolerance
        and south - tolerance <= top + y * grid.height
        and top <= north + tolerance
    )


def _crs(grid: Grid) -> CRS | None:
    from rasterio.crs import CRS

    return CRS.from_user_input(grid.crs) if grid.crs else None


def memory_of(source: Placement, target: CRS | None) -> int:
    """Bytes that a warp from there takes at most."""
    way = way_between(source.crs, target)
    return ROWS_MEMORY if _takes_rows(source, way) else WARP_MEMORY


def _takes_rows(source: Placement, way: Way | None) -> bool:
    """Some blocks take whole rows of the source: it goes around the Earth, and its grid does not."""
    return way is not None and way.to is None and goes_around(source, way.over)


def _block(dataset: DatasetReader, source: Placement, warp: Warp) -> int:
    """Side of the largest square of the output that can be warped within `WARP_MEMORY`.

    GDAL reads all of the source that a block needs at once, so blocks are smaller where pixels are made of
    many, and where a raster goes all around the Earth and its grid does not: a block across the pole or the
    antimeridian takes whole rows of it, which may be `ROWS_MEMORY`, since there are few such blocks.
    """
    x, _, _, _, y, _ = warp.grid.transform
    way = way_between(source.crs, _crs(warp.grid))
    across, down = source_pixels(source, way, (x, -y))
    around = _takes_rows(source, way)
    reach = KERNELS[warp.resampling][1]
    extra_x, extra_y = (2 * reach * max(ratio, 1.0) + 20 for ratio in (across, down))
    side = LARGEST_BLOCK
    while True:
        columns = min(side * across + extra_x, dataset.width)
        rows = min(side * down + extra_y, dataset.height)
        fits = _bytes(dataset, columns * rows, side) <= WARP_MEMORY
        if fits and not (around and _bytes(dataset, dataset.width * rows, side) > ROWS_MEMORY and side > 1):
            return side
        if side == 1:
            raise PermanentTaskError(
                f"resolution: a pixel of the output is made of {across:.0f} × {down:.0f} of the source, "
                f"too many for the memory that a warp may take ({WARP_MEMORY} bytes)"
            )
        side //= 2


def _bytes(dataset: DatasetReader, taken: float, side: int) -> float:
    """For each band its pixels and their validity, for all the density, of the source and of the block."""
    count: int = dataset.count
    return count * (_item_bytes(dataset) + 0.25) * (taken + side * side) + 4 * taken + 8 * side * side


def _centre_longitude(source: Placement, grid: Grid) -> float | None:
    """Middle of a geographic raster, where its longitudes and those of the grid may be turns apart."""
    if source.crs is None or not source.crs.is_geographic or not source.straight:
        return None
    target = _crs(grid)
    west, _, east, _ = source.box
    if west >= -180 and east <= 180 and not (target and target.is_geographic):
        return None
    return (west + east) / 2


def _item_bytes(dataset: DatasetReader) -> int:
    """Bytes of a pixel of a band as the warp holds it."""
    return {"CInt16": 4, "CFloat32": 8, "CFloat64": 16, "Float64": 8, "Int64": 8, "UInt64": 8}.get(
        gdal_type(dataset.dtypes[0]), 4
    )
