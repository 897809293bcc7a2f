"""Lays many rasters out on one grid, or says which of them does not fit the others and why."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from interfaces.conversions import Content, Grid, Mosaic, MosaicPart, MosaicSource, SourceBlob
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, MosaicOptions

from .alpha import colors_of_selection, mask_of_selection
from .extent import Extent, extent_in
from .grid import check_size, resampling_for, snapped, warp_for, web_grid
from .placement import check_same_body, for_proj, on_grid, placement, spelled
from .transformation import check_within_circle, cylinder_of, way_between

if TYPE_CHECKING:
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

ALIGNED = 1e-3
"""Of a pixel by which a raster's corners may lie beside those of the grid and be taken as lying on them."""
NAMED = 5
"""Rasters that a refusal names."""


def mosaic_source(
    dataset: DatasetReader,
    source: SourceBlob,
    options: CogOptions,
    content: Content,
    taken_at: datetime | None = None,
) -> MosaicSource:
    """What a mosaic has to know of an open raster.

    Raises PermanentTaskError for a raster that is not georeferenced, that `placement` excludes, or that lacks
    the `bands` that are asked for.
    """
    from rasterio.enums import MaskFlags

    bands = chosen_bands(dataset, options)
    placed = placement(dataset, options.assume_crs)
    if placed.by == "nothing":
        raise PermanentTaskError("the raster is not georeferenced: it has no place in a mosaic")
    in_its_own_crs = options.model_copy(
        update={"target_crs": "same", "web_optimized": False, "resolution": None}
    )
    warp = warp_for(dataset, in_its_own_crs, content)
    if warp is None and not placed.north_up:
        raise PermanentTaskError("placement keep: a mosaic has one grid, on which such pixels do not lie")
    colors = colors_of_selection(dataset, bands)
    by_alpha = mask_of_selection(dataset, options.bands) is not None
    flags = dataset.mask_flag_enums[0]
    palette = dataset.colormap(bands[0]) if colors[0] == "palette" else None
    return MosaicSource(
        source=source,
        driver=dataset.driver,
        grid=warp.grid if warp else _own_grid(dataset, placed.crs),
        pixels="north_up" if warp is None else "turned" if placed.straight else "rectified",
        by=placed.by,
        source_crs=spelled(placed.crs) if placed.assumed and placed.crs else None,
        band_count=len(bands),
        dtype=dataset.dtypes[bands[0] - 1],
        colors=colors,
        palette=hashlib.sha256(repr(sorted(palette.items())).encode()).hexdigest() if palette else None,
        nodata=_said(dataset.nodatavals[bands[0] - 1]),
        masked=by_alpha or (MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags),
        content=content,
        taken_at=taken_at,
    )


def compose(sources: Sequence[MosaicSource], options: CogOptions, mosaic: MosaicOptions) -> Mosaic:
    """All of them on one grid, in the order in which they cover each other.

    The CRS is the one asked for, else that of the first as listed. The pixels of those that lie on the grid
    are taken as they are; the others are warped onto it. Without a CRS, resolution or web map asked for, the
    grid is aligned to one of those that have its resolution, so that its pixels can stay; else its edges are
    multiples of the resolution. Where x comes round again, rasters on both sides of the antimeridian lie side
    by side, and the grid goes on past it.

    No data is the rasters' value where all have the same, else a mask says it, unless there is an alpha band:
    what stands for no data in one may be a value in another.

    Raises PermanentTaskError, naming rasters, when they do not fit together.
    """
    _check_alike(sources, options)
    target = _common_crs(sources, options)
    extents, moved = _side_by_side(_extents(sources, target), target)
    if options.web_optimized:
        grid = web_grid(_union(extents, mosaic)[0], options.profile.block_size)
    else:
        grid = _grid(sources, extents, target, options, mosaic)
    check_size(
        [(source.grid.width, source.grid.height) for source in sources],
        grid,
        given=options.resolution is not None,
    )
    placed = [
        _part(source, extent, shift, grid, options)
        for source, extent, shift in zip(sources, extents, moved, strict=True)
    ]
    parts = [placed[at] for at in _order(sources, extents, mosaic)]
    warped = sum(part.by != "pixels" for part in parts)
    kept = f"{len(parts) - warped} of {len(parts)} rasters keep their pixels, {warped} are warped"
    nodata, notes = _nodata(sources, options)
    return Mosaic(
        parts=parts,
        grid=grid,
        band_count=sources[0].band_count,
        dtype=_dtype(sources),
        colors=sources[0].colors,
        nodata=nodata,
        content=sources[0].content,
        notes=[kept, *notes],
    )


def chosen_bands(dataset: DatasetReader, options: CogOptions) -> list[int]:
    """Numbers of the bands that are taken.

    Raises PermanentTaskError unless they are there and of one type.
    """
    bands = options.bands or list(dataset.indexes)
    missing = [band for band in bands if band > dataset.count]
    if missing:
        raise PermanentTaskError(f"bands: there is no band {missing[0]}, the raster has {dataset.count}")
    of_bands = dataset.dtypes  # asks GDAL about every band
    dtypes = sorted({str(of_bands[band - 1]) for band in bands})
    if len(dtypes) > 1:
        raise PermanentTaskError(
            f"the bands are of different data types ({', '.join(dtypes)}): give bands of one type"
        )
    return bands


