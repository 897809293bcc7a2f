"""Where the data of a raster lie on the Earth: a GeoJSON geometry and its box, or the reason why none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from services.raster_footprint import wgs84_bounds, why_not_on_earth

from .longitudes import bbox, geojson, on_sphere
from .valid_area import ValidArea, outline_of, valid_area, valid_mask, whole_image

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.crs import CRS
    from rasterio.io import DatasetReader

SIZE = 1024
"""Pixels a side, at most, of the mask that is looked at."""
SEGMENTS = 128
"""Straight pieces of the longer side: an edge that is straight in the CRS is a curve in degrees."""
FLATNESS = 4096
"""Vertices that change the outline by less than its extent in degrees divided by this are left out."""
CELLS = 256
"""Cells a side in which a raster is looked at that lies partly outside the area of use of its CRS."""
SAMPLES = 8
"""Rows and columns of points that must lie within the footprint."""
IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)

Place = Callable[["NDArray[Any]"], "NDArray[Any]"]
"""From (column, row) of a pixel's corner to (longitude, latitude); not finite where there is none."""


@dataclass(frozen=True)
class Footprint:
    """`geometry` is a GeoJSON Polygon or MultiPolygon in WGS 84, `bbox` [west, south, east, north].

    Both are None when the raster has no place on the Earth, and `reason` says why.
    """

    geometry: dict[str, Any] | None
    bbox: list[float] | None
    reason: str | None = None
    notes: tuple[str, ...] = ()


def raster_footprint(dataset: DatasetReader, *, size: int = SIZE) -> Footprint:
    """The footprint of the data of an open raster, looked at with at most `size` pixels a side.

    Raises `RasterioError` when the pixels cannot be read.
    """
    place, crs, note = _place(dataset)
    if isinstance(place, str):
        return Footprint(None, None, reason=place)
    area = valid_area(dataset, size)
    if note is not None:
        area = replace(area, notes=(note, *area.notes))
    try:
        return _on_earth(dataset, area, place)
    except _OutsideTheCrs:
        pass
    try:
        return _on_earth(dataset, _inside_the_crs(dataset, place), place)
    except _OutsideTheCrs as error:
        box, reason = wgs84_bounds(crs, _corners(dataset))
        if box is None:
            return Footprint(None, None, reason=reason)
        note = f"the footprint is the box of the image, since its outline cannot be placed: {error}"
        return Footprint(_box(box), box, notes=(*area.notes, note))


class _OutsideTheCrs(Exception):
    """A vertex has no longitude or latitude, or they do not enclose the data."""


def _place(dataset: DatasetReader) -> tuple[Place | str, CRS, str | None]:
    """How pixels are placed and in which CRS, or the reason why they are not; and a note."""
    from rasterio.crs import CRS
    from rasterio.transform import GCPTransformer, RPCTransformer

    crs, note = dataset.crs, None
    gcps, gcps_crs = dataset.gcps
    if tuple(dataset.transform)[:6] != IDENTITY:
        to_crs = _by_transform(dataset)
    elif gcps:
        crs, note = gcps_crs or crs, "placed by ground control points, approximately"
        to_crs = _by(GCPTransformer(gcps))
    elif dataset.rpcs is not None:
        crs, note = CRS.from_epsg(4326), "placed by rational polynomials at height 0, approximately"
        to_crs = _by(RPCTransformer(dataset.rpcs))
    else:
        return "the raster has no georeferencing" if crs else "the raster has no CRS", crs, None
    if not crs:
        return "the raster has no CRS", crs, None
    reason = why_not_on_earth(crs)
    if reason is not None:
        return reason, crs, None
    if crs.is_geographic and tuple(dataset.transform)[:6] != IDENTITY:
        latitudes = [y for _, y in _corners(dataset)]
        if min(latitudes) < -91 or max(latitudes) > 91:
            return "the bounds are not latitudes, although the CRS is geographic", crs, None
    return _to_degrees(crs, to_crs), crs, note


def _by_transform(dataset: DatasetReader) -> Place:
    import numpy

    a, b, c, d, e, f = tuple(dataset.transform)[:6]
    return lambda xy: numpy.column_stack([a * xy[:, 0] + b * xy[:, 1] + c, d * xy[:, 0] + e * xy[:, 1] + f])


def _by(transformer: Any) -> Place:
    import numpy

    return lambda xy: numpy.column_stack(transformer.xy(xy[:, 1], xy[:, 0], offset="ul"))


def _to_degrees(crs: CRS, to_crs: Place) -> Place:
    import numpy
    from rasterio._err import CPLE_BaseError
    from rasterio.crs import CRS
    from rasterio.warp import transform

    wgs84 = CRS.from_epsg(4326)

    def place(xy: NDArray[Any]) -> NDArray[Any]:
        placed = to_crs(xy)
        if crs == wgs84:
            degrees = placed
        else:
            try:
                degrees = numpy.column_stack(transform(crs, wgs84, placed[:, 0], placed[:, 1]))
            except CPLE_BaseError:
                degrees = _known_degrees(crs, placed)
        # Half a pixel beyond the pole is how grids of points are often stored.
        degrees[:, 1] = numpy.clip(degrees[:, 1], -90, 90)
        return degrees

    return place


