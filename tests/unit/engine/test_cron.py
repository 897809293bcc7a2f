"""Ticks in a time zone: also where the clock is changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cron import BadSchedule, Cron

BERLIN = ZoneInfo("Europe/Berlin")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "following"),
    [
        ("0 2 * * *", "UTC", "2026-11-26T02:00:00", "2026-11-27T02:00:00"),
        ("0 2 * * *", "Europe/Berlin", "2026-11-26T00:59:59", "2026-11-26T01:00:00"),
        ("*/15 * * * *", "Asia/Kathmandu", "2026-11-26T00:00:00", "2026-11-26T00:15:00"),
        # Spring: 02:30 is left out, and comes at 03:00. Autumn: it is there twice, and comes once.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00", "2026-03-29T01:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00", "2026-10-25T00:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
        # Every hour is every hour.
        ("0 * * * *", "Europe/Berlin", "2026-10-25T00:00:00", "2026-10-25T01:00:00"),
        ("0 12 29 2 *", "UTC", "2026-01-01T00:00:00", "2028-02-29T12:00:00"),
        ("0 0 * * MON", "UTC", "2026-11-26T00:00:00", "2026-11-30T00:00:00"),
    ],
)
def test_the_next_tick_comes_by_the_clock_of_its_zone(
    cron: str, zone: str, after: str, following: str
) -> None:
    assert Cron(cron, zone).following(utc(after)) == utc(following)


@pytest.mark.parametrize(
    ("until", "last"),
    [
        ("2026-11-26T02:00:00", "2026-11-26T02:00:00"),
        ("2026-11-26T02:00:00.000001", "2026-11-26T02:00:00"),
        ("2026-11-26T01:59:59.999999", "2026-11-25T02:00:00"),
    ],
)
def test_the_last_tick_is_the_one_that_has_come(until: str, last: str) -> None:
    assert Cron("0 2 * * *", "UTC").last(utc(until)) == utc(last)


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("0 2 * *", "UTC", "cron"),
        ("0 0 2 * * *", "UTC", "cron"),
        ("@daily", "UTC", "cron"),
        ("60 2 * * *", "UTC", "cron"),
        ("a b c d e", "UTC", "cron"),
        ("0 2 30 2 *", "UTC", "cron"),
        ("0 2 * * *", "Europe/Atlantis", "time_zone"),
        ("0 2 * * *", "../../etc/passwd", "time_zone"),
        ("0 2 * * *", "", "time_zone"),
    ],
)
def test_what_is_no_schedule_is_refused_by_field(cron: str, zone: str, field: str) -> None:
    with pytest.raises(BadSchedule) as raised:
        Cron(cron, zone)
    assert raised.value.field == field


@given(
    st.integers(0, 2 * 365 * 86_400 * 1000),
    st.sampled_from(["*/5 * * * *", "30 2 * * *", "0 3 * * 0", "15 1-3 * * *", "0 */2 1 * *"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe"]),
)
def test_ticks_only_move_forward_and_none_lies_between_the_last_and_the_next(
    milliseconds: int, expression: str, zone: str
) -> None:
    cron, now = Cron(expression, zone), utc("2026-01-01T00:00:00") + timedelta(milliseconds=milliseconds)
    following, last = cron.following(now), cron.last(now)
    assert last <= now < following
    assert cron.following(following) > following
    assert cron.following(now + timedelta(microseconds=1)) >= following
