"""Takes a sample each minute of what nobody else keeps: how long queues were, and how old their messages."""

from __future__ import annotations

import logging

from interfaces.errors import ServiceUnavailable
from interfaces.queues import QueueRepository
from interfaces.settings import Settings
from repositories.history import HistoryRepository, QueueSample

from .queue_states import state_of
from .redaction import describe

logger = logging.getLogger(__name__)


class History:
    """Any number may take samples at the same time: of each minute the first one is kept."""

    def __init__(self, settings: Settings, repository: HistoryRepository, queues: QueueRepository) -> None:
        self._names = {"jobs": settings.jobs_queue, "tasks": settings.tasks_queue}
        self._repository = repository
        self._queues = queues

    def sample(self) -> bool:
        """Write down how things are in this minute; false when that was done. Raises `ServiceUnavailable`.

        A queue that cannot be looked at is missing from the sample: what the database knows is kept all the
        same, and an outage of storage is seen as a gap.
        """
        samples = {kind: self._look(name) for kind, name in self._names.items()}
        return self._repository.add(jobs=samples["jobs"], tasks=samples["tasks"])

    def _look(self, name: str) -> QueueSample | None:
        try:
            queue, poison = state_of(self._queues, name), state_of(self._queues, f"{name}-poison")
        except ServiceUnavailable as error:
            logger.warning("queue %s: not sampled: %s", name, describe(error))
            return None
        return QueueSample(queue.messages, queue.oldest_seconds, poison.messages)