def _known_degrees(crs: CRS, placed: NDArray[Any]) -> NDArray[Any]:
    """As rasterio's `transform`, which fails when a single point has no longitude and latitude."""
    import numpy
    from pyproj import Transformer

    to_degrees = Transformer.from_crs(crs.to_wkt(version="WKT2_2019"), "EPSG:4326", always_xy=True)
    return numpy.column_stack(to_degrees.transform(placed[:, 0], placed[:, 1]))


def _corners(dataset: DatasetReader) -> list[tuple[float, float]]:
    import numpy

    width, height = dataset.width, dataset.height
    pixels = numpy.array([(0, 0), (width, 0), (width, height), (0, height)], float)
    return [(float(x), float(y)) for x, y in _by_transform(dataset)(pixels)]


def _on_earth(dataset: DatasetReader, area: ValidArea, place: Place) -> Footprint:
    """Raises `_OutsideTheCrs`."""
    import shapely

    dense = shapely.segmentize(area.geometry, max(dataset.width, dataset.height) / SEGMENTS)
    flipped = _is_mirrored(dataset, place)
    parts = [
        on_sphere([_ring(ring, place, flipped) for ring in (part.exterior, *part.interiors)])
        for part in shapely.get_parts(dense)
    ]
    whole = shapely.union_all(parts) if len(parts) > 1 else parts[0]
    # Of the widest part, not of all: halves on both sides of the antimeridian are not 360 degrees wide.
    extents = [
        max(east - west, north - south)
        for west, south, east, north in shapely.bounds(shapely.get_parts(whole))
    ]
    simple = shapely.simplify(whole, max(extents) / FLATNESS)
    if not simple.is_valid or simple.is_empty:
        simple = whole
    _check(simple, dense, place)
    geometry = geojson(simple)
    return Footprint(geometry, bbox(shapely.geometry.shape(geometry)), notes=area.notes)


def _ring(ring: Any, place: Place, flipped: bool) -> NDArray[Any]:
    """A ring in degrees, counterclockwise as seen from outside the Earth."""
    import numpy
    import shapely

    pixels = shapely.get_coordinates(ring)
    degrees = place(pixels)
    if not numpy.isfinite(degrees).all():
        raise _OutsideTheCrs("a part of the image lies outside the area of use of the CRS")
    return degrees if shapely.is_ccw(ring) != flipped else degrees[::-1].copy()


def _is_mirrored(dataset: DatasetReader, place: Place) -> bool:
    """Whether what is counterclockwise in (column, row) is clockwise on the Earth, as in most rasters."""
    import numpy

    if tuple(dataset.transform)[:6] != IDENTITY:
        # Of a CRS's plane, which is never mirrored.
        return bool(dataset.transform.determinant < 0)
    x, y = dataset.width / 2, dataset.height / 2
    here, right, below = place(numpy.array([(x, y), (x + 1, y), (x, y + 1)], float))
    across, down = right - here, below - here
    return bool(across[0] * down[1] - across[1] * down[0] < 0)


def _check(area: Any, pixels: Any, place: Place) -> None:
    """Raise `_OutsideTheCrs` when points of the data do not lie within the footprint.

    It does not happen, but CRSs are many, and a footprint on the wrong side of the Earth is worse than a
    large one.
    """
    import numpy
    import shapely

    left, top, right, bottom = pixels.bounds
    steps = (numpy.arange(SAMPLES) + 0.5) / SAMPLES
    grid = numpy.stack(numpy.meshgrid(left + steps * (right - left), top + steps * (bottom - top)), -1)
    points = grid.reshape(-1, 2)
    margin = min(right - left, bottom - top) / 50
    within = shapely.contains_xy(pixels.buffer(-margin), points[:, 0], points[:, 1])
    degrees = place(points)
    with numpy.errstate(invalid="ignore"):
        degrees[:, 0] = (degrees[:, 0] + 180) % 360 - 180
    found = shapely.contains_xy(area, degrees[:, 0], degrees[:, 1])
    if (within & ~found & (numpy.abs(degrees[:, 0]) < 179.9)).any():
        raise _OutsideTheCrs("its outline does not enclose its data")


def _inside_the_crs(dataset: DatasetReader, place: Place) -> ValidArea:
    """The cells with data of which all corners have a longitude and a latitude. Raises `_OutsideTheCrs`."""
    import numpy

    rows, columns = min(CELLS, dataset.height), min(CELLS, dataset.width)
    x, y = numpy.meshgrid(
        numpy.linspace(0, dataset.width, columns + 1), numpy.linspace(0, dataset.height, rows + 1)
    )
    degrees = place(numpy.column_stack([x.ravel(), y.ravel()]))
    known = numpy.isfinite(degrees.sum(axis=1)).reshape(x.shape)
    cells = known[:-1, :-1] & known[:-1, 1:] & known[1:, :-1] & known[1:, 1:]
    data = valid_mask(dataset, cells.shape)
    if data is not None and (cells & data).any():
        cells &= data
    if not cells.any():
        raise _OutsideTheCrs("the image lies outside the area of use of the CRS")
    note = "the footprint is that part of the image that lies within the area of use of the CRS"
    if cells.all():
        return whole_image(dataset, note)
    return ValidArea(outline_of(cells, dataset.width, dataset.height), whole=False, notes=(note,))


def _box(bounds: list[float]) -> dict[str, Any]:
    import shapely

    west, south, east, north = bounds
    if west <= east:
        return geojson(shapely.box(west, south, east, north))
    return geojson(
        shapely.MultiPolygon([shapely.box(west, south, 180, north), shapely.box(-180, south, east, north)])
    )
