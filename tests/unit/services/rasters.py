"""Writes small rasters for tests, and offers a folder's files as blobs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import rasterio
from rasterio.transform import from_origin

from interfaces.blobs import BlobItem, BlobProperties
from services.raster_inspection import RasterInspector
from services.raster_opening import RasterOpener
from services.raster_report import RasterMetadata, RasterReport, UnreadableRaster

from .doubles import MemoryBlobs


class FolderBlobs(MemoryBlobs):
    """A folder's files as blobs, which GDAL reads as local files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        super().__init__(
            BlobItem(name=str(path.relative_to(folder)), size=path.stat().st_size)
            for path in folder.rglob("*")
            if path.is_file()
        )

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        data = (self.folder / name).read_bytes()
        return data[offset : None if length is None else offset + length]

    def gdal_path(self, container: str, name: str) -> str:
        return str(self.folder / name)

    def gdal_options(self) -> Mapping[str, str]:
        return {}


def write_raster(path: Path, data: Any = None, **profile: Any) -> Path:
    """A GeoTIFF of 64 × 48 pixels in EPSG:32632, unless told otherwise."""
    if data is None:
        data = numpy.arange(64 * 48, dtype="uint16").reshape(1, 48, 64)
    profile = {
        "driver": "GTiff",
        "crs": "EPSG:32632",
        "transform": from_origin(500_000, 5_600_000, 10, 10),
        "count": data.shape[0],
        "height": data.shape[1],
        "width": data.shape[2],
        "dtype": data.dtype,
        **profile,
    }
    with rasterio.open(path, "w", **profile) as dataset:
        dataset.write(data)
    return path


def inspect(path: Path, *, statistics: bool = False, **properties: Any) -> RasterReport:
    """What is found out about a file."""
    blob = BlobProperties(name=path.name, size=path.stat().st_size, **properties)
    return RasterInspector(RasterOpener(FolderBlobs(path.parent))).inspect(
        "bronze", blob, statistics=statistics
    )


def readable(report: RasterReport) -> RasterMetadata:
    """The report, which has to be one of a readable raster."""
    assert isinstance(report, RasterMetadata), report
    return report


def unreadable(report: RasterReport) -> UnreadableRaster:
    """The report, which has to be one of an unreadable blob."""
    assert isinstance(report, UnreadableRaster), report
    return report
