"""Decides where the pixels of a COG lie, and how they get there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from interfaces.conversions import Content, Grid, Warp
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, Resampling

from .extent import Extent, extent_in
from .placement import Placement, check_same_body, placement, spelled
from .transformation import check_within_circle, way_between

if TYPE_CHECKING:
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

WEB_MERCATOR = "EPSG:3857"
HALF_WORLD = math.pi * 6_378_137
"""Metres from the middle to the edge of the tile matrix set WebMercatorQuad (OGC 17-083r4, annex D.1)."""
MAX_ZOOM = 30
SNAP = 1e-3
"""Of a pixel by which an edge may stick out of the grid without getting a row or column of its own."""
MAX_SIDE = 5_000_000
"""Pixels: the Earth's circumference in 8 m."""
MAX_GROWTH = 1000
"""So many times the source's pixels may come of a warp, or `ALWAYS_ALLOWED`."""
ALWAYS_ALLOWED = 100_000_000
RESAMPLING: dict[Content, Resampling] = {
    "continuous": "bilinear",
    "picture": "cubic",
    "categorical": "nearest",
    "bitmask": "nearest",
    "circular": "nearest",
    "complex": "nearest",
}
"""Bilinear never leaves the range of its neighbours, which matters to quantities; cubic is sharper, which
matters to the eye. The mean of classes, flags or directions (359° and 1°) is none of them."""


def warp_for(dataset: DatasetReader, options: CogOptions, content: Content) -> Warp | None:
    """How the raster's pixels get onto the grid that is asked for; None when they stay where they are.

    They stay when the raster is north-up, or not placed at all, and neither another CRS nor another
    resolution is asked. Otherwise:

    * south-up or mirrored: turned onto the north-up grid of the same pixel centres; values stay;
    * rotated or sheared, or placed by ground control points or RPCs: as `placement` says, rectified, kept as
      they are, or refused;
    * missing CRS: `assume_crs`, which counts for rasters without one only (see `placement`). Without any,
      no other CRS can be reached, while rectifying and another resolution need none;
    * a CRS of another body than the Earth: only to a CRS of the same body.

    The grid covers the whole raster, is snapped to multiples of its resolution, and its pixels are square
    unless `resolution` says otherwise. `resolution` is in units of the target CRS. See `extent_in` for the
    antimeridian and the poles. Coordinates are in the traditional order, x to the east and y to the north,
    whatever the CRS's authority says.

    Raises PermanentTaskError with the reason when it cannot be done.
    """
    from rasterio.crs import CRS

    if not moves(dataset, options):
        return None
    source = placement(dataset, options.assume_crs)
    target = _target(source, options)
    _check_placed(source, options)
    if options.web_optimized:
        extent = extent_in(source, way_between(source.crs, CRS.from_user_input(WEB_MERCATOR)))
        grid = web_grid(extent, options.profile.block_size)
        check_size([(source.width, source.height)], grid, given=False)
        return _warp(source, grid, resampling_for(options, content))
    if target is None and options.resolution is None and source.straight:
        return _warp(source, _turned(source), "nearest")
    extent = extent_in(source, way_between(source.crs, target))
    crs = target or source.crs
    grid = snapped(extent, spelled(crs) if crs else None, options.resolution)
    check_size([(source.width, source.height)], grid, given=options.resolution is not None)
    return _warp(source, grid, resampling_for(options, content))


def resampling_for(options: CogOptions, content: Content) -> Resampling:
    """As asked, or what suits the content."""
    return RESAMPLING[content] if options.resampling == "auto" else options.resampling


def tile_pixels(block_size: int) -> int:
    """Side of a web map's tile that a grid is aligned to: 512 where blocks are made of such tiles, else 256.

    A block of 256 or 512 pixels then is a tile, so that a tile server reads one block for it.
    """
    return 512 if block_size % 512 == 0 else 256


def moves(dataset: DatasetReader, options: CogOptions) -> bool:
    """Whether pixels may have to move, so that the CRS matters: to those that stay no CRS is bad."""
    if options.crs_wanted is not None or options.resolution is not None:
        return True
    kept = options.placement == "keep"
    if dataset.transform.is_identity:
        return not kept and bool(dataset.gcps[0] or dataset.rpcs)
    a, b, _, d, e, _ = tuple(dataset.transform)[:6]
    if b or d:
        return not kept
    return not (a > 0 and e < 0)


def _target(source: Placement, options: CogOptions) -> CRS | None:
    """The CRS to go to; None when it is the raster's own."""
    from rasterio.crs import CRS

    if options.crs_wanted is None:
        return None
    target = CRS.from_user_input(options.crs_wanted)
    if source.by == "nothing":
        raise PermanentTaskError(
            "the raster is not georeferenced (no transform, ground control points or RPCs): "
            "it cannot be warped to target_crs"
        )
    if source.crs is None:
        raise PermanentTaskError("the raster has no CRS and assume_crs is not given")
    if source.crs == target:
        return None
    check_same_body(source.crs, target)
    check_within_circle(source)
    return target


