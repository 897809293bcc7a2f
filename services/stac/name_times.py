"""Times in the names of files, such as 20150710T101112, 2015-07-10, A2015191; and in texts of tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
AHEAD = timedelta(days=366)
"""A name may speak of the future: forecasts do."""
SENSING = timedelta(days=1)
"""Two moments in a name that are no further apart are beginning and end; else the second is of processing."""

_CLOCK = (
    r"(?:[T_ -]?(?P<h>[01]\d|2[0-3])(?P<sep>[:.-]?)(?P<mi>[0-5]\d)"
    r"(?:(?P=sep)(?P<s>[0-5]\d)(?:\.\d+)?)?Z?(?!\d))?"
)
_STAMP = re.compile(
    r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])" + _CLOCK + r"(?!\d)"
)
_DASHED = re.compile(
    r"(?<!\d)(?P<y>(?:19|20)\d\d)(?P<dash>[-_./])(?P<m>0?[1-9]|1[0-2])(?P=dash)(?P<d>0?[1-9]|[12]\d|3[01])(?!\d)"
    + _CLOCK
)
_DAY_OF_YEAR = re.compile(r"(?<!\d)(?P<y>(?:19|20)\d\d)[-_.]?(?P<doy>[0-3]\d\d)(?!\d)")
_MONTH = re.compile(r"(?<![\d-])(?P<y>(?:19|20)\d\d)-(?P<m>0[1-9]|1[0-2])(?![\d-])")
_TO = re.compile(r"(?:_|-|--|_to_|-to-|_-_)")
_TEXT = re.compile(
    r"(?P<y>\d{4})[:/-](?P<m>\d\d?)[:/-](?P<d>\d\d?)(?:[ T]+(?P<clock>\d\d?:\d\d(?::\d\d(?:\.\d+)?)?)\s*"
    r"(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?)?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class NamedTime:
    """A time found in a name: `text` is where. `day_only`: the time of day is not known."""

    start: datetime
    end: datetime
    text: str
    day_only: bool


@dataclass(frozen=True)
class _Found:
    at: tuple[int, int]
    time: datetime
    day_only: bool


def found_in_name(name: str, *, not_after: datetime) -> NamedTime | None:
    """The time that a blob's name speaks of, the last part of the path first; None if of none.

    Numbers that are parts of longer ones are no times, nor are those before 1900 or more than a year after
    `not_after`. Of several, the first is taken; a second one is the end when a dash joins two days to a
    range, or when both have a time of day and are less than a day apart.
    """
    folder, _, last = name.rpartition("/")
    for text in (last, f"{folder}/" if folder else ""):
        for pattern in (_STAMP, _DASHED, _DAY_OF_YEAR):
            found = sorted(_all(pattern, text, not_after + AHEAD), key=lambda one: one.at)
            if found:
                return _named(text, found)
        month = _month(text, not_after + AHEAD)
        if month is not None:
            return month
    return None


def _all(pattern: re.Pattern[str], text: str, latest: datetime) -> Iterator[_Found]:
    for match in pattern.finditer(text):
        time = _time(match.groupdict())
        if time is not None and EARLIEST <= time <= latest:
            yield _Found(match.span(), time, not match.groupdict().get("h"))


def _time(part: dict[str, str | None]) -> datetime | None:
    numbers = {key: int(value) for key, value in part.items() if value and value.isdecimal()}
    try:
        if "doy" in numbers:
            day = datetime(numbers["y"], 1, 1, tzinfo=UTC) + timedelta(days=numbers["doy"] - 1)
            return day if day.year == numbers["y"] and numbers["doy"] > 0 else None
        return datetime(
            numbers["y"],
            numbers["m"],
            numbers["d"],
            numbers.get("h", 0),
            numbers.get("mi", 0),
            numbers.get("s", 0),
            tzinfo=UTC,
        )
    except ValueError:
        return None


def _named(text: str, found: list[_Found]) -> NamedTime:
    first = found[0]
    if len(found) > 1:
        second = found[1]
        joint = text[first.at[1] : second.at[0]]
        moments = not first.day_only and not second.day_only
        seen = moments and _TO.fullmatch(joint) and timedelta() <= second.time - first.time <= SENSING
        days = first.day_only and second.day_only and "-" in joint and _TO.fullmatch(joint)
        if (seen or days or (joint == "_to_")) and second.time > first.time:
            # A range of days reaches to the end of its last one.
            end = second.time + (timedelta(days=1, seconds=-1) if second.day_only else timedelta())
            return NamedTime(first.time, end, text[first.at[0] : second.at[1]], day_only=False)
    return NamedTime(first.time, first.time, text[slice(*first.at)], first.day_only)


def _month(text: str, latest: datetime) -> NamedTime | None:
    for match in _MONTH.finditer(text):
        start = datetime(int(match["y"]), int(match["m"]), 1, tzinfo=UTC)
        following = (start + timedelta(days=32)).replace(day=1)
        if EARLIEST <= start <= latest:
            return NamedTime(start, following - timedelta(seconds=1), match[0], day_only=False)
    return None


def parsed(text: str) -> datetime | None:
    """The time that a tag's text begins with, in UTC unless it names a zone; None if it is none."""
    text = text.strip().strip('"')
    match = _TEXT.match(text)
    if match is None:
        found = next(_all(_STAMP, text, datetime(9000, 1, 1, tzinfo=UTC)), None)
        return None if found is None or found.at[0] != 0 else found.time
    zone = (match["zone"] or "Z").upper().replace("UTC", "Z").replace("GMT", "Z")
    clock = match["clock"] or "00:00"
    try:
        return datetime.fromisoformat(
            f"{match['y']}-{match['m']:0>2}-{match['d']:0>2}T{clock:0>5}{zone}"
        ).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
