"""When a timer is due: NCRONTAB expressions and TimeSpans, in UTC.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Protocol

from croniter import CroniterError, croniter

from local.functions_host.errors import HostConfigurationError
from local.functions_host.timespan import parse_timespan

# (name, least, most, whether names such as MON are understood), in the order of the six fields
_FIELDS = (
    ("second", 0, 59, False),
    ("minute", 0, 59, False),
    ("hour", 0, 23, False),
    ("day", 1, 31, False),
    ("month", 1, 12, True),
    ("day of week", 0, 6, True),
)
_FIELD = re.compile(r"^[0-9A-Za-z*,/-]+$")


class Schedule(Protocol):
    """Names the occurrences of a timer."""

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence later than `moment`."""
        ...


class CronSchedule:
    """An NCRONTAB expression `{second} {minute} {hour} {day} {month} {day-of-week}`.

    Five fields have no seconds. Day and day of week must both fit, as in the NCrontab library and unlike in
    Unix cron.
    """

    def __init__(self, expression: str) -> None:
        fields = expression.split()
        if len(fields) == 5:
            fields.insert(0, "0")
        for field, limits in zip(fields, _FIELDS, strict=True):
            _check_field(expression, field, *limits)
        self._expression = " ".join(fields)
        try:
            self._iterator(datetime(2000, 1, 1, tzinfo=UTC))
        except CroniterError as error:
            raise HostConfigurationError(f"schedule {expression!r}: {error}") from error

    def next_after(self, moment: datetime) -> datetime:
        """Return the first occurrence later than `moment`."""
        occurrence: datetime = self._iterator(moment).get_next(datetime)
        return occurrence

    def _iterator(self, start: datetime) -> croniter:
        return croniter(self._expression, start, day_or=False, second_at_beginning=True)


class ConstantSchedule:
    """A TimeSpan: the same time between occurrences, `24:00:00` being 24 days as in .NET."""

    def __init__(self, interval: timedelta) -> None:
        if interval <= timedelta(0):
            raise HostConfigurationError("a timer's interval must be positive")
        self._interval = interval

    def next_after(self, moment: datetime) -> datetime:
        """Return `moment` plus the interval."""
        return moment + self._interval


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that a timer trigger's `schedule` property names.

    Raises:
        HostConfigurationError: it is neither an NCRONTAB expression nor a TimeSpan.
    """
    if len(text.split()) in (5, 6):
        return CronSchedule(text)
    try:
        return ConstantSchedule(parse_timespan(text))
    except HostConfigurationError as error:
        raise HostConfigurationError(
            f"schedule {text!r}: is neither a valid NCRONTAB expression nor a TimeSpan"
        ) from error


def _check_field(expression: str, field: str, name: str, least: int, most: int, named: bool) -> None:
    """Refuse what croniter takes and NCrontab does not."""
    fits = _FIELD.match(field) is not None and all(
        least <= int(number) <= most for number in re.findall(r"(?<!/)\b\d+\b", field)
    )
    words = re.findall("[A-Za-z]+", field)
    if not fits or (words and not named) or any(len(word) < 3 for word in words):
        raise HostConfigurationError(f"schedule {expression!r}: {field!r} is not a valid {name}")
