"""Virtual rasters (https://gdal.org/en/stable/drivers/raster/vrt.html): an output as a text over its sources.

GDAL writes the first one of a source, with everything that it knows of it; here it is changed, so that the
COG driver reads pixels and metadata as they are wanted, block by block, and nothing is held in memory.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from interfaces.conversions import Transform
from interfaces.rasters import Scaling

from . import domains
from .alpha import alpha_as_mask
from .precision import in_full
from .virtual import Window, gdal_type, number

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

SOURCES = ("SimpleSource", "ComplexSource")
BAND = "VRTRasterBand"


@dataclass(frozen=True)
class Part:
    """A raster, and the window of the output that its window fills; without one it is the whole."""

    path: str
    width: int
    height: int
    source: Window
    target: Window


def of_source(dataset: DatasetReader, scratch: Path) -> Element:
    """The dataset as GDAL describes it: bands, tags, colours, masks, CRS, GCPs, RPCs."""
    import rasterio.shutil
    from rasterio._err import CPLE_BaseError

    path = scratch / "source.vrt"
    path.unlink(missing_ok=True)
    with suppress(CPLE_BaseError):
        # A CRS that PROJ cannot write raises here, after the document was written without it.
        rasterio.shutil.copy(dataset, path, driver="VRT")
    root = ElementTree.parse(path).getroot()
    # What is a document already is written as it is, and has sources of its own.
    for name in root.iter("SourceFilename") if dataset.driver != "VRT" else ():
        name.text = dataset.name
        name.set("relativeToVRT", "0")
    in_full(root, dataset)
    # How the source stores its pixels says nothing about how the output does.
    _remove_metadata(root, "IMAGE_STRUCTURE")
    for band in root.findall(BAND):
        _remove_metadata(band, "IMAGE_STRUCTURE")
    profile = dataset.tags(ns="COLOR_PROFILE")
    if profile and not any(item.get("domain") == "COLOR_PROFILE" for item in root.findall("Metadata")):
        _add_tags(root, profile, "COLOR_PROFILE")
    domains.add_domains(root, dataset)
    return root


def write(root: Element, path: Path) -> str:
    """Write the document; returns GDAL's name of it."""
    ElementTree.ElementTree(root).write(path, encoding="utf-8")
    return str(path)


def bands_of(root: Element) -> list[Element]:
    """The bands, without the mask."""
    return root.findall(BAND)


def alpha_of(root: Element) -> int | None:
    """The alpha band, from 0."""
    colors = [band.findtext("ColorInterp") for band in bands_of(root)]
    return colors.index("Alpha") if "Alpha" in colors else None


def declares_nodata(root: Element) -> bool:
    """True when a band says what stands for no data."""
    return any(band.find("NoDataValue") is not None for band in bands_of(root))


def has_mask(root: Element) -> bool:
    """True for a mask of the whole dataset."""
    return root.find("MaskBand") is not None


def select_bands(root: Element, numbers: list[int]) -> None:
    """Keep these bands, from 1, in this order; one may be taken twice.

    What an alpha band hides that is left out, or moved, a mask hides.
    """
    colors = [(band.findtext("ColorInterp") or "").lower() for band in bands_of(root)]
    alpha = None if declares_nodata(root) or has_mask(root) else alpha_as_mask(colors, numbers)
    found = {int(band.get("band", "0")): band for band in bands_of(root)}
    for band in found.values():
        root.remove(band)
    mask = root.find("MaskBand")
    at = len(root) if mask is None else list(root).index(mask)
    for index, chosen in enumerate(numbers, 1):
        band = copy.deepcopy(found[chosen])
        band.set("band", str(index))
        if chosen == alpha:
            _remove(band, "ColorInterp")
        root.insert(at + index - 1, band)
    if alpha is not None:
        _add_mask(root, found[alpha])


def set_crs(root: Element, wkt: str) -> None:
    """The CRS of the transform, in GDAL's traditional order of axes (x, y)."""
    for old in root.findall("SRS"):
        root.remove(old)
    crs = Element("SRS", {"dataAxisToSRSAxisMapping": _axes(wkt)})
    crs.text = wkt
    root.insert(0, crs)


def _axes(wkt: str) -> str:
    from pyproj import CRS

    first = CRS.from_user_input(wkt).axis_info
    return "2,1" if first and first[0].direction in ("north", "south") and len(first) > 1 else "1,2"


def place_by(root: Element, way: Literal["transform", "gcps", "rpcs"]) -> None:
    """Leave only this one of the ways that may place a raster."""
    if way != "transform":
        _remove(root, "GeoTransform")
        _remove(root, "SRS")
    if way != "gcps":
        _remove(root, "GCPList")
    if way != "rpcs":
        _remove_metadata(root, "RPC")


