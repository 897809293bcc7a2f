"""The bands of a raster in STAC 1.1's words, with the raster and eo extensions' fields."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import JsonValue

from services.raster_metadata import MAX_BANDS, band_report
from services.raster_report import BandReport, BandStatistics, Number

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
EO = "https://stac-extensions.github.io/eo/v2.0.0/schema.json"
"""Not those of pystac's extension packages, which still write version 1.1.0, of before STAC 1.1's bands."""

DATA_TYPES = {
    **{name: name for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")},
    **{name: name for name in ("float16", "float32", "float64")},
    "complex_int16": "cint16",
    "complex_int32": "cint32",
    "complex64": "cfloat32",
    "complex128": "cfloat64",
}
COMMON_NAMES = {
    **{
        name: name
        for name in (
            *("pan", "coastal", "blue", "green", "green05", "yellow", "red", "rededge", "rededge071"),
            *("rededge075", "rededge078", "nir", "nir08", "nir09", "cirrus", "swir16", "swir22", "lwir"),
            *("lwir11", "lwir12"),
        )
    },
    "panchromatic": "pan",
    "coastalaerosol": "coastal",
    "nearinfrared": "nir",
    "swir1": "swir16",
    "swir2": "swir22",
    "tirs1": "lwir11",
    "tirs2": "lwir12",
}
"""Names that descriptions of bands have in use, and the eo extension's names for them."""
LONGEST_NAME = 60
TELLING = {"red", "green", "blue", "alpha", "palette"}
METRES_PER_DEGREE = math.pi / 180 * 6_371_008.8
"""Along a great circle of the Earth's mean radius (IUGG)."""


def bands(
    dataset: DatasetReader, statistics: Sequence[BandStatistics | None] | None = None
) -> list[dict[str, JsonValue]]:
    """At most `MAX_BANDS` band objects, in the order of the file.

    `statistics` are those of the bands in the same order; without, those that the file has in its tags.
    """
    reports = [band_report(dataset, index) for index in dataset.indexes[:MAX_BANDS]]
    uses = Counter(report.description for report in reports)
    known = list(statistics) if statistics is not None else [_stored(dataset, r.index) for r in reports]
    known += [None] * (len(reports) - len(known))
    return [
        _band(report, uses[report.description] == 1, of_band)
        for report, of_band in zip(reports, known, strict=False)
    ]


def _band(report: BandReport, unique: bool, statistics: BandStatistics | None) -> dict[str, JsonValue]:
    described = report.description
    named = described is not None and unique and len(described) <= LONGEST_NAME
    band: dict[str, JsonValue] = {
        "name": described if named else f"b{report.index}",
        "data_type": DATA_TYPES.get(report.dtype, "other"),
    }
    if described is not None and not named:
        band["description"] = described
    elif report.color_interpretation in TELLING and report.color_interpretation != described:
        band["description"] = report.color_interpretation
    if report.nodata is not None:
        band["nodata"] = report.nodata
    if report.unit is not None:
        band["unit"] = report.unit
    scaling = {"raster:scale": report.scale, "raster:offset": report.offset}
    band |= {key: value for key, value in scaling.items() if _finite(value)}
    common = COMMON_NAMES.get(re.sub(r"[\s_-]+", "", described or "").lower())
    if common is not None:
        band["eo:common_name"] = common
    values = _statistics(statistics)
    if values:
        band["statistics"] = values
    return band


def _finite(value: Number | None) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _statistics(statistics: BandStatistics | None) -> dict[str, JsonValue]:
    """Those that are numbers: the schema has no way to write an infinite mean."""
    if statistics is None:
        return {}
    values = {
        name: getattr(statistics, name) for name in ("minimum", "maximum", "mean", "stddev", "valid_percent")
    }
    return {name: value for name, value in values.items() if _finite(value)}


def _stored(dataset: DatasetReader, index: int) -> BandStatistics | None:
    """Statistics that the file's writer left in the band's tags."""
    tags = dataset.tags(index)
    try:
        minimum, maximum, mean, stddev = (
            float(tags[f"STATISTICS_{name}"]) for name in ("MINIMUM", "MAXIMUM", "MEAN", "STDDEV")
        )
        percent = float(tags.get("STATISTICS_VALID_PERCENT", "nan"))
    except (KeyError, ValueError):
        return None
    return BandStatistics(minimum=minimum, maximum=maximum, mean=mean, stddev=stddev, valid_percent=percent)


def spatial_resolution(dataset: DatasetReader) -> float | None:
    """The side of a square as large as a pixel, metres; None where the CRS does not tell.

    In a geographic CRS that of a pixel in the middle of the raster, on a sphere.
    """
    transform, crs = dataset.transform, dataset.crs
    if not crs or transform.is_identity:
        return None
    side = math.sqrt(abs(transform.determinant))
    if crs.is_geographic:
        _, latitude = transform * (dataset.width / 2, dataset.height / 2)
        side *= METRES_PER_DEGREE * math.sqrt(max(0.0, math.cos(math.radians(latitude))))
    elif crs.is_projected:
        side *= crs.linear_units_factor[1]
    else:
        return None
    return float(f"{side:.6g}") if math.isfinite(side) and side > 0 else None


def sampling(dataset: DatasetReader) -> str:
    """`area` or `point`: what a pixel's value stands for."""
    return "point" if dataset.tags().get("AREA_OR_POINT", "").lower() == "point" else "area"
