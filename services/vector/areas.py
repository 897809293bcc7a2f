"""The area that a job is limited to, in the CRS of a layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError
from interfaces.vectors import ReadOptions

if TYPE_CHECKING:
    import pyarrow as pa

EDGE_POINTS = 21
"""Points along each edge that is transformed: a straight edge is a curve in another CRS."""


@dataclass(frozen=True)
class Area:
    """A rectangle, or a shape with it around."""

    bounds: tuple[float, float, float, float]
    shape: Any | None


def area_in(options: ReadOptions, crs: str) -> Area | None:
    """The area that is asked for, in this CRS; None where none is. Raises `PermanentTaskError`."""
    if options.bbox is None and options.polygon is None:
        return None
    import shapely
    from pyproj import Transformer
    from pyproj.exceptions import ProjError

    try:
        transformer = Transformer.from_crs("OGC:CRS84", crs, always_xy=True)
        if options.bbox is not None:
            west, south, east, north = options.bbox
            bounds = transformer.transform_bounds(west, south, east, north, densify_pts=EDGE_POINTS)
            shape = None
        else:
            given = shapely.from_wkt(options.polygon)
            longest = max(given.length / (4 * EDGE_POINTS), 1e-9)
            dense = shapely.segmentize(given, longest)
            shape = shapely.transform(dense, transformer.transform, interleaved=False)
            west, south, east, north = (float(edge) for edge in shapely.bounds(shape))
            bounds = (west, south, east, north)
    except ProjError as error:
        raise PermanentTaskError(
            f"bbox or polygon cannot be transformed into the layer's CRS: {error}"
        ) from error
    if not all(abs(edge) < float("inf") for edge in bounds):
        raise PermanentTaskError("bbox or polygon is outside of where the layer's CRS is defined")
    return Area(bounds, shape)


def inside(batches: Iterator[pa.RecordBatch], geometry: int, area: Area) -> Iterator[pa.RecordBatch]:
    """What reaches into the area, of a format whose reader has no filter of its own."""
    import pyarrow as pa
    import shapely

    shape = shapely.box(*area.bounds) if area.shape is None else area.shape
    shapely.prepare(shape)
    for batch in batches:
        geometries = shapely.from_wkb(batch.column(geometry).to_pylist(), on_invalid="ignore")
        yield batch.filter(pa.array(shapely.intersects(shape, geometries)))