def transform_of(root: Element) -> Transform | None:
    """Where the raster is, None where it is not placed by a transform."""
    text = root.findtext("GeoTransform")
    if text is None:
        return None
    c, a, b, f, d, e = map(float, text.split(","))
    return [a, b, c, d, e, f]


def set_transform(root: Element, transform: Transform) -> None:
    """Put the raster there."""
    _remove(root, "GeoTransform")
    a, b, c, d, e, f = transform
    place = Element("GeoTransform")
    place.text = ", ".join(map(repr, (c, a, b, f, d, e)))
    root.insert(1 if root.find("SRS") is not None else 0, place)


def shifted(transform: Transform, column: int, row: int) -> Transform:
    """The transform of a window that begins there."""
    a, b, c, d, e, f = transform
    return [a, b, a * column + b * row + c, d, e, d * column + e * row + f]


def set_nodata(root: Element, value: float | str | None) -> None:
    """What stands for no data in all bands; None takes the declaration away. Pixels are not changed."""
    for band in bands_of(root):
        _remove(band, "NoDataValue")
        if value is not None:
            declared = Element("NoDataValue")
            declared.text = _text(value)
            band.insert(0, declared)


def rewrite_nodata(root: Element, new: float | str) -> None:
    """Declare `new`, and let pixels that were declared to be no data before become it."""
    for band in bands_of(root):
        old = band.findtext("NoDataValue")
        if old is not None and not _same(old, new):
            for source in _sources(band):
                _complex(source, "NODATA", old)
    set_nodata(root, new)


def mask_from_nodata(root: Element) -> None:
    """A mask where a pixel is valid in any band, in place of the declared nodata."""
    mask = SubElement(SubElement(root, "MaskBand"), BAND, {"dataType": "Byte"})
    for band in bands_of(root):
        for source in _sources(band):
            part = copy.deepcopy(source)
            number = part.find("SourceBand")
            if number is not None:
                number.text = f"mask,{number.text}"
            for name in ("NODATA", "LUT", "ScaleOffset", "ScaleRatio"):
                _remove(part, name)
            # Where this band is not valid, another's mask stays.
            _complex(part, "NODATA", "0")
            mask.append(part)
    set_nodata(root, None)


def mask_from_alpha(root: Element) -> None:
    """A mask in place of the last band, which is alpha."""
    alpha = bands_of(root)[-1]
    root.remove(alpha)
    _add_mask(root, alpha)


def _add_mask(root: Element, band: Element) -> None:
    """Valid is where the band is not 0."""
    mask = SubElement(SubElement(root, "MaskBand"), BAND, {"dataType": "Byte"})
    mask.extend(copy.deepcopy(source) for source in _sources(band))


def nodata_from_alpha(root: Element, value: float | str) -> None:
    """Declare a value, and let pixels have it that alpha hides, which stays."""
    for index, band in enumerate(bands_of(root)):
        for source in _sources(band) if index != alpha_of(root) else ():
            _complex(source, "UseMaskBand", "true")
    rewrite_nodata(root, value)


def nodata_from_mask(root: Element, value: float | str) -> None:
    """Declare a value, and let pixels have it that are not valid, in place of the mask."""
    for band in bands_of(root):
        for source in _sources(band):
            _complex(source, "UseMaskBand", "true")
    _remove(root, "MaskBand")
    set_nodata(root, value)


def convert_values(root: Element, dtype: str, scaling: Scaling | None, alpha: int | None = None) -> None:
    """Another data type, rounded and cut to its range; scaled first, except for the alpha band (from 0)."""
    for index, band in enumerate(bands_of(root)):
        band.set("dataType", gdal_type(dtype))
        if scaling is None or index == alpha:
            continue
        (low, high), (to_low, to_high) = scaling.from_range, scaling.to_range
        for source in _sources(band):
            old = band.findtext("NoDataValue")
            if old is not None and source.find("NODATA") is None:
                _complex(source, "NODATA", old)
            # A table of two entries is linear between them and constant outside.
            _complex(source, "LUT", f"{low!r}:{to_low!r},{high!r}:{to_high!r}")
        _rescale(band, (high - low) / (to_high - to_low), low, to_low)


def _rescale(band: Element, ratio: float, low: float, to_low: float) -> None:
    """Scale and offset with which the new values still mean what the old ones did."""
    scale = float(band.findtext("Scale") or 1.0)
    offset = float(band.findtext("Offset") or 0.0)
    for name, value in (("Scale", scale * ratio), ("Offset", offset + scale * (low - to_low * ratio))):
        _remove(band, name)
        element = Element(name)
        element.text = repr(value)
        band.insert(0, element)


