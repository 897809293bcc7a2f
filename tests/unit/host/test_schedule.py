"""Schedules of timer triggers.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#ncrontab-expressions
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from local.functions_host.errors import HostConfigurationError
from local.functions_host.schedule import parse_schedule


def occurrences(expression: str, start: str, count: int) -> list[str]:
    schedule, moment = parse_schedule(expression), datetime.fromisoformat(start).replace(tzinfo=UTC)
    found = []
    for _ in range(count):
        moment = schedule.next_after(moment)
        found.append(moment.strftime("%Y-%m-%dT%H:%M:%S"))
    return found


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 */5 * * * *", ["2024-01-01T00:05:00", "2024-01-01T00:10:00"]),
        ("0 0 * * * *", ["2024-01-01T01:00:00", "2024-01-01T02:00:00"]),
        ("0 0 */2 * * *", ["2024-01-01T02:00:00", "2024-01-01T04:00:00"]),
        ("0 0 9-17 * * *", ["2024-01-01T09:00:00", "2024-01-01T10:00:00"]),
        ("0 30 9 * * *", ["2024-01-01T09:30:00", "2024-01-02T09:30:00"]),
        ("0 30 9 * * 1-5", ["2024-01-01T09:30:00", "2024-01-02T09:30:00"]),
        ("0 30 9 * Jan Mon", ["2024-01-01T09:30:00", "2024-01-08T09:30:00"]),
        ("*/10 * * * * *", ["2024-01-01T00:00:10", "2024-01-01T00:00:20"]),
        ("5,8,10 * * * * *", ["2024-01-01T00:00:05", "2024-01-01T00:00:08"]),
    ],
)
def test_the_documented_examples_begin_with_the_seconds(expression: str, expected: list[str]) -> None:
    assert occurrences(expression, "2024-01-01", 2) == expected


def test_five_fields_have_no_seconds() -> None:
    assert occurrences("30 9 * * *", "2024-01-01", 1) == ["2024-01-01T09:30:00"]


def test_day_and_day_of_week_must_both_fit() -> None:
    """NCrontab looks for a Friday the 13th; Unix cron would take any of them."""
    assert occurrences("0 0 0 13 * 5", "2024-01-01", 1) == ["2024-09-13T00:00:00"]


def test_a_timespan_is_the_time_between_occurrences() -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    assert parse_schedule("01:30:00").next_after(start) == start + timedelta(minutes=90)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "often",
        "* * * *",
        "60 * * * * *",
        "0 0 24 * * *",
        "0 0 0 L * *",
        "0 0 0 ? * *",
        "0 0 0 * * 7",
        "0 0 0 * * M",
    ],
)
def test_what_ncrontab_does_not_know_is_refused(expression: str) -> None:
    with pytest.raises(HostConfigurationError):
        parse_schedule(expression)
