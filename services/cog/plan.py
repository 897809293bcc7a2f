"""Decides what the COG of a raster will be, or gives the precise reason why there can be none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from interfaces.conversions import Content, ConversionPlan, Estimate, SourceBlob, Warp
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, CogProfile
from services.raster_metadata import Refused, Truncated, check_length, refuse_dangerous
from services.raster_source import RANDOM_ACCESS
from services.second_look import UnreadableSource

from .alpha import colors_of_selection, mask_of_selection, refuse_unknown_alpha
from .content import classify, overview_resampling_for
from .crs import crs_to_assign
from .domains import lost_domains
from .estimates import Output, blocks_in_words, estimate, item_bytes, refuse_too_large
from .grid import warp_for
from .nodata import planned_nodata
from .passing import passes_through
from .placement import placement
from .profile import Pixels, creation_options, fitted_profile
from .sources import gdal_told, opened
from .warping import memory_of

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

TILE_SIDE = 8192
"""Pixels that a tile of a chunked conversion has on a side, at most."""
SUBDATASET_DRIVERS = {"HDF5": "HDF5Image"}
MAX_LISTED = 20


@dataclass(frozen=True)
class _Bands:
    """The bands of the output, `alpha` their index from 0."""

    numbers: list[int]
    dtype: str
    alpha: int | None
    palette: bool


@dataclass(frozen=True)
class _Limits:
    """Pixels above which a raster is cut into tiles, and bytes that a task may take."""

    chunk_threshold: int
    memory: int
    scratch: int


@dataclass(frozen=True)
class _Tiles:
    """As in `ConversionPlan`."""

    size: int | None
    full_width: bool = False
    notes: list[str] = field(default_factory=list)


def plan_conversion(
    dataset: DatasetReader,
    source: SourceBlob,
    options: CogOptions,
    *,
    chunk_threshold: int,
    memory_limit: int,
    scratch_limit: int,
) -> ConversionPlan:
    """The plan for one source. `chunk_threshold` in pixels, the limits in bytes.

    Reads the header, and at most a few blocks. Raises `PermanentTaskError` with the reason, or
    `ServiceUnavailable` when storage does not answer.
    """
    limits = _Limits(chunk_threshold, memory_limit, scratch_limit)
    with gdal_told("inspecting the raster"):
        _refuse_unreadable(dataset, source)
        if dataset.count == 0:
            name = _only_subdataset(dataset)
            with opened(name, [SUBDATASET_DRIVERS[dataset.driver]]) as inside:
                plan = _plan(inside, source, options, limits)
            inner = name.partition(dataset.name)[2].lstrip('":')
            return plan.model_copy(
                update={"subdataset": inner, "notes": [f"the only raster in the file: {inner}", *plan.notes]}
            )
        return _plan(dataset, source, options, limits)


def _refuse_unreadable(dataset: DatasetReader, source: SourceBlob) -> None:
    try:
        refuse_dangerous(dataset, dataset.name, source.size)
        check_length(dataset, dataset.name, source.size)
    except Refused as error:
        raise PermanentTaskError(str(error)) from error
    except Truncated as error:
        raise UnreadableSource(str(error)) from error


def _only_subdataset(dataset: DatasetReader) -> str:
    names: list[str] = dataset.subdatasets
    if len(names) == 1 and dataset.driver in SUBDATASET_DRIVERS:
        return names[0]
    if not names:
        raise PermanentTaskError("the file has no raster in it")
    inside = [name.partition(dataset.name)[2].lstrip('":') for name in names[:MAX_LISTED]]
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    raise PermanentTaskError(
        f"the file has {len(names)} rasters in it and none of its own; which is meant cannot be said: "
        f"{', '.join(inside)}{more}"
    )


def _plan(dataset: DatasetReader, source: SourceBlob, options: CogOptions, limits: _Limits) -> ConversionPlan:
    assign_crs, notes = crs_to_assign(dataset, options)
    bands = _bands(dataset, options)
    classified = classify(dataset, bands.numbers)
    through = passes_through(dataset, options)
    warp = None if through else warp_for(dataset, options, classified.content)
    nodata, nodata_notes = planned_nodata(
        dataset, bands.numbers, options, bands.dtype, warped=warp is not None
    )
    if nodata is None:
        colors = colors_of_selection(dataset, bands.numbers)
        refuse_unknown_alpha(colors, str(dataset.dtypes[bands.numbers[-1] - 1]), bands.dtype)
    if mask_of_selection(dataset, options.bands) is not None:
        notes.append("what alpha hides is hidden by a mask, since it is no alpha of the bands that are taken")
    notes += [classified.note(), *_warp_notes(warp, classified.content, bands), *nodata_notes]
    notes += _value_notes(dataset, options, bands)
    pixels = Pixels(
        width=warp.grid.width if warp else dataset.width,
        height=warp.grid.height if warp else dataset.height,
        band_count=len(bands.numbers),
        dtype=bands.dtype,
        content=classified.content,
        alpha=bands.alpha is not None,
        palette=bands.palette,
        nodata=nodata,
    )
    profile, profile_notes = fitted_profile(options.profile, pixels.width, pixels.height)
    made = _estimate(dataset, source, pixels, profile, warp, limits)
    creation: dict[str, str] = {}
    tiles = _Tiles(None)
    if through:
        notes.append("a valid COG already, and no change is asked: its bytes are copied")
    else:
        resampling, note = overview_resampling_for(classified.content, options)
        notes.append(note)
        creation = creation_options(profile, pixels, resampling)
        refuse_too_large(made, blocks_in_words(dataset), limits.memory, limits.scratch)
        levels = int(creation.get("OVERVIEW_COUNT", "0"))
        tiles = _tiles(dataset, pixels, warp, (profile.block_size, levels), limits.chunk_threshold)
        notes += [*profile_notes, *tiles.notes, *_metadata_notes(dataset)]
    return ConversionPlan(
        sources=[source],
        drivers=[dataset.driver],
        pass_through=through,
        content=classified.content,
        width=pixels.width,
        height=pixels.height,
        band_count=pixels.band_count - (pixels.alpha and creation.get("COMPRESS") == "JPEG"),
        dtype=pixels.dtype,
        nodata=nodata,
        options=options,
        warp=warp,
        assign_crs=None if warp or through else assign_crs,
        creation=creation,
        lossless=_is_lossless(dataset, options, bands, warp),
        tile_size=tiles.size,
        full_width_tiles=tiles.full_width,
        estimate=made,
        notes=notes,
    )


def _estimate(
    dataset: DatasetReader,
    source: SourceBlob,
    pixels: Pixels,
    profile: CogProfile,
    warp: Warp | None,
    limits: _Limits,
) -> Estimate:
    output = Output(
        width=pixels.width,
        height=pixels.height,
        band_count=pixels.band_count,
        item_bytes=item_bytes(pixels.dtype),
        block_size=profile.block_size,
        warp_bytes=_warp_bytes(dataset, warp),
    )
    return estimate(dataset, source.size, output, limits.memory)


def _warp_bytes(dataset: DatasetReader, warp: Warp | None) -> int:
    from rasterio.crs import CRS

    if warp is None:
        return 0
    target = CRS.from_user_input(warp.grid.crs) if warp.grid.crs else None
    return memory_of(placement(dataset, warp.source_crs), target)


def _warp_notes(warp: Warp | None, content: Content, bands: _Bands) -> list[str]:
    if warp is None:
        return []
    notes = [f"warped by {warp.by}, resampling {warp.resampling}, for {content} values"]
    if bands.dtype in ("int64", "uint64"):
        # GDAL's warp computes in float64.
        notes.append(f"{bands.dtype} values beyond ±2^53 are rounded, since they are warped")
    return notes


def _value_notes(dataset: DatasetReader, options: CogOptions, bands: _Bands) -> list[str]:
    """NaN that is not declared to be no data stays valid, and integers and tables have no NaN."""
    types, nodata = dataset.dtypes, dataset.nodatavals
    changed = options.scaling is not None or not bands.dtype.startswith(("float", "complex"))
    undeclared = any(
        str(types[number - 1]).startswith("float") and not _is_nan(nodata[number - 1])
        for number in bands.numbers
    )
    if not (changed and undeclared):
        return []
    return ["NaN, which is not declared to be nodata, becomes a number and counts as valid, if there is any"]


def _is_nan(value: float | None) -> bool:
    return value is not None and math.isnan(value)


def _metadata_notes(dataset: DatasetReader) -> list[str]:
    lost = lost_domains(dataset)
    notes = [f"metadata of these domains is not kept: {', '.join(lost[:MAX_LISTED])}"] if lost else []
    if dataset.driver == "GTiff" and (pages := len(dataset.subdatasets)) > 1:
        notes.append(f"only the first of {pages} rasters in the file is converted")
    return notes


def _bands(dataset: DatasetReader, options: CogOptions) -> _Bands:
    numbers = options.bands or list(dataset.indexes)
    missing = [number for number in numbers if number > dataset.count]
    if missing:
        raise PermanentTaskError(f"bands: there is no band {missing[0]}, the raster has {dataset.count}")
    of_bands = dataset.dtypes  # asks GDAL about every band
    types = sorted({str(of_bands[number - 1]) for number in numbers})
    if options.data_type is None and len(types) > 1:
        raise PermanentTaskError(
            f"the bands are of different data types ({', '.join(types)}), which a TIFF cannot hold: give "
            "data_type, or bands of one type"
        )
    if "complex" in types[0] and (options.data_type or options.scaling):
        raise PermanentTaskError(f"data_type and scaling are not defined for {types[0]}")
    colors = colors_of_selection(dataset, numbers)
    alpha = colors.index("alpha") if "alpha" in colors else None
    if alpha is not None and options.profile.compression == "jpeg" and alpha != len(numbers) - 1:
        raise PermanentTaskError("profile.compression jpeg: alpha must be the last band")
    return _Bands(numbers, options.data_type or types[0], alpha, "palette" in colors)


def _tiles(
    dataset: DatasetReader, pixels: Pixels, warp: Warp | None, blocks: tuple[int, int], threshold: int
) -> _Tiles:
    """`blocks`: size of the COG's, and how many times overviews halve it."""
    block, levels = blocks
    if pixels.width * pixels.height <= threshold:
        return _Tiles(None)
    if dataset.driver not in RANDOM_ACCESS:
        return _Tiles(None, notes=[f"converted at once, since {dataset.driver} cannot be read in parts"])
    side = tile_side(block, threshold)
    why = f"since it has more than {threshold} pixels"
    if warp is None and dataset.block_shapes[0][1] > side:
        # A strip would be decoded for each of many tiles.
        rows = tile_rows(pixels.width, block, levels, threshold)
        note = f"converted in tiles of {rows} rows, as it is stored in strips, {why}"
        return _Tiles(rows, full_width=True, notes=[note])
    return _Tiles(side, notes=[f"converted in tiles of {side} pixels, {why}"])


