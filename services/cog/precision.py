"""Numbers of a raster in full: GDAL rounds some where it writes a virtual raster."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

if TYPE_CHECKING:
    from rasterio.io import DatasetReader


def in_full(root: Element, dataset: DatasetReader) -> None:
    """Give the dataset's document its scales, offsets and control points to the last digit.

    GDAL 3.10 writes scales and offsets with 16 digits, columns and rows of control points with four after the
    point, and their coordinates with 13.
    """
    for name, values in (("Scale", dataset.scales), ("Offset", dataset.offsets)):
        for band, value in zip(root.findall("VRTRasterBand"), values, strict=True):
            if (element := band.find(name)) is not None:
                element.text = repr(float(value))
    points = root.findall("GCPList/GCP")
    for element, point in zip(points, dataset.gcps[0] if points else [], strict=True):
        for name, value in (("Pixel", point.col), ("Line", point.row), ("X", point.x), ("Y", point.y)):
            element.set(name, repr(float(value)))
        if "Z" in element.attrib:
            element.set("Z", repr(float(point.z)))
