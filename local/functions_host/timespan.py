"""The .NET TimeSpan texts that host.json and timer schedules use."""

from __future__ import annotations

import re
from datetime import timedelta

from local.functions_host.errors import HostConfigurationError

_TIMESPAN = re.compile(
    r"^(?P<sign>-)?(?:(?P<days>\d+)[.:])??(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})"
    r"(?::(?P<seconds>\d{1,2})(?:\.(?P<fraction>\d{1,7}))?)?$"
)
_DAYS_FIRST = re.compile(r"^(?P<days>\d+):(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})$")


def parse_timespan(text: str) -> timedelta:
    """Return the duration that a TimeSpan text names.

    The format is `hh:mm:ss` while hh is less than 24, else `dd:hh:mm`; `d.hh:mm:ss` and `dd:hh:mm:ss` name
    days, and a plain number is days
    (https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#timespan).

    Raises:
        HostConfigurationError: the text is not a TimeSpan.
    """
    text = text.strip()
    if re.fullmatch(r"\d+", text):
        return timedelta(days=int(text))
    days_first = _DAYS_FIRST.match(text)
    match = days_first if days_first and int(days_first["days"]) > 23 else _TIMESPAN.match(text)
    if match is None:
        raise HostConfigurationError(f"{text!r} is not a TimeSpan: write it as hh:mm:ss or d.hh:mm:ss")
    parts = match.groupdict()
    hours, minutes, seconds = (int(parts.get(name) or 0) for name in ("hours", "minutes", "seconds"))
    if hours > 23 or minutes > 59 or seconds > 59:
        raise HostConfigurationError(f"{text!r} is not a TimeSpan: a part is out of its range")
    duration = timedelta(
        days=int(parts.get("days") or 0),
        hours=hours,
        minutes=minutes,
        seconds=seconds,
        microseconds=int((parts.get("fraction") or "0").ljust(7, "0")) // 10,
    )
    return -duration if parts.get("sign") else duration
