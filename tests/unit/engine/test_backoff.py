"""The wait before the next attempt: exponential, capped, and anywhere below (full jitter)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.delays import backoff, deferral
from interfaces.workflows import RetryPolicy

POLICY = RetryPolicy(base_delay=timedelta(seconds=2), max_delay=timedelta(seconds=60))


@given(st.integers(1, 10), st.integers(0, 1000), st.integers(0, 100_000))
def test_a_wait_is_never_negative_and_never_beyond_its_ceiling(attempt: int, base: int, longest: int) -> None:
    policy = RetryPolicy(base_delay=timedelta(milliseconds=base), max_delay=timedelta(milliseconds=longest))
    ceiling = min(longest, base * 2 ** (attempt - 1)) / 1000
    assert 0 <= backoff(policy, attempt) <= ceiling + 1e-9


@pytest.mark.parametrize(("attempt", "ceiling"), [(1, 2), (2, 4), (3, 8), (5, 32), (6, 60), (30, 60)])
def test_the_ceiling_doubles_with_each_attempt_up_to_the_cap(
    attempt: int, ceiling: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        asked.append((low, high))
        return high

    monkeypatch.setattr("random.uniform", uniform)
    assert backoff(POLICY, attempt) == ceiling
    assert asked == [(0, ceiling)]


def test_waits_are_spread_over_the_whole_range() -> None:
    waits = [backoff(POLICY, 6) for _ in range(600)]
    for low in range(0, 60, 10):
        assert any(low <= wait < low + 10 for wait in waits)
    assert 24 < sum(waits) / len(waits) < 36


@pytest.mark.parametrize("attempt", [1, 1000, 32767])
def test_the_largest_attempt_of_a_task_has_a_wait(attempt: int) -> None:
    assert 0 <= backoff(POLICY, attempt) <= 60


def test_a_policy_without_delay_does_not_wait() -> None:
    assert backoff(RetryPolicy(base_delay=timedelta(0)), 5) == 0


@given(st.floats(0, 3600), st.floats(0.1, 3600), st.floats(0, 1))
def test_what_is_put_off_returns_after_the_next_try_and_within_half_a_pause_of_it(
    retry_after: float, pause: float, spread: float
) -> None:
    delay = deferral(retry_after, pause, spread)
    assert retry_after <= delay < retry_after + pause / 2 + 1
    assert delay == int(delay), "queues count whole seconds"