def _own_grid(dataset: DatasetReader, crs: CRS | None) -> Grid:
    return Grid(
        crs=spelled(crs) if crs else None,
        transform=list(dataset.transform)[:6],
        width=dataset.width,
        height=dataset.height,
    )


def _said(value: float | None) -> float | Literal["nan", "inf", "-inf"] | None:
    if value is None or math.isfinite(value):
        return value
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _check_alike(sources: Sequence[MosaicSource], options: CogOptions) -> None:
    """Bands with the same meaning and type; a type that is asked for makes types alike."""
    if not sources:
        raise PermanentTaskError("there is no raster to make a mosaic of")
    first = sources[0]
    for what, values in (
        ("band_count", [source.band_count for source in sources]),
        ("dtype", [source.dtype for source in sources] if options.data_type is None else [""]),
        ("colour interpretation", [", ".join(source.colors) for source in sources]),
        ("colour table", [source.palette for source in sources]),
    ):
        others = [source for source, value in zip(sources, values, strict=False) if value != values[0]]
        if not others:
            continue
        if what == "colour table":
            raise PermanentTaskError(f"colour tables differ: {_names(others)} from {first.source.name}")
        mine = values[sources.index(others[0])]
        raise PermanentTaskError(
            f"{what} differs: {mine} in {_names(others)}, {values[0]} in {first.source.name}"
        )


def _names(sources: Sequence[MosaicSource]) -> str:
    names = [source.source.name for source in sources[:NAMED]]
    more = len(sources) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")


def _common_crs(sources: Sequence[MosaicSource], options: CogOptions) -> CRS | None:
    from rasterio.crs import CRS

    without = [source for source in sources if source.grid.crs is None]
    if without and (len(without) < len(sources) or options.crs_wanted is not None):
        raise PermanentTaskError(f"no CRS and assume_crs is not given: {_names(without)}")
    if without:
        return None
    target = CRS.from_user_input(options.crs_wanted or sources[0].grid.crs)
    for named in {source.grid.crs: source for source in sources}.values():
        crs = CRS.from_user_input(named.grid.crs)
        if crs == target:
            continue
        try:
            check_same_body(crs, target)
            check_within_circle(on_grid(named.grid))
        except PermanentTaskError as error:
            raise PermanentTaskError(f"{named.source.name}: {error.detail}") from None
    return target


def _extents(sources: Sequence[MosaicSource], target: CRS | None) -> list[Extent]:
    """In the target CRS; those of rasters which are in it already are exact."""
    from rasterio.crs import CRS

    crss = {source.grid.crs: CRS.from_user_input(source.grid.crs) for source in sources if source.grid.crs}
    ways = {named: way_between(crs, target) for named, crs in crss.items()}
    extents = []
    for source in sources:
        try:
            extents.append(extent_in(on_grid(source.grid), ways.get(source.grid.crs or "")))
        except PermanentTaskError as error:
            raise PermanentTaskError(f"{source.source.name}: {error.detail}") from None
    return extents


def _side_by_side(extents: list[Extent], target: CRS | None) -> tuple[list[Extent], list[float]]:
    """The extents moved by turns of the Earth, where that makes the mosaic narrower, and how far each."""
    cylinder = cylinder_of(for_proj(target)) if target else None
    stay = [0.0] * len(extents)
    if cylinder is None:
        return extents, stay
    turn, west = cylinder.period, cylinder.middle - cylinder.period / 2
    starts = [(extent.left - west) % turn for extent in extents]
    around = sorted((at, at + e.right - e.left) for at, e in zip(starts, extents, strict=True))
    # Cut where the widest gap between them ends, so that all are to the east of it.
    reached, widest, cut = max(end for _, end in around) - turn, 0.0, 0.0
    for start, end in around:
        if start - reached > widest:
            widest, cut = start - reached, start
        reached = max(reached, end)
    lefts = [start + (turn if start < cut else 0.0) + west for start in starts]
    moved = [left - e.left for left, e in zip(lefts, extents, strict=True)]
    if _width(extents, moved) > _width(extents, stay) - 1e-6 * turn:
        return extents, stay
    left = min(lefts)
    back = math.ceil((left + _width(extents, moved) / 2 - cylinder.middle) / turn - 0.5 - 1e-9)
    moved = [turn * (round(by / turn) - back) for by in moved]
    return [
        replace(e, left=e.left + by, right=e.right + by) for e, by in zip(extents, moved, strict=True)
    ], moved


def _width(extents: list[Extent], moved: list[float]) -> float:
    """Of all together."""
    both = list(zip(extents, moved, strict=True))
    return max(e.right + by for e, by in both) - min(e.left + by for e, by in both)