def tile_side(block: int, threshold: int) -> int:
    """Width and height of tiles, pixels: the largest 2^k blocks that fit.

    They have at most `TILE_SIDE` on a side and at most `threshold` pixels, but are a block at least. Powers
    of two, so that the overviews of tiles are made of whole pixels.
    """
    size = block
    while size * 2 <= TILE_SIDE and (size * 2) ** 2 <= threshold:
        size *= 2
    return size


def tile_rows(width: int, block: int, levels: int, threshold: int) -> int:
    """Height of tiles that are as wide as the raster, pixels: as many pixels as square ones have, at most.

    More only where otherwise their overviews, of `levels` halvings, would not be made of whole pixels.
    """
    rows = block
    while rows * 2 * width <= threshold and (rows * 2 * width <= TILE_SIDE**2 or rows % 2**levels):
        rows *= 2
    return rows


def _is_lossless(dataset: DatasetReader, options: CogOptions, bands: _Bands, warp: Warp | None) -> bool:
    import numpy

    if warp is not None or options.scaling is not None or not options.profile.lossless:
        return False
    if options.data_type is None:
        return True
    of_bands = dataset.dtypes
    types = {str(of_bands[number - 1]) for number in bands.numbers}
    return all(numpy.can_cast(numpy.dtype(dtype), options.data_type, "safe") for dtype in types)
