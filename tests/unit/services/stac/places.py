"""What tests of footprints ask: where a raster lies, and whether that is right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.warp import transform
from shapely.geometry import shape

from services.stac.footprint import Footprint, raster_footprint


def footprint_of(path: Path, **options: Any) -> Footprint:
    with rasterio.open(path) as dataset:
        return raster_footprint(dataset, **options)


def placed(path: Path) -> tuple[Any, list[float]]:
    """The geometry and the box, which have to be there and right by RFC 7946."""
    found = footprint_of(path)
    assert found.geometry is not None, found.reason
    assert found.bbox is not None
    # A box would stand in for an outline that went wrong.
    assert not any("cannot be placed" in note for note in found.notes)
    geometry = shape(found.geometry)
    assert geometry.is_valid
    for part in shapely.get_parts(geometry):
        assert shapely.is_ccw(part.exterior)
        assert not any(shapely.is_ccw(hole) for hole in part.interiors)
    west, south, east, north = geometry.bounds
    assert (west >= -180, south >= -90, east <= 180, north <= 90) == (True, True, True, True)
    return geometry, found.bbox


def zeros(rows: int, columns: int, value: int = 1) -> NDArray[Any]:
    return numpy.full((1, rows, columns), value, "uint8")


def contains(geometry: Any, path: Path, share: float = 1.0) -> bool:
    """Whether the centres of (that share of) the valid pixels lie within the geometry."""
    with rasterio.open(path) as dataset:
        rows, columns = numpy.nonzero(dataset.dataset_mask())
        xs, ys = dataset.transform * (columns + 0.5, rows + 0.5)
        longitudes, latitudes = map(numpy.array, transform(dataset.crs, "EPSG:4326", xs, ys))
    longitudes = (longitudes + 180) % 360 - 180
    return bool(shapely.intersects_xy(geometry, longitudes, latitudes).mean() >= share)
