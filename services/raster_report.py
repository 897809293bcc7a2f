"""What is found out about a raster without reading its pixels, or why it cannot be read."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from interfaces.contracts import Contract

Number = int | float | Literal["nan", "inf", "-inf"]
"""JSON has no NaN and no infinities: they are the strings of STAC 1.1's `nodata` and `statistics`."""

UnreadableStatus = Literal["not_raster", "empty", "truncated", "broken", "refused", "archived"]


class BandStatistics(Contract):
    """Of the pixels that were read: valid ones are neither nodata nor masked."""

    minimum: Number | None
    maximum: Number | None
    mean: Number | None
    stddev: Number | None
    """Of the population, not of a sample."""
    valid_percent: float


class BandReport(Contract):
    """One band; `index` from 1. `scale` and `offset` turn stored values into physical ones."""

    index: int
    dtype: str
    nodata: Number | None
    color_interpretation: str
    mask_flags: list[str]
    description: str | None = None
    unit: str | None = None
    scale: Number | None = None
    offset: Number | None = None
    statistics: BandStatistics | None = None


class CogReport(Contract):
    """Whether the file is a cloud-optimized GeoTIFF, as `rio cogeo validate` says it."""

    valid: bool
    """Without errors; there may be warnings, such as missing overviews."""
    strict_valid: bool
    """Without warnings, too: `rio cogeo validate --strict`."""
    errors: list[str]
    warnings: list[str]


class CrsReport(Contract):
    """A coordinate reference system by its EPSG code, or by WKT2:2019 where it has none."""

    epsg: int | None
    authority: str | None
    """Such as "ESRI:102039", for CRSs that another authority than EPSG has a code for."""
    wkt2: str | None


class StatisticsReport(Contract):
    """Which pixels the statistics of the bands were made from."""

    source: Literal["all", "overview", "sample"]
    approximate: bool
    """Not from all pixels: minimum and maximum may lie further apart."""
    pixels: int
    """Read per band."""
    fraction: float
    """Of all pixels of a band; an overview's pixel stands for all those under it."""


class RasterMetadata(Contract):
    """What the header of a raster says. Pixels are not read, so they may still be damaged."""

    readable: Literal[True] = True
    status: Literal["readable"] = "readable"
    driver: str
    width: int
    height: int
    band_count: int
    dtypes: list[str]
    nodata: Number | None
    """Of the first band."""
    crs: CrsReport | None
    crs_reason: str | None = None
    georeferencing: Literal["transform", "gcps", "rpcs", "none"]
    transform: Annotated[list[Number], Field(min_length=6, max_length=6)]
    """Row-major: x = a·column + b·row + c, y = d·column + e·row + f, in units of the CRS."""
    bounds: Annotated[list[Number], Field(min_length=4, max_length=4)]
    """[left, bottom, right, top] in units of the CRS; of pixels where there is no transform."""
    bounds_wgs84: Annotated[list[float], Field(min_length=4, max_length=4)] | None
    """[west, south, east, north], degrees; west > east across the antimeridian (RFC 7946, 5.2)."""
    bounds_wgs84_reason: str | None = None
    block_shapes: list[list[int]]
    """[height, width] of each band's blocks, pixels."""
    tiled: bool
    overviews: list[int]
    """Decimation factors, of the first band."""
    compression: str | None
    interleave: str | None
    photometric: str | None
    color_map: bool
    bands: list[BandReport]
    """At most `MAX_BANDS`; `band_count` says how many there are."""
    subdatasets: list[str]
    """Names inside the file."""
    tags: dict[str, str]
    sidecars: list[str]
    """Blobs that GDAL reads along with this one: .aux.xml, .msk, .ovr, world files."""
    cog: CogReport | None
    """None for other formats than GeoTIFF."""
    statistics: StatisticsReport | None = None
    statistics_reason: str | None = None
    warnings: list[str]
    bytes_read: int | None = None
    """Bytes that GDAL fetched, sidecars included; None where GDAL cannot tell."""
    fraction_read: float | None = None
    """`bytes_read` / size of the blob and its sidecars."""


class UnreadableRaster(Contract):
    """A blob that is no raster, or none that can or may be read."""

    readable: Literal[False] = False
    status: UnreadableStatus
    reason: str
    driver: str | None = None
    width: int | None = None
    height: int | None = None
    band_count: int | None = None
    """What the header declares, where it could be read."""
    bytes_read: int | None = None
    fraction_read: float | None = None


RasterReport = RasterMetadata | UnreadableRaster
