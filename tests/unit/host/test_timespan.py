"""TimeSpan texts.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#timespan
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from local.functions_host.errors import HostConfigurationError
from local.functions_host.timespan import parse_timespan


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:10", timedelta(seconds=10)),
        ("01:00:00", timedelta(hours=1)),
        ("00:00:00.1000000", timedelta(milliseconds=100)),
        ("1.00:00:00", timedelta(days=1)),
        ("00:05", timedelta(minutes=5)),
        ("2", timedelta(days=2)),
    ],
)
def test_a_timespan_is_hours_minutes_seconds_with_optional_days(text: str, expected: timedelta) -> None:
    assert parse_timespan(text) == expected


@pytest.mark.parametrize(("text", "days"), [("24:00:00", 24), ("25:00:00:00", 25)])
def test_a_first_number_of_24_or_more_is_days(text: str, days: int) -> None:
    assert parse_timespan(text) == timedelta(days=days)


@pytest.mark.parametrize("text", ["", "soon", "00:61:00", "00:00:99", "1:2:3:4:5"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(HostConfigurationError, match="is not a TimeSpan"):
        parse_timespan(text)
