"""Past-due timers: the WebJobs SDK's `ScheduleMonitor.CheckPastDueAsync`.

https://learn.microsoft.com/azure/azure-functions/functions-bindings-timer#usage
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from local.functions_host.schedule import parse_schedule
from local.functions_host.schedule_monitor import NEVER, ScheduleStatus, check_past_due
from local.functions_host.timer_listener import is_monitored

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOURLY = parse_schedule("0 0 * * * *")


def test_a_timer_never_seen_is_not_past_due_and_its_first_occurrence_is_recorded() -> None:
    startup = check_past_due(HOURLY, None, NOON)
    assert (startup.past_due, startup.changed) == (False, True)
    assert startup.status == ScheduleStatus(last=NEVER, next=NOON + HOUR, last_updated=NOON)


def test_a_timer_whose_recorded_occurrence_went_by_is_past_due() -> None:
    recorded = ScheduleStatus(last=NOON, next=NOON + HOUR, last_updated=NOON)
    startup = check_past_due(HOURLY, recorded, NOON + HOUR * 2)
    assert startup.past_due
    assert startup.status.next == NOON + HOUR


def test_a_timer_that_missed_nothing_is_not_past_due() -> None:
    recorded = ScheduleStatus(last=NOON, next=NOON + HOUR, last_updated=NOON)
    startup = check_past_due(HOURLY, recorded, NOON + HOUR / 2)
    assert (startup.past_due, startup.changed) == (False, False)


def test_a_changed_schedule_is_not_past_due_for_an_occurrence_of_its_past() -> None:
    recorded = ScheduleStatus(last=NOON, next=NOON + HOUR, last_updated=NOON)
    startup = check_past_due(parse_schedule("0 */10 * * * *"), recorded, NOON + HOUR * 2 + HOUR / 12)
    assert (startup.past_due, startup.changed) == (False, True)
    assert startup.status.next == NOON + HOUR * 2 + HOUR / 6


def test_a_status_survives_its_text() -> None:
    status = ScheduleStatus(last=NEVER, next=NOON + HOUR, last_updated=NOON)
    assert ScheduleStatus.from_dict(status.as_dict()) == status


def test_schedules_that_recur_within_a_minute_are_not_monitored() -> None:
    assert is_monitored(HOURLY, True, NOON)
    assert is_monitored(parse_schedule("0 * * * * *"), True, NOON)
    assert not is_monitored(parse_schedule("*/30 * * * * *"), True, NOON)
    assert not is_monitored(HOURLY, False, NOON)
