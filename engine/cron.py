"""When a schedule ticks: crontab(5) in a time zone.

Across changes of the clock it goes as Debian's cron(8) does: a time of day that is left out comes right after
the change, one that there is twice comes once, and `*` hours follow the real time.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

if TYPE_CHECKING:
    from cronsim import CronSim

FIELDS = 5
SECOND = timedelta(seconds=1)


class BadSchedule(ValueError):
    """What is wrong with a schedule; `field` is `cron` or `time_zone`."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class Cron:
    """The ticks of an expression. Raises `BadSchedule`."""

    def __init__(self, expression: str, time_zone: str) -> None:
        self._expression = expression
        try:
            self.zone = ZoneInfo(time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise BadSchedule("time_zone", "is not the name of a time zone, such as Europe/Berlin") from None
        if len(expression.split()) != FIELDS:
            raise BadSchedule("cron", "must have five fields: minute, hour, day of month, month, day of week")
        # What can be read can still never come, as 30 February.
        self.following(datetime(2024, 1, 1, tzinfo=self.zone))

    def following(self, after: datetime) -> datetime:
        """The first tick after a time."""
        return self._first(after, reverse=False)

    def last(self, until: datetime) -> datetime:
        """The last tick up to a time, and at it."""
        return self._first(until.replace(microsecond=0) + SECOND, reverse=True)

    def _first(self, moment: datetime, *, reverse: bool) -> datetime:
        from cronsim import CronSim, CronSimError

        try:
            ticks: CronSim = CronSim(self._expression, moment.astimezone(self.zone), reverse=reverse)
            # In UTC: times of which a zone has two are equal to none of another zone (PEP 495).
            return next(ticks).astimezone(UTC)
        except CronSimError as error:
            raise BadSchedule("cron", str(error)) from None
        except (StopIteration, OverflowError):
            raise BadSchedule("cron", "never comes") from None
