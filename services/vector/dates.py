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
    r"(?:[T ]([01]\d|2[0-3]):[0-5]\d(?::(?:[0-5]\d|60)(?:\.\d*)?)?)?\s*(?:Z|[+-]\d\d(?::?\d\d)?)?\s*"
)
"""What GDAL reads rightly."""
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
