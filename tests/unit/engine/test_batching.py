"""How many tasks a message carries, by stage size and expected duration."""

from __future__ import annotations

import pytest

from engine.batching import Batching


@pytest.mark.parametrize(
    ("tasks", "expected_seconds", "max_batch", "size"),
    [
        (1, 0.001, 100, 50),
        (30, 0.001, 100, 50),
        (30, 0.05, 100, 1),
        (32, 0.2, 100, 1),
        (1000, 0.2, 100, 8),
        (10_000, 0.001, 100, 79),
        (100_000, 0.001, 100, 100),
        (1_000_000, 1.0, 100, 1),
        (1_000_000, 0.5, 1, 1),
        (0, 0.001, 100, 50),
        (10, 0.0, 100, 100),
    ],
)
def test_brief_tasks_share_messages_and_long_ones_travel_alone(
    tasks: int, expected_seconds: float, max_batch: int, size: int
) -> None:
    assert Batching(max_batch, expected_seconds, parallelism=32).size(tasks) == size


@pytest.mark.parametrize(
    ("tasks", "expected_seconds", "max_batch", "at_once"),
    [
        (1, 0.001, 100, True),
        (50, 0.001, 100, True),
        (101, 0.001, 100, False),
        (1, 0.4, 1, True),
        (2, 0.4, 1, False),
        (1, 0.5, 1, False),
        (1, 3600.0, 1, False),
        (0, 0.0, 100, True),
    ],
)
def test_a_brief_stage_of_one_message_runs_where_it_was_planned(
    tasks: int, expected_seconds: float, max_batch: int, at_once: bool
) -> None:
    batching = Batching(max_batch, expected_seconds, parallelism=32, run_at_once_seconds=0.5)
    assert batching.run_at_once(tasks) is at_once


def test_no_stage_runs_where_it_was_planned_when_that_is_switched_off() -> None:
    assert not Batching(100, 0.0, parallelism=32, run_at_once_seconds=0).run_at_once(1)