def drop_statistics(root: Element) -> None:
    """They were of other pixels."""
    for band in bands_of(root):
        _remove(band, "Histograms")
        for metadata in band.findall("Metadata"):
            for item in metadata.findall("MDI"):
                if (item.get("key") or "").startswith("STATISTICS_"):
                    metadata.remove(item)


def add_tags(root: Element, tags: dict[str, str]) -> None:
    """Tags of the dataset; one that is there gets the new value."""
    default = next((item for item in root.findall("Metadata") if not item.get("domain")), None)
    if default is not None:
        for item in default.findall("MDI"):
            if item.get("key") in tags:
                default.remove(item)
    _add_tags(root, tags, None, default)


def over(
    root: Element,
    parts: Iterable[Part],
    size: tuple[int, int],
    *,
    mask: str | None,
) -> Element:
    """The same bands and metadata, of `size` (width, height), with their pixels from these parts.

    `mask` names the band of each part that makes the mask.
    """
    whole = copy.deepcopy(root)
    whole.set("rasterXSize", str(size[0]))
    whole.set("rasterYSize", str(size[1]))
    _remove(whole, "MaskBand")
    bands = bands_of(whole)
    for band in bands:
        for source in _sources(band):
            band.remove(source)
        band.attrib.pop("blockXSize", None)
        band.attrib.pop("blockYSize", None)
    masked = None
    if mask is not None:
        masked = SubElement(SubElement(whole, "MaskBand"), BAND, {"dataType": "Byte"})
    for part in parts:
        for index, band in enumerate(bands, 1):
            _add_part(band, part, str(index), band.get("dataType", "Byte"))
        if masked is not None and mask is not None:
            _add_part(masked, part, mask, "Byte")
    return whole


def add_overviews(root: Element, factors: list[int], resampling: str) -> None:
    """Let the overviews of the parts be the overviews of the whole."""
    overviews = SubElement(root, "OverviewList", {"resampling": resampling})
    overviews.text = " ".join(map(str, factors))


def set_overviews(root: Element, paths: list[str]) -> None:
    """Let these rasters be the overviews, the finest first."""
    for index, band in enumerate(bands_of(root), 1):
        for path in paths:
            overview = SubElement(band, "Overview")
            SubElement(overview, "SourceFilename", {"relativeToVRT": "0"}).text = path
            SubElement(overview, "SourceBand").text = str(index)


def from_overview(root: Element, levels: list[int]) -> None:
    """Let the pixels of each source be those of an overview of its own, 0 for the finest."""
    for band in bands_of(root):
        for source, level in zip(_sources(band), levels, strict=True):
            options = Element("OpenOptions")
            SubElement(options, "OOI", {"key": "OVERVIEW_LEVEL"}).text = str(level)
            source.insert(1, options)


def _add_part(band: Element, part: Part, number: str, dtype: str) -> None:
    source = SubElement(band, "SimpleSource")
    name = SubElement(source, "SourceFilename", {"relativeToVRT": "0"})
    name.text = part.path
    SubElement(source, "SourceBand").text = number
    # With these GDAL opens a part when it is read, and no more than some at once.
    properties = {"RasterXSize": str(part.width), "RasterYSize": str(part.height), "DataType": dtype}
    SubElement(source, "SourceProperties", properties)
    for tag, (x, y, width, height) in (("SrcRect", part.source), ("DstRect", part.target)):
        SubElement(source, tag, {"xOff": str(x), "yOff": str(y), "xSize": str(width), "ySize": str(height)})


def _complex(source: Element, name: str, value: str) -> None:
    """Give a source what only a complex one has."""
    source.tag = "ComplexSource"
    _remove(source, name)
    SubElement(source, name).text = value


def _sources(band: Element) -> list[Element]:
    return [child for child in band if child.tag in SOURCES]


def _remove(parent: Element, name: str) -> None:
    for child in parent.findall(name):
        parent.remove(child)


def _remove_metadata(parent: Element, domain: str) -> None:
    for child in parent.findall("Metadata"):
        if child.get("domain") == domain:
            parent.remove(child)


def _add_tags(
    root: Element, tags: dict[str, str], domain: str | None, metadata: Element | None = None
) -> None:
    if metadata is None:
        metadata = Element("Metadata", {} if domain is None else {"domain": domain})
        root.insert(0, metadata)
    for key, value in tags.items():
        SubElement(metadata, "MDI", {"key": key}).text = value


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else number(value)


def _same(one: float | str, other: float | str) -> bool:
    a, b = float(one), float(other)
    return a == b or (math.isnan(a) and math.isnan(b))
