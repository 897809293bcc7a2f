"""Decides what the COG of a mosaic will be, as `plan` does for a single raster."""

from __future__ import annotations

from collections.abc import Sequence

from interfaces.contracts import Contract
from interfaces.conversions import (
    AcquisitionTime,
    Content,
    ConversionPlan,
    Estimate,
    Grid,
    Mosaic,
    MosaicPart,
    MosaicSource,
)
from interfaces.errors import PermanentTaskError
from interfaces.rasters import CogOptions, CogProfile, MosaicOptions

from .alpha import refuse_unknown_alpha
from .composing import reaches_into
from .content import overview_resampling_for
from .estimates import MEGABYTE, Output, Reading, item_bytes, mosaic_estimate, refuse_too_large
from .mosaic import compose
from .nodata import decided_nodata, fits
from .placement import on_grid
from .plan import tile_side
from .profile import Pixels, creation_options, fitted_profile
from .warping import memory_of


class MosaicPiece(Contract):
    """A raster of a mosaic to be, as its inspection found it."""

    raster: MosaicSource
    time: AcquisitionTime
    block_bytes: int
    held_bytes: int = 0
    """What it takes to read it, as in `estimates.Reading`."""

    @property
    def reading(self) -> Reading:
        """What it takes to read it."""
        return Reading(self.block_bytes, self.held_bytes, self.raster.source.size)


def plan_mosaic(
    pieces: Sequence[MosaicPiece],
    options: CogOptions,
    mosaic_options: MosaicOptions,
    *,
    chunk_threshold: int,
    memory_limit: int,
    scratch_limit: int,
) -> ConversionPlan:
    """The plan for all of them, in the order in which they were listed. Limits as in `plan_conversion`.

    Values are composed as they are in the sources; data type, scaling and another nodata are applied to what
    comes of it. Raises `PermanentTaskError`, naming rasters, when they do not fit together.
    """
    content, content_note = _common_content([piece.raster for piece in pieces])
    mosaic = _composed([piece.raster for piece in pieces], content, options, mosaic_options)
    pixels, nodata_notes = _pixels(mosaic, options)
    resampling, overview_note = overview_resampling_for(content, options)
    profile, profile_notes = fitted_profile(options.profile, pixels.width, pixels.height)
    creation = creation_options(profile, pixels, resampling)
    made = _estimate(pieces, mosaic, pixels, profile, memory_limit)
    largest = max(pieces, key=lambda piece: piece.block_bytes + piece.held_bytes)
    taken = largest.block_bytes + largest.held_bytes
    blocks = f"blocks of {largest.raster.source.name} take {taken // MEGABYTE} MB"
    refuse_too_large(made, blocks, memory_limit, scratch_limit)
    tile, tile_notes = None, []
    if pixels.width * pixels.height > chunk_threshold:
        tile = tile_side(profile.block_size, chunk_threshold)
        tile_notes = [f"converted in tiles of {tile} pixels, since it has more than {chunk_threshold} pixels"]
    return ConversionPlan(
        sources=[part.source for part in mosaic.parts],
        drivers=[part.driver for part in mosaic.parts],
        content=content,
        width=pixels.width,
        height=pixels.height,
        band_count=pixels.band_count - (pixels.alpha and creation.get("COMPRESS") == "JPEG"),
        dtype=pixels.dtype,
        nodata=pixels.nodata,
        options=options,
        mosaic=mosaic,
        creation=creation,
        lossless=False,
        tile_size=tile,
        estimate=made,
        notes=[*mosaic.notes, content_note, *nodata_notes, overview_note, *profile_notes, *tile_notes],
    )


def for_tile(plan: ConversionPlan, tile: int) -> ConversionPlan:
    """The plan with those sources only that reach into the tile.

    The lowest stays in any case, as the bands of all tiles are described in its words.
    """
    mosaic = plan.mosaic
    if mosaic is None:
        return plan
    window = plan.window(tile)
    lowest, *others = mosaic.parts
    parts = [lowest, *(part for part in others if reaches_into(part, window))]
    return plan.model_copy(
        update={
            "mosaic": mosaic.model_copy(update={"parts": parts}),
            "sources": [part.source for part in parts],
            "drivers": [part.driver for part in parts],
        }
    )