def _union(extents: Sequence[Extent], mosaic: MosaicOptions) -> tuple[Extent, int]:
    """Around all of them, with the resolution of the one whose number comes with it."""
    # Rounded: which of many equal ones it is must not hang on their last digits.
    sizes = [float(f"{extent.resolution:.9g}") for extent in extents]
    model = {"finest": sizes.index(min(sizes)), "coarsest": sizes.index(max(sizes)), "first": 0}[
        mosaic.pixel_size
    ]
    return Extent(
        min(extent.left for extent in extents),
        min(extent.bottom for extent in extents),
        max(extent.right for extent in extents),
        max(extent.top for extent in extents),
        extents[model].resolution,
        extents[model].circle,
    ), model


def _grid(
    sources: Sequence[MosaicSource],
    extents: Sequence[Extent],
    target: CRS | None,
    options: CogOptions,
    mosaic: MosaicOptions,
) -> Grid:
    """Aligned to the raster whose resolution it has, where that raster is in the target CRS."""
    union, model = _union(extents, mosaic)
    crs = spelled(target) if target else None
    own = sources[model].grid
    if options.resolution is not None or own.crs != crs:
        return snapped(union, crs, options.resolution)
    x, y = own.transform[0], -own.transform[4]
    left, top = extents[model].left, extents[model].top
    before, above = math.ceil((left - union.left) / x - ALIGNED), math.ceil((union.top - top) / y - ALIGNED)
    left, top = left - before * x, top + above * y
    return Grid(
        crs=crs,
        transform=[x, 0, left, 0, -y, top],
        width=math.ceil((union.right - left) / x - ALIGNED),
        height=math.ceil((top - union.bottom) / y - ALIGNED),
    )


def _part(
    source: MosaicSource, extent: Extent, moved_by: float, grid: Grid, options: CogOptions
) -> MosaicPart:
    x, _, left, _, y, top = grid.transform
    columns = (extent.left - left) / x, (extent.right - left) / x
    rows = (extent.top - top) / y, (extent.bottom - top) / y
    first = max(math.floor(columns[0] + ALIGNED), 0), max(math.floor(rows[0] + ALIGNED), 0)
    last = (
        min(math.ceil(columns[1] - ALIGNED), grid.width),
        min(math.ceil(rows[1] - ALIGNED), grid.height),
    )
    same_crs = source.grid.crs == grid.crs
    lies_on_it = (
        same_crs
        and all(abs(edge - round(edge)) < ALIGNED for edge in (*columns, *rows))
        and (last[0] - first[0], last[1] - first[1]) == (source.grid.width, source.grid.height)
    )
    as_it_is = lies_on_it and source.pixels != "rectified"
    return MosaicPart(
        source=source.source,
        driver=source.driver,
        window=[*first, max(last[0] - first[0], 0), max(last[1] - first[1], 0)],
        by="pixels" if as_it_is and source.pixels == "north_up" else source.by,
        resampling="nearest" if as_it_is else resampling_for(options, source.content),
        source_crs=source.source_crs,
        moved_by=moved_by if same_crs else 0.0,
    )


def _order(sources: Sequence[MosaicSource], extents: Sequence[Extent], mosaic: MosaicOptions) -> list[int]:
    """Numbers of the sources, the lowest first; those that are equal stay as listed."""
    numbers = range(len(sources))
    if mosaic.order == "name":
        return sorted(numbers, key=lambda at: sources[at].source.name)
    if mosaic.order == "newest_last":
        return sorted(numbers, key=lambda at: _time(sources[at]))
    if mosaic.order == "resolution":
        return sorted(numbers, key=lambda at: -extents[at].resolution)
    return list(numbers)


def _time(source: MosaicSource) -> float:
    taken_at = source.taken_at
    if taken_at is None:
        return -math.inf
    return (taken_at if taken_at.tzinfo else taken_at.replace(tzinfo=UTC)).timestamp()


def _nodata(
    sources: Sequence[MosaicSource], options: CogOptions
) -> tuple[float | Literal["nan", "inf", "-inf"] | None, list[str]]:
    """The value for what no raster covers, and a note where theirs are not kept."""
    if not isinstance(options.nodata, str):
        return options.nodata, []
    values = {source.nodata for source in sources}
    if options.nodata == "mask" or "alpha" in sources[0].colors or values == {None}:
        return None, []
    if len(values) == 1:
        return sources[0].nodata, []
    said = ", ".join(sorted("none" if value is None else str(value) for value in values))
    return None, [f"nodata differs ({said}): a mask says where there is none"]


def _dtype(sources: Sequence[MosaicSource]) -> str:
    """The smallest type that holds the values of all."""
    dtypes = sorted({source.dtype for source in sources})
    if len(dtypes) == 1:
        return dtypes[0]
    import numpy

    try:
        return str(numpy.result_type(*dtypes))
    except TypeError:
        raise PermanentTaskError(f"dtypes have none in common: {', '.join(dtypes)}") from None