def _check_placed(source: Placement, options: CogOptions) -> None:
    """Refuse what is not placed at all, and what `placement` excludes."""
    if source.by == "nothing":
        raise PermanentTaskError(
            "resolution: the raster is not georeferenced, so that its pixels have no size to change"
        )
    if source.by == "transform":
        a, b, _, d, e, _ = tuple(source.transform)[:6]
        if not all(map(math.isfinite, tuple(source.transform)[:6])) or a * e == b * d:
            raise PermanentTaskError("the raster's transform is degenerate: its pixels have no area")
    if options.placement == "rectify" or source.straight:
        return
    how = {
        "transform": "is rotated or sheared",
        "gcps": "is placed by ground control points",
        "rpcs": "is placed by RPCs",
    }[source.by]
    raise PermanentTaskError(f"the raster {how}, and placement is refuse")


def _warp(source: Placement, grid: Grid, resampling: Resampling) -> Warp | None:
    if source.by == "nothing":
        return None
    if grid == _own_grid(source):
        return None  # asked for what is there already
    assumed = spelled(source.crs) if source.assumed and source.crs else None
    return Warp(grid=grid, resampling=resampling, by=source.by, source_crs=assumed)


def _own_grid(source: Placement) -> Grid | None:
    """The grid of a raster that is north-up already."""
    if not source.north_up:
        return None
    return Grid(
        crs=spelled(source.crs) if source.crs else None,
        transform=list(source.transform)[:6],
        width=source.width,
        height=source.height,
    )


def _turned(source: Placement) -> Grid:
    """The same pixel centres, the northernmost row first, the westernmost column first."""
    left, _, _, top = source.box
    return Grid(
        crs=spelled(source.crs) if source.crs else None,
        transform=[abs(source.transform.a), 0, left, 0, -abs(source.transform.e), top],
        width=source.width,
        height=source.height,
    )


def snapped(extent: Extent, crs: str | None, resolution: list[float] | None) -> Grid:
    """The smallest grid around the extent whose edges are multiples of the resolution."""
    x, y = resolution or (_closing(extent), _closing(extent))
    first, last = math.floor(extent.left / x + SNAP), math.ceil(extent.right / x - SNAP)
    bottom, top = math.floor(extent.bottom / y + SNAP), math.ceil(extent.top / y - SNAP)
    return Grid(
        crs=crs,
        transform=[x, 0, first * x, 0, -y, top * y],
        width=max(last - first, 1),
        height=max(top - bottom, 1),
    )


def _closing(extent: Extent) -> float:
    """The extent's resolution; where it goes all around, the nearest that the circle is a multiple of.

    Of four quarters, so that the poles are edges of rows as well.
    """
    if extent.circle is None or extent.right - extent.left < extent.circle * (1 - 1e-9):
        return extent.resolution
    return extent.circle / (4 * max(round(extent.circle / extent.resolution / 4), 1))


def web_grid(extent: Extent, block_size: int) -> Grid:
    """Whole tiles of WebMercatorQuad around an extent in EPSG:3857, at the zoom level of nearest resolution.

    Nearest by ratio; see `tile_pixels` for the size of a tile. Raises PermanentTaskError for what lies
    beyond the tiles.
    """
    tile = tile_pixels(block_size)
    zoom = round(math.log2(2 * HALF_WORLD / tile / extent.resolution))
    span = 2 * HALF_WORLD / 2 ** min(max(zoom, 0), MAX_ZOOM)
    part = SNAP / tile
    bottom, top = max(extent.bottom, -HALF_WORLD), min(extent.top, HALF_WORLD)
    if bottom >= top:
        raise PermanentTaskError("the raster lies beyond 85.05° of latitude, where web maps end")
    # Counted from the corner of the tiles, the upper left, since the middle is none of zoom level 0.
    west, east = _tiles(extent.left + HALF_WORLD, extent.right + HALF_WORLD, span, part)
    north, south = _tiles(HALF_WORLD - top, HALF_WORLD - bottom, span, part)
    return Grid(
        crs=WEB_MERCATOR,
        transform=[span / tile, 0, west * span - HALF_WORLD, 0, -span / tile, HALF_WORLD - north * span],
        width=(east - west) * tile,
        height=(south - north) * tile,
    )


def _tiles(first: float, last: float, span: float, part: float) -> tuple[int, int]:
    """From the first tile to behind the last."""
    begin = math.floor(first / span + part)
    return begin, max(math.ceil(last / span - part), begin + 1)


def check_size(sources: Sequence[tuple[int, int]], grid: Grid, *, given: bool) -> None:
    """A resolution in the wrong unit is a raster of a single pixel, or one that nobody has room for.

    `sources` are widths and heights of what it is made of. Raises PermanentTaskError.
    """
    what = "resolution: makes" if given else "the grid has"
    pixels = f"{what} {grid.width} × {grid.height} pixels"
    unit = "the unit is that of the target CRS"
    had = sum(width * height for width, height in sources)
    of = (
        f"{sources[0][0]} × {sources[0][1]}" if len(sources) == 1 else f"{had} pixels in {len(sources)} parts"
    )
    if max(grid.width, grid.height) > MAX_SIDE:
        raise PermanentTaskError(f"{pixels}, more than {MAX_SIDE} on a side; {unit}")
    most = max(MAX_GROWTH * had, ALWAYS_ALLOWED)
    if grid.width * grid.height > most:
        raise PermanentTaskError(f"{pixels}, more than {most}, for a raster of {of}; {unit}")
    if given and had > 1 and grid.width == grid.height == 1:
        raise PermanentTaskError(f"{pixels} of a raster of {of}; {unit}")
