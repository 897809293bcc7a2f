"""Documents of virtual rasters (https://gdal.org/en/stable/drivers/raster/vrt.html), built, never read.

They name the source and are opened from memory: a raster on another grid, a part of a raster, a mosaic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.etree.ElementTree import Element, SubElement, tostring

from interfaces.conversions import Grid

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Window = tuple[int, int, int, int]
"""Column, row, width and height, pixels."""
GDAL_TYPES = {
    "uint8": "Byte",
    "int8": "Int8",
    "uint16": "UInt16",
    "int16": "Int16",
    "uint32": "UInt32",
    "int32": "Int32",
    "uint64": "UInt64",
    "int64": "Int64",
    "float32": "Float32",
    "float64": "Float64",
    "complex_int16": "CInt16",
    "complex64": "CFloat32",
    "complex128": "CFloat64",
}
ALPHA_MAX = {"uint16": 65535, "int16": 32767}
"""What is opaque; 255 for other types. GDAL's warp takes the same."""
COLOURS = {
    "gray": "Gray",
    "palette": "Palette",
    "red": "Red",
    "green": "Green",
    "blue": "Blue",
    "alpha": "Alpha",
    "hue": "Hue",
    "saturation": "Saturation",
    "lightness": "Lightness",
    "cyan": "Cyan",
    "magenta": "Magenta",
    "yellow": "Yellow",
    "black": "Black",
}
LEFT_BEHIND = ("STATISTICS_",)
"""Tags that are no longer true of other pixels."""


@dataclass(frozen=True)
class Layer:
    """How a raster is warped."""

    by: Literal["transform", "gcps", "rpcs"]
    transform: tuple[float, ...]
    """Of the source, unless points place it."""
    source_crs: str | None
    """WKT, or None when no other CRS is gone to or there is none."""
    centre_longitude: float | None
    """Degrees, for a geographic source that reaches beyond ±180°: longitudes are taken around it."""
    kernel: str
    error_threshold: float
    """Pixels of the source; 0: every pixel is transformed for itself."""
    block: int
    memory: int
    source_nodata: list[float | None]
    """Of each band."""
    nodata: float | None
    alpha: int | None
    """Number of the source's alpha band."""
    mask: bool
    """Make a mask; else what has no data has `nodata`, or an alpha of 0."""
    rpc_height: float | None


def gdal_type(dtype: str) -> str:
    """GDAL's name of rasterio's data type."""
    return GDAL_TYPES[dtype]


def number(value: float) -> str:
    """A number so that GDAL reads the same again."""
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return repr(float(value)) if value != int(value) or abs(value) > 2**53 else str(int(value))


def warped_document(dataset: DatasetReader, grid: Grid, layer: Layer) -> str:
    """The raster on the grid; with a mask wanted, that is one more band at the end: alpha."""
    root = rooted(grid, (0, 0, grid.width, grid.height))
    root.set("subClass", "VRTWarpedDataset")
    colours = dataset.colorinterp
    for at, dtype in enumerate(dataset.dtypes):
        band = SubElement(
            root, "VRTRasterBand", dataType=gdal_type(dtype), band=str(at + 1), subClass="VRTWarpedRasterBand"
        )
        if layer.nodata is not None:
            text(band, "NoDataValue", number(layer.nodata))
        text(band, "ColorInterp", COLOURS.get(colours[at].name, "Undefined"))
    alpha = layer.alpha
    if layer.mask:
        alpha = dataset.count + 1
        made = SubElement(
            root, "VRTRasterBand", dataType="Byte", band=str(alpha), subClass="VRTWarpedRasterBand"
        )
        text(made, "ColorInterp", "Alpha")
    text(root, "BlockXSize", str(min(layer.block, grid.width)))
    text(root, "BlockYSize", str(min(layer.block, grid.height)))
    options = _options(root, dataset, layer, alpha)
    _transformer(SubElement(options, "Transformer"), dataset, grid, layer)
    _band_list(options, dataset, layer, alpha)
    return tostring(root, encoding="unicode")


