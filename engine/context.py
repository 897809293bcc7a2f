"""What a handler may ask of the engine while it runs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from pydantic import JsonValue

from interfaces.workflows import TaskContext
from repositories.tasks import TaskRepository

from . import scratch_blobs
from .leases import Held


class RunningTask(TaskContext):
    """The context of one attempt."""

    def __init__(self, held: Held, tasks: TaskRepository, correlation_id: str, page: int) -> None:
        task = held.task
        self.job_id = task.job_id
        self.run = task.run
        self.stage = task.stage
        self.task_index = task.task_index
        self.attempt = task.attempt
        self.fence = task.fence
        self.correlation_id = correlation_id
        self._held = held
        self._tasks = tasks
        self._page = page
        self._discovered = 0

    def discover(self, items: Iterable[Mapping[str, JsonValue]]) -> int:
        """Store the items a page at a time, under this attempt's fence."""
        count = 0
        remaining = iter(items)
        while page := list(itertools.islice(remaining, self._page)):
            self.check()
            self._tasks.add_items(self._held.task, self._discovered, page)
            self._discovered += len(page)
            count += len(page)
        return count

    def scratch_name(self, suffix: str) -> str:
        """Below the run, so that all of it can be found when the run has ended."""
        return scratch_blobs.name(self.job_id, self.run, self.stage, self.task_index, self.fence, suffix)

    def check(self) -> None:
        """Raise when there is no point in going on."""
        self._held.check()
