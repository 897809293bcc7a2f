"""From a plan and its sources to one virtual raster that is the output, pixel for pixel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from interfaces.conversions import ConversionPlan, Mosaic, MosaicPart, Warp

from . import documents
from .composing import mosaic_document
from .documents import Part
from .joining import made_factors
from .sources import gdal_told, opened, opened_sources
from .virtual import Window
from .warping import document_of

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


def compose(plan: ConversionPlan, paths: list[str], scratch: Path, tile: int | None = None) -> Element:
    """The output, or a tile of it, as a document about files in `scratch` and the sources at `paths`."""
    if plan.mosaic is not None:
        window = (0, 0, plan.width, plan.height) if tile is None else plan.window(tile)
        return _mosaic(plan, plan.mosaic, paths, window, scratch)
    with opened_sources(plan, paths) as (source,):
        root = changed(plan, source, scratch)
    if plan.warp is not None:
        part, mask = _warped(plan, plan.warp, root, scratch)
        root = _on_grid(plan.warp, root, part, mask)
    return root if tile is None else _tile(root, plan.window(tile), scratch)


def changed(plan: ConversionPlan, source: DatasetReader, folder: Path) -> Element:
    """The source with the bands, values, nodata and CRS that are wanted, on its own pixels."""
    root = documents.of_source(source, folder)
    if plan.options.bands is not None:
        documents.select_bands(root, plan.options.bands)
    if plan.assign_crs is not None:
        documents.set_crs(root, wkt_of(plan.assign_crs))
    _change_values(plan, root, str(source.dtypes[0]))
    return root


def tiles_together(plan: ConversionPlan, first: DatasetReader, tiles: list[str], folder: Path) -> Element:
    """The output over its tiles, with the metadata of the first, which has all of it."""
    root = documents.of_source(first, folder)
    mask = "mask,1" if documents.has_mask(root) else None
    return documents.over(root, _tile_parts(plan, tiles, 1), (plan.width, plan.height), mask=mask)


def without_blocks(
    plan: ConversionPlan,
    whole: Element,
    tiles: list[str],
    factors: list[int],
    shared: list[int],
    folder: Path,
) -> Element:
    """The output over its tiles, but with pixels only in those of its overviews that are not `shared`.

    The tiles have overviews of these `factors`, each of a whole number of pixels but for the last ones.
    """
    levels = []
    for level, factor in enumerate(factors):
        parts = [] if factor in shared else _tile_parts(plan, tiles, factor)
        size = -(-plan.width // factor), -(-plan.height // factor)
        overview = documents.over(whole, parts, size, mask=None)
        if parts:
            # What is a single pixel before has no further ones.
            made = [len(made_factors(factors, *plan.window(tile)[2:])) for tile in range(plan.tiles)]
            documents.from_overview(overview, [min(level, count - 1) for count in made])
        levels.append(documents.write(overview, folder / f"overview{level}.vrt"))
    root = documents.over(whole, [], (plan.width, plan.height), mask=None)
    documents.set_overviews(root, levels)
    return root


def _tile_parts(plan: ConversionPlan, tiles: list[str], factor: int) -> list[Part]:
    """The tiles in their places, in the size of their overviews of a factor."""
    parts = []
    for tile, path in enumerate(tiles):
        x, y, *size = plan.window(tile)
        width, height = (-(-side // factor) for side in size)
        place = (x // factor, y // factor, width, height)
        parts.append(Part(path, width, height, (0, 0, width, height), place))
    return parts


def wkt_of(crs: str) -> str:
    """WKT2 of an authority code or of WKT."""
    from rasterio.crs import CRS

    wkt: str = CRS.from_user_input(crs).to_wkt(version="WKT2_2019")
    return wkt


def _change_values(plan: ConversionPlan, root: Element, dtype: str) -> None:
    """Data type, scaling, nodata and mask as they are wanted; `dtype` is that of the pixels so far."""
    options = plan.options
    differs = options.data_type is not None and options.data_type != dtype
    if options.data_type is not None or options.scaling is not None:
        documents.convert_values(root, plan.dtype, options.scaling, documents.alpha_of(root))
    alpha = documents.alpha_of(root)
    if plan.nodata is not None and options.nodata != "keep":
        if plan.mosaic is not None and documents.has_mask(root):
            documents.nodata_from_mask(root, plan.nodata)
        elif alpha is not None and not documents.declares_nodata(root):
            documents.nodata_from_alpha(root, plan.nodata)
        else:
            documents.rewrite_nodata(root, plan.nodata)
    if plan.nodata is None and documents.declares_nodata(root):
        if alpha is None and not documents.has_mask(root):
            documents.mask_from_nodata(root)
        else:
            documents.set_nodata(root, None)
    if alpha is not None and plan.creation.get("COMPRESS") == "JPEG":
        documents.mask_from_alpha(root)
    if differs or options.scaling or options.nodata != "keep" or plan.warp:
        documents.drop_statistics(root)


def _tile(whole: Element, window: Window, folder: Path) -> Element:
    """A window of the output."""
    name = documents.write(whole, folder / "whole.vrt")
    x, y, width, height = window
    size = int(whole.get("rasterXSize", "0")), int(whole.get("rasterYSize", "0"))
    mask = "mask,1" if documents.has_mask(whole) else None
    root = documents.over(
        whole, [Part(name, *size, window, (0, 0, width, height))], (width, height), mask=mask
    )
    transform = documents.transform_of(whole)
    if transform is not None:
        documents.set_transform(root, documents.shifted(transform, x, y))
    return root


def _warped(plan: ConversionPlan, warp: Warp, root: Element, folder: Path) -> tuple[Part, str | None]:
    """The changed source on the output's grid, and the band that says what is valid, if nothing else does."""
    name = documents.write(root, folder / "changed.vrt")
    with opened(name, ["VRT"]) as dataset:
        document = document_of(dataset, warp, nodata=None if plan.nodata is None else float(plan.nodata))
    return _written(document, folder / "warped.vrt", (warp.grid.width, warp.grid.height))


