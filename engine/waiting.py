"""The stages of which this process knows that they wait for something that fails."""

from __future__ import annotations

from threading import Lock
from time import monotonic

from interfaces.jobs import ClaimedTask
from interfaces.queues import TaskMessage

Stage = tuple[str, int, int]


class WaitingStages:
    """Stages whose tasks were put off a moment ago. Any number of threads.

    Their other messages are put off unopened: claiming thousands of tasks at each try only to find that
    storage is still away would keep a process from all other work. One that comes after the time finds out.
    """

    def __init__(self) -> None:
        self._until: dict[Stage, float] = {}
        self._lock = Lock()

    def put_off(self, task: ClaimedTask, seconds: float) -> None:
        """What this task depends on is not called for so long."""
        now = monotonic()
        with self._lock:
            if len(self._until) > 1000:
                self._until = {stage: until for stage, until in self._until.items() if until > now}
            self._until[task.job_id, task.run, task.stage] = now + seconds

    def remaining(self, message: TaskMessage) -> float:
        """Seconds that the stage of this message is to be left alone; 0 for most."""
        if not self._until:
            return 0.0
        with self._lock:
            until = self._until.get((message.job_id, message.run, message.stage), 0.0)
        return max(until - monotonic(), 0.0)
