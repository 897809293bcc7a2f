"""Dates as files write them, and what is none.

Of a text that is no date GDAL makes 1970-01-01, or null, and of February 30th the first of March, all without
a word.
"""

from __future__ import annotations

import re
from datetime import date

from interfaces.layers import ColumnType

KINDS: frozenset[ColumnType] = frozenset({"date", "timestamp", "timestamptz"})
TYPES = frozenset({"DATE", "DATETIME", "TIMESTAMP"})
"""As SQLite's tables declare them."""
WRITTEN = re.compile(
    r"\s*(\d{4})[-/](\d\d)[-/](\d\d)"
    r"(?:[T ](?P<time>(?:[01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d*)?)?))?"
    r"\s*(?:Z|[+-]\d\d(?::?(?:00|15|30|45))?)?\s*"
)
"""What GDAL reads rightly: zones are quarters of an hour there."""
CLOCK = re.compile(r"(?!23:59:59\.999(49|[5-9]))([01]\d|2[0-3]):[0-5]\d(:[0-5]\d(\.\d*)?)?")
"""Times of a day that GDAL reads rightly: of what is nearly the next one it makes the day's begin."""
NEARLY_ONE = re.compile(r"\.999(49|[5-9])")
"""Fractions of a second that are nearly one, of which GDAL makes 0, in times of a GeoPackage."""
DAY = re.compile(r"\s*(\d{4})[-/](\d\d)[-/](\d\d)")


def is_no_day(text: str) -> bool:
    """Whether it begins with a day that no calendar has, of which GDAL makes one of the next month."""
    written = DAY.match(text)
    if written is None:
        return False
    try:
        date(*map(int, written.groups()))
    except ValueError:
        return True
    return False


def is_date(text: str) -> bool:
    """Whether it is a date, or a time of one, that GDAL reads rightly."""
    written = WRITTEN.fullmatch(text)
    if written is None:
        return False
    try:
        date(*map(int, written.groups()[:3]))
    except ValueError:
        return False
    return True


def has_time(text: str) -> bool:
    """Whether a date has a time of day too, other than midnight."""
    written = WRITTEN.fullmatch(text)
    return written is not None and re.search("[1-9]", written["time"] or "") is not None