def _on_grid(warp: Warp, root: Element, part: Part, mask: str | None) -> Element:
    whole = documents.over(root, [part], (warp.grid.width, warp.grid.height), mask=mask)
    documents.place_by(whole, "transform")
    documents.set_transform(whole, warp.grid.transform)
    if warp.grid.crs is not None:
        documents.set_crs(whole, wkt_of(warp.grid.crs))
    return whole


def _mosaic(plan: ConversionPlan, mosaic: Mosaic, paths: list[str], window: Window, folder: Path) -> Element:
    """A window of many sources as one, with the values that are wanted."""
    by_blob = {
        (blob.container, blob.name): (path, number)
        for number, (blob, path) in enumerate(zip(plan.sources, paths, strict=True))
    }

    @contextmanager
    def open_part(part: MosaicPart) -> Iterator[DatasetReader]:
        path, number = by_blob[part.source.container, part.source.name]
        with opened(path, [part.driver]) as dataset:
            if plan.options.bands is None:
                yield dataset
                return
            root = documents.of_source(dataset, folder)
        documents.select_bands(root, plan.options.bands)
        with opened(documents.write(root, folder / f"part{number}.vrt"), ["VRT"]) as chosen:
            yield chosen

    with gdal_told("laying out the mosaic"):
        document = mosaic_document(mosaic, open_part, window)
    part, mask = _written(document, folder / "mosaic.vrt", window[2:])
    root = documents.over(ElementTree.fromstring(document), [part], window[2:], mask=mask)
    _change_values(plan, root, mosaic.dtype)
    return root


def _written(document: str, path: Path, size: tuple[int, int]) -> tuple[Part, str | None]:
    """A document as a part that is all of the output, and the band that is its mask, if it has one."""
    path.write_text(document, encoding="utf-8")
    whole = (0, 0, *size)
    mask = "mask,1" if documents.has_mask(ElementTree.fromstring(document)) else None
    return Part(str(path), *size, whole, whole), mask