def time_of(times: Sequence[AcquisitionTime]) -> AcquisitionTime:
    """From the first to the last acquisition.

    When blobs were modified counts only where no raster says more.
    """
    known = [time for time in times if time.source != "last_modified"] or list(times)
    first = min(known, key=lambda time: time.start or time.instant)
    last = max(time.end or time.instant for time in known)
    begin = first.start or first.instant
    span = {} if last == begin else {"start": begin, "end": last}
    return AcquisitionTime(instant=begin, source=first.source, detail=first.detail, **span)


def _common_content(rasters: Sequence[MosaicSource]) -> tuple[Content, str]:
    """One for all. Few values in one raster prove nothing where another has many."""
    found = [raster.content for raster in rasters]
    content: Content = "continuous" if "continuous" in found else found[0]
    others = sorted(set(found) - {content})
    note = f"content {content}"
    return content, f"{note}, although some rasters look {', '.join(others)}" if others else note


def _composed(
    rasters: Sequence[MosaicSource], content: Content, options: CogOptions, mosaic_options: MosaicOptions
) -> Mosaic:
    """In the values of the sources, whatever is asked of nodata."""
    alike = [raster.model_copy(update={"content": content}) for raster in rasters]
    mosaic = compose(alike, options.model_copy(update={"nodata": "keep"}), mosaic_options)
    if mosaic.nodata is not None and not fits(float(mosaic.nodata), mosaic.dtype):
        # No pixel can have such a value.
        return mosaic.model_copy(update={"nodata": None})
    return mosaic


def _pixels(mosaic: Mosaic, options: CogOptions) -> tuple[Pixels, list[str]]:
    """What is to be stored, and notes about what has no data."""
    dtype = options.data_type or mosaic.dtype
    if "complex" in mosaic.dtype and (options.data_type or options.scaling):
        raise PermanentTaskError(f"data_type and scaling are not defined for {mosaic.dtype}")
    alpha = "alpha" in mosaic.colors
    if alpha and options.profile.compression == "jpeg" and mosaic.colors[-1] != "alpha":
        raise PermanentTaskError("profile.compression jpeg: alpha must be the last band")
    value = None if mosaic.nodata is None else float(mosaic.nodata)
    nodata, notes = decided_nodata(
        [value] * mosaic.band_count,
        {"per_dataset", "alpha"} if alpha else set(),
        options,
        dtype,
        alpha=alpha,
        warped=True,
    )
    if nodata is None:
        refuse_unknown_alpha(mosaic.colors, mosaic.dtype, dtype)
    pixels = Pixels(
        width=mosaic.grid.width,
        height=mosaic.grid.height,
        band_count=mosaic.band_count,
        dtype=dtype,
        content=mosaic.content,
        alpha=alpha,
        palette="palette" in mosaic.colors,
        nodata=nodata,
    )
    return pixels, notes


def _estimate(
    pieces: Sequence[MosaicPiece], mosaic: Mosaic, pixels: Pixels, profile: CogProfile, memory_limit: int
) -> Estimate:
    output = Output(
        width=pixels.width,
        height=pixels.height,
        band_count=pixels.band_count,
        item_bytes=item_bytes(pixels.dtype),
        block_size=profile.block_size,
        warp_bytes=_warp_bytes(pieces, mosaic),
    )
    parts = [(piece.reading, part.window[2] * part.window[3]) for piece, part in _pairs(pieces, mosaic)]
    return mosaic_estimate(parts, output, memory_limit)


def _pairs(pieces: Sequence[MosaicPiece], mosaic: Mosaic) -> list[tuple[MosaicPiece, MosaicPart]]:
    by_blob = {(piece.raster.source.container, piece.raster.source.name): piece for piece in pieces}
    return [(by_blob[part.source.container, part.source.name], part) for part in mosaic.parts]


def _warp_bytes(pieces: Sequence[MosaicPiece], mosaic: Mosaic) -> int:
    """Of the largest warp: parts are read one after the other."""
    target = on_grid(mosaic.grid).crs
    widest: dict[str | None, Grid] = {}
    for piece, part in _pairs(pieces, mosaic):
        grid = piece.raster.grid
        other = widest.get(grid.crs)
        if part.by != "pixels" and (other is None or _width(grid) > _width(other)):
            widest[grid.crs] = grid
    return max((memory_of(on_grid(grid), target) for grid in widest.values()), default=0)


def _width(grid: Grid) -> float:
    return abs(grid.transform[0]) * grid.width