def selected(dataset: DatasetReader, grid: Grid, layer: Layer, document: str, window: Window) -> str:
    """A window of a warped document, with what the source says of its bands, and with its alpha as a mask."""
    root = rooted(grid, window)
    metadata_of(root, {None: dataset.tags(), "COLOR_PROFILE": dataset.tags(ns="COLOR_PROFILE")})
    said = Said.of(dataset)
    for index, dtype in enumerate(dataset.dtypes, start=1):
        band = SubElement(root, "VRTRasterBand", dataType=gdal_type(dtype), band=str(index))
        describe_band(band, dataset, index, layer.nodata, said)
        _source(band, "SimpleSource", document, index, window)
    if layer.mask:
        mask = SubElement(SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        source = _source(mask, "ComplexSource", document, dataset.count + 1, window)
        # A pixel that is partly covered is a pixel.
        text(source, "LUT", "0:0,1:255,255:255")
    return tostring(root, encoding="unicode")


@dataclass(frozen=True)
class Said:
    """What a dataset says of its bands. To ask rasterio for one band is to ask GDAL about all of them."""

    descriptions: Sequence[str | None]
    units: Sequence[str | None]
    offsets: Sequence[float]
    scales: Sequence[float]
    colours: Sequence[str]

    @classmethod
    def of(cls, dataset: DatasetReader) -> Said:
        """Of all bands."""
        colours = [colour.name for colour in dataset.colorinterp]
        return cls(dataset.descriptions, dataset.units, dataset.offsets, dataset.scales, colours)


def describe_band(
    band: Element,
    dataset: DatasetReader,
    index: int,
    nodata: float | None,
    said: Said,
    *,
    tags: bool = True,
) -> None:
    """Give a band of a document what the source says of its own: colours, description, unit, scale, tags."""
    at = index - 1
    metadata_of(band, {None: dataset.tags(index) if tags else {}})
    if description := said.descriptions[at]:
        text(band, "Description", description)
    if nodata is not None:
        text(band, "NoDataValue", number(nodata))
    if unit := said.units[at]:
        text(band, "UnitType", unit)
    if said.offsets[at] != 0.0:
        text(band, "Offset", number(said.offsets[at]))
    if said.scales[at] != 1.0:
        text(band, "Scale", number(said.scales[at]))
    colour = said.colours[at]
    text(band, "ColorInterp", COLOURS.get(colour, "Undefined"))
    if colour == "palette":
        table = SubElement(band, "ColorTable")
        for _, entry in sorted(dataset.colormap(index).items()):
            SubElement(table, "Entry", {f"c{i}": str(part) for i, part in enumerate(entry, start=1)})


def rooted(grid: Grid, window: Window) -> Element:
    """A document without bands, placed where the window of the grid lies."""
    column, row, width, height = window
    root = Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    if grid.crs:
        # Without a mapping of axes this means the traditional order, whatever the authority says.
        text(root, "SRS", grid.crs)
    x, b, left, d, y, top = grid.transform
    placed = (left + column * x, x, b, top + row * y, d, y)
    text(root, "GeoTransform", ", ".join(map(repr, map(float, placed))))
    return root


def _options(root: Element, dataset: DatasetReader, layer: Layer, alpha: int | None) -> Element:
    options = SubElement(root, "GDALWarpOptions")
    text(options, "WarpMemoryLimit", str(layer.memory))
    text(options, "ResampleAlg", layer.kernel)
    # The mask of a raster of int8 would not fit into its own type.
    dtype = gdal_type(dataset.dtypes[0])
    text(options, "WorkingDataType", "Int16" if dtype == "Int8" and layer.mask else dtype)
    settings = {
        # Bands one by one: a missing value in one does not spoil, or get into, the others.
        "UNIFIED_SRC_NODATA": "NO",
        "INIT_DEST": "0" if layer.nodata is None else "NO_DATA",
        "ERROR_OUT_IF_EMPTY_SOURCE_WINDOW": "FALSE",
        # The source of a block is looked for within it, too: around a pole its edges do not tell.
        "SAMPLE_GRID": "YES",
        "SOURCE_EXTRA": "5",
    }
    if layer.alpha:
        settings["SRC_ALPHA_MAX"] = str(ALPHA_MAX.get(dataset.dtypes[layer.alpha - 1], 255))
    if alpha:
        settings["DST_ALPHA_MAX"] = (
            "255" if layer.mask else str(ALPHA_MAX.get(dataset.dtypes[alpha - 1], 255))
        )
    for name, value in settings.items():
        text(options, "Option", value, name=name)
    text(options, "SourceDataset", dataset.name, relativeToVRT="0", shared="0")
    return options


def _transformer(parent: Element, dataset: DatasetReader, grid: Grid, layer: Layer) -> None:
    if layer.error_threshold:
        approximate = SubElement(parent, "ApproxTransformer")
        text(approximate, "MaxError", repr(layer.error_threshold))
        parent = SubElement(approximate, "BaseTransformer")
    image = SubElement(parent, "GenImgProjTransformer")
    if layer.by == "transform":
        _geotransform(image, "Src", layer.transform)
    elif layer.by == "gcps":
        _gcps(image, dataset)
    else:
        _rpcs(image, dataset, layer)
    _geotransform(image, "Dst", grid.transform)
    if layer.source_crs and grid.crs:
        way = SubElement(SubElement(image, "ReprojectTransformer"), "ReprojectionTransformer")
        text(way, "SourceSRS", layer.source_crs)
        text(way, "TargetSRS", grid.crs)
        if layer.centre_longitude is not None:
            text(SubElement(way, "Options"), "Option", repr(layer.centre_longitude), key="CENTER_LONG")


def _geotransform(image: Element, which: str, transform: Sequence[float]) -> None:
    from rasterio.transform import Affine

    for name, affine in (("", Affine(*transform)), ("Inv", ~Affine(*transform))):
        values = ",".join(map(repr, map(float, affine.to_gdal())))
        text(image, f"{which}{name}GeoTransform", values)


def _gcps(image: Element, dataset: DatasetReader) -> None:
    parent = SubElement(SubElement(image, "SrcGCPTransformer"), "GCPTransformer")
    text(parent, "Order", "0")
    text(parent, "Reversed", "0")
    points = SubElement(parent, "GCPList")
    for number_, point in enumerate(dataset.gcps[0], start=1):
        values = {"Pixel": point.col, "Line": point.row, "X": point.x, "Y": point.y, "Z": point.z or 0.0}
        SubElement(
            points,
            "GCP",
            {"Id": str(number_), **{name: repr(float(value)) for name, value in values.items()}},
        )


def _rpcs(image: Element, dataset: DatasetReader, layer: Layer) -> None:
    parent = SubElement(SubElement(image, "SrcRPCTransformer"), "RPCTransformer")
    text(parent, "Reversed", "0")
    text(parent, "HeightOffset", repr(layer.rpc_height))
    text(parent, "PixErrThreshold", "0.1")
    metadata_of(parent, {None: dataset.tags(ns="RPC")})


def _band_list(options: Element, dataset: DatasetReader, layer: Layer, alpha: int | None) -> None:
    bands = SubElement(options, "BandList")
    for index in range(1, dataset.count + 1):
        if index == layer.alpha:
            continue
        mapping = SubElement(bands, "BandMapping", src=str(index), dst=str(index))
        value = layer.source_nodata[index - 1]
        for side, stands_for in (("Src", value), ("Dst", layer.nodata)):
            if stands_for is not None:
                text(mapping, f"{side}NoDataReal", number(stands_for))
                text(mapping, f"{side}NoDataImag", "0")
    if layer.alpha:
        text(options, "SrcAlphaBand", str(layer.alpha))
    if alpha:
        text(options, "DstAlphaBand", str(alpha))


def _source(band: Element, kind: str, document: str, index: int, window: Window) -> Element:
    x, y, width, height = map(str, window)
    source = SubElement(band, kind)
    text(source, "SourceFilename", document, relativeToVRT="0", shared="0")
    text(source, "SourceBand", str(index))
    SubElement(source, "SrcRect", xOff=x, yOff=y, xSize=width, ySize=height)
    SubElement(source, "DstRect", xOff="0", yOff="0", xSize=width, ySize=height)
    return source


def metadata_of(parent: Element, domains: Mapping[str | None, dict[str, str]]) -> None:
    """Tags by their domain, None for the one without a name, less those that are true no longer."""
    for domain, tags in domains.items():
        kept = {key: value for key, value in tags.items() if not key.startswith(LEFT_BEHIND)}
        if kept:
            metadata = SubElement(parent, "Metadata", {"domain": domain} if domain else {})
            for key, value in kept.items():
                text(metadata, "MDI", value, key=key)


def text(parent: Element, tag: str, content: str, **attributes: str) -> Element:
    """A new element with text in it."""
    element = SubElement(parent, tag, attributes)
    element.text = content
    return element
