"""How many tasks one message carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from interfaces.plans import FanOut
from interfaces.settings import Settings
from interfaces.workflows import TaskDefinition

MESSAGE_SECONDS = 0.05
"""A message costs about so much of everybody's time: tasks that take less together travel together."""
LONG_SECONDS = 1.0
MESSAGES_EACH = 4
"""Messages for each task that can run at once, so that nobody waits for the slowest batch."""


@dataclass(frozen=True)
class Batching:
    """The sizes of one stage's batches (docs/adr/0002).

    `expected_seconds` is what one task is likely to take, `parallelism` how many can run at once.
    """

    max_batch: int
    expected_seconds: float
    parallelism: int
    run_at_once_seconds: float = 0.0

    @classmethod
    def of(cls, definition: TaskDefinition[Any], fan_out: FanOut, settings: Settings) -> Batching:
        """From what the task type declares, unless the plan knows better."""
        expected = fan_out.expected_seconds
        return cls(
            definition.max_batch,
            definition.expected_duration.total_seconds() if expected is None else expected,
            settings.batch_parallelism,
            settings.run_at_once_seconds,
        )

    def size(self, task_count: int) -> int:
        """The batch size of a stage of this many tasks.

        Long tasks travel alone. Others share messages as far as there are many more than can run at
        once, and tasks of a few milliseconds as far as makes a message worth its journey.
        """
        if self.expected_seconds >= LONG_SECONDS:
            return 1
        share = -(-task_count // (self.parallelism * MESSAGES_EACH)) if task_count > self.parallelism else 1
        worthwhile = int(MESSAGE_SECONDS / max(self.expected_seconds, 1e-6))
        return max(1, min(self.max_batch, max(share, worthwhile)))

    def run_at_once(self, task_count: int) -> bool:
        """Whether a stage of this many tasks is done before a message would have arrived (docs/adr/0003)."""
        brief = task_count * self.expected_seconds < self.run_at_once_seconds
        return brief and task_count <= self.size(task_count)
