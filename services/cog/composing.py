"""Shows the rasters of a mosaic as one, as a virtual raster over those that a window touches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

from interfaces.conversions import Grid, Mosaic, MosaicPart, Warp

from .virtual import Said, Window, describe_band, gdal_type, metadata_of, rooted, text
from .warping import document_of

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Open = Callable[[MosaicPart], AbstractContextManager["DatasetReader"]]
"""Opens a part's raster as it was inspected: by its driver alone, with what GDAL may read."""


@contextmanager
def composed(mosaic: Mosaic, open_part: Open, window: Window | None = None) -> Iterator[DatasetReader]:
    """The mosaic, or the window (column, row, width, height) of it, open for reading.

    Only the parts that reach into the window are opened, one after the other, to see what they are; GDAL
    opens them again by name when it reads, at most a hundred at a time. Where a part is masked or has no
    data, what lies under it is seen. What no part covers has the mosaic's nodata, an alpha of 0, or a mask
    of 0. Colours, descriptions, units, scales and offsets are those of the first as listed in `parts`.

    Raises PermanentTaskError as `warped` does.
    """
    import rasterio

    document = mosaic_document(mosaic, open_part, window or (0, 0, mosaic.grid.width, mosaic.grid.height))
    with rasterio.open(document, driver="VRT") as shown:
        yield shown


def reaches_into(part: MosaicPart, window: Window) -> Window | None:
    """What of the window the part covers, pixels of the mosaic's grid; None: nothing."""
    x, y, width, height = part.window
    left, top = max(x, window[0]), max(y, window[1])
    right, bottom = min(x + width, window[0] + window[2]), min(y + height, window[1] + window[3])
    return (left, top, right - left, bottom - top) if left < right and top < bottom else None


def mosaic_document(mosaic: Mosaic, open_part: Open, window: Window) -> str:
    """The virtual raster that `composed` opens."""
    nodata = None if mosaic.nodata is None else float(mosaic.nodata)
    root = rooted(mosaic.grid, window)
    bands = [
        Element("VRTRasterBand", dataType=gdal_type(mosaic.dtype), band=str(index))
        for index in range(1, mosaic.band_count + 1)
    ]
    with open_part(mosaic.parts[0]) as first:
        metadata_of(root, {"COLOR_PROFILE": first.tags(ns="COLOR_PROFILE")})
        said = Said.of(first)
        for index, band in enumerate(bands, start=1):
            describe_band(band, first, index, nodata, said, tags=False)
    mask = (
        None if nodata is not None or "alpha" in mosaic.colors else Element("VRTRasterBand", dataType="Byte")
    )
    for part in mosaic.parts:
        covered = reaches_into(part, window)
        if covered is None:
            continue
        raster = _raster(mosaic.grid, part, open_part, covered, nodata)
        taken = (*raster.offset, *covered[2:])
        placed = (covered[0] - window[0], covered[1] - window[1], *covered[2:])
        for index, band in enumerate(bands, start=1):
            # An alpha band has no mask of its own: its 0 would hide what is opaque below.
            unless = {"NODATA": "0"} if mosaic.colors[index - 1] == "alpha" else {"UseMaskBand": "true"}
            _source(band, raster, str(index), taken, placed, {} if raster.all_valid else unless)
        if mask is not None:
            for index in raster.masks:
                # Added up: what is valid in any band is valid.
                _source(mask, raster, f"mask,{index}", taken, placed, {"NODATA": "0"})
    root.extend(bands)
    if mask is not None:
        SubElement(root, "MaskBand").append(mask)
    return tostring(root, encoding="unicode")


@dataclass(frozen=True)
class _Raster:
    """A raster whose pixels lie on the mosaic's grid."""

    name: str
    """Or its document."""
    offset: tuple[int, int]
    """Column and row of the first pixel that is wanted."""
    size: tuple[int, int]
    dtype: str
    all_valid: bool
    masks: list[int]
    """Numbers of the bands whose masks say what is valid."""


def _raster(grid: Grid, part: MosaicPart, open_part: Open, covered: Window, nodata: float | None) -> _Raster:
    from rasterio.enums import MaskFlags

    with open_part(part) as dataset:
        dtype = dataset.dtypes[0]
        if part.by == "pixels":
            offset = covered[0] - part.window[0], covered[1] - part.window[1]
            flags = dataset.mask_flag_enums
            all_valid = all(MaskFlags.all_valid in of_band for of_band in flags)
            of_each = any(MaskFlags.nodata in of_band for of_band in flags)
            masks = list(dataset.indexes) if of_each else [1]
            return _Raster(dataset.name, offset, (dataset.width, dataset.height), dtype, all_valid, masks)
        warp = Warp(grid=grid, resampling=part.resampling, by=part.by, source_crs=part.source_crs)
        own = dataset.nodata if nodata is not None else None
        document = document_of(dataset, warp, nodata=own, window=covered, moved_by=part.moved_by)
    return _Raster(document, (0, 0), covered[2:], dtype, all_valid=False, masks=[1])


def _source(
    band: Element, raster: _Raster, index: str, taken: Window, placed: Window, unless: dict[str, str]
) -> None:
    """Pixels of the raster on the band, `unless` they are masked."""
    source = SubElement(band, "ComplexSource" if unless else "SimpleSource")
    text(source, "SourceFilename", raster.name, relativeToVRT="0", shared="0")
    text(source, "SourceBand", index)
    # So that GDAL opens the source when it is read, and not all of them at once.
    SubElement(
        source,
        "SourceProperties",
        RasterXSize=str(raster.size[0]),
        RasterYSize=str(raster.size[1]),
        DataType="Byte" if index.startswith("mask") else gdal_type(raster.dtype),
        BlockXSize=str(min(raster.size[0], 256)),
        BlockYSize=str(min(raster.size[1], 256)),
    )
    for which, (x, y, width, height) in (("SrcRect", taken), ("DstRect", placed)):
        SubElement(source, which, xOff=str(x), yOff=str(y), xSize=str(width), ySize=str(height))
    for name, value in unless.items():
        text(source, name, value)
