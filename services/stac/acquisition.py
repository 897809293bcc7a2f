"""When the data of a raster were acquired, and what says so: a parameter, metadata, its name or its blob."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from .name_times import found_in_name, parsed

TimeSource = Literal["parameter", "metadata", "name", "last_modified"]

Tags = Mapping[str, str]

SPANS = (
    ("time_coverage_start", "time_coverage_end"),
    ("NC_GLOBAL#time_coverage_start", "NC_GLOBAL#time_coverage_end"),
    ("PRODUCT_START_TIME", "PRODUCT_STOP_TIME"),
    ("RANGEBEGINNINGDATETIME", "RANGEENDINGDATETIME"),
    ("start_datetime", "end_datetime"),
    ("START_TIME", "STOP_TIME"),
    ("start_time", "stop_time"),
)
"""Tags of a first and a last moment: ACDD 1.3, GDAL's drivers for Sentinel-2 and MODIS, PDS labels."""
INSTANTS = (
    "ACQUISITIONDATETIME",
    "datetime",
    "acquisition_time",
    "acquisition time",
    "DATATAKE_1_DATATAKE_SENSING_START",
    "SENSING_TIME",
    "EXIF_DateTimeOriginal",
    "NITF_IDATIM",
    "TIME",
    "DATE_ACQUIRED",
)
"""Tags of one moment: GDAL's IMAGERY domain, ENVI headers, Sentinel-2, EXIF, NITF, Landsat."""
PAIRS = (("RANGEBEGINNINGDATE", "RANGEBEGINNINGTIME"), ("DATE_ACQUIRED", "SCENE_CENTER_TIME"))
"""Tags of a day and of its time: MODIS, Landsat."""
FILE_TIME = "TIFFTAG_DATETIME"
"""TIFF 6.0, tag 306: when the image, that is mostly this file, was made."""
EPOCH_LIMITS = (datetime(1800, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC))
_GRIB_TIME = re.compile(r"\s*(-?\d+)(?:\s*sec\s*UTC)?\s*")
_CF_UNITS = re.compile(
    r"(days?|hours?|minutes?|seconds?|d|hrs?|h|mins?|secs?|s)\s+since\s+(.+)", re.IGNORECASE
)
_CF_SECONDS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
MAX_TIMES = 10_000


@dataclass(frozen=True)
class Acquisition:
    """`instant` is in UTC; `start` and `end` are given for a span, of which it is the start.

    `source` is what said so, `detail` names it: the tag, the part of the name, the parameter.
    """

    instant: datetime
    source: TimeSource
    detail: str
    start: datetime | None = None
    end: datetime | None = None


def acquisition(
    name: str,
    tags: Tags,
    last_modified: datetime,
    *,
    bands: Sequence[Tags] = (),
    given: datetime | tuple[datetime, datetime] | None = None,
) -> Acquisition:
    """When the data were acquired.

    By the parameter, else tags that say when data were acquired (of the file and its bands), else a time in
    the blob's name, else the TIFF tag of the file's time, else the blob's last modification. The TIFF tag
    comes before the name only where both are of the same day, when it is the more precise of the two.
    """
    if given is not None:
        start, end = given if isinstance(given, tuple) else (given, given)
        return _of_span(start, end, "parameter", "datetime")
    for found in (_span(tags), _instant(tags), _grib(bands), _net_cdf(tags)):
        if found is not None:
            return found
    by_file = _parsed(tags, FILE_TIME)
    in_name = found_in_name(name, not_after=last_modified)
    if in_name is not None and not (
        by_file is not None and _is_day_of(in_name.start, by_file, in_name.day_only)
    ):
        return _of_span(in_name.start, in_name.end, "name", in_name.text)
    if by_file is not None:
        return _of_span(by_file, by_file, "metadata", FILE_TIME)
    return _of_span(last_modified, last_modified, "last_modified", "of the blob")


def _is_day_of(day: datetime, moment: datetime, day_only: bool) -> bool:
    return day_only and day.date() == moment.date()


def _of_span(start: datetime, end: datetime, source: TimeSource, detail: str) -> Acquisition:
    start, end = (
        (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC) for time in (start, end)
    )
    if start == end:
        return Acquisition(start, source, detail)
    start, end = min(start, end), max(start, end)
    return Acquisition(start, source, detail, start=start, end=end)


def _parsed(tags: Tags, key: str) -> datetime | None:
    value = tags.get(key)
    time = None if value is None else parsed(value)
    return time if time is not None and EPOCH_LIMITS[0] <= time <= EPOCH_LIMITS[1] else None


def _span(tags: Tags) -> Acquisition | None:
    for first, last in SPANS:
        start, end = _parsed(tags, first), _parsed(tags, last)
        if start is not None:
            return _of_span(start, end or start, "metadata", first)
    return None


def _instant(tags: Tags) -> Acquisition | None:
    for day, clock in PAIRS:
        if day in tags and clock in tags:
            moment = parsed(f"{tags[day].strip()}T{tags[clock].strip()}")
            if moment is not None:
                return _of_span(moment, moment, "metadata", f"{day}, {clock}")
    for key in INSTANTS:
        moment = _parsed(tags, key)
        if moment is not None:
            return _of_span(moment, moment, "metadata", key)
    return None


def _grib(bands: Sequence[Tags]) -> Acquisition | None:
    """The times for which GRIB messages are valid, else those of their analysis."""
    for key in ("GRIB_VALID_TIME", "GRIB_REF_TIME"):
        matches = [_GRIB_TIME.fullmatch(tags[key]) for tags in bands if key in tags]
        times = [time for match in matches if match for time in _after(_UNIX, float(match[1]))]
        if times:
            return _of_span(min(times), max(times), "metadata", key)
    return None


def _net_cdf(tags: Tags) -> Acquisition | None:
    """The values of a time axis in CF's units: "days since 2000-01-01"."""
    units = _CF_UNITS.match(tags.get("time#units", ""))
    values = tags.get("NETCDF_DIM_time_VALUES") or tags.get("NETCDF_DIM_time") or ""
    origin = parsed(units[2]) if units else None
    if units is None or origin is None:
        return None
    seconds = _CF_SECONDS[units[1][0].lower()]
    times = [t for number in _numbers(values) for t in _after(origin, number * seconds)]
    return _of_span(min(times), max(times), "metadata", "time#units") if times else None


_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


def _after(origin: datetime, seconds: float) -> Iterator[datetime]:
    """The moment so many seconds later, if it is plausible."""
    try:
        moment = origin + timedelta(seconds=seconds)
    except OverflowError:
        return
    if EPOCH_LIMITS[0] <= moment <= EPOCH_LIMITS[1]:
        yield moment


def _numbers(values: str) -> Iterator[float]:
    for text in values.strip("{}").split(",")[:MAX_TIMES]:
        try:
            yield float(text)
        except ValueError:
            continue
