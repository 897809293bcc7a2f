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
