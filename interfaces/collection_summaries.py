"""Which fields of its items a collection sums up, and how."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

SUMMARIZED = (
    "platform",
    "constellation",
    "mission",
    "instruments",
    "gsd",
    "datetime",
    "proj:code",
    "proj:epsg",
    "data_type",
    "raster:sampling",
    "raster:spatial_resolution",
    "eo:common_name",
    "eo:cloud_cover",
    "eo:snow_cover",
    "view:off_nadir",
    "view:incidence_angle",
    "view:azimuth",
    "view:sun_azimuth",
    "view:sun_elevation",
    "sar:instrument_mode",
    "sar:frequency_band",
    "sar:polarizations",
    "sat:orbit_state",
    "processing:level",
    "grid:code",
)
"""What is summed up where nothing else is asked for: common metadata, and fields that people filter by."""
LISTED = frozenset({"gsd", "proj:epsg", "raster:spatial_resolution"})
"""Numbers that are few and stand for kinds of data: listed, as long as they are few. Others are a range."""
MOST_VALUES = 100
"""Of a field. With more it is left out, as the specification asks for, or a range where it is a number.
https://github.com/radiantearth/stac-spec/blob/v1.1.0/collection-spec/collection-spec.md#summaries"""
LONGEST_VALUE = 300
"""Characters, as JSON: what is longer is no kind of data."""
MOST_FIELDS = 100

FieldName = Annotated[str, Field(min_length=1, max_length=200)]


def _distinct(fields: list[str]) -> list[str]:
    return sorted(set(fields))


Summaries = (
    Literal["default", "none"]
    | Annotated[list[FieldName], Field(min_length=1, max_length=MOST_FIELDS), AfterValidator(_distinct)]
)


def fields_of(asked: Summaries) -> list[str]:
    """The fields that are summed up."""
    if asked == "default":
        return list(SUMMARIZED)
    return [] if asked == "none" else list(asked)
