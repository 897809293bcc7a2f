"""Wakes the listener of a queue when a function of the same process adds a message to it.

The WebJobs SDK's `SharedQueueWatcher`: an output binding or a move to a poison queue notifies the listeners
of that queue, which then poll without waiting for the end of their back-off. Other instances are not
notified.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable


class QueueWatcher:
    """Calls back by queue name. Belongs to one event loop."""

    def __init__(self) -> None:
        self._listeners: defaultdict[str, list[Callable[[], None]]] = defaultdict(list)

    def register(self, queue_name: str, wake: Callable[[], None]) -> None:
        """Call `wake` on each message added to the queue by this process."""
        self._listeners[queue_name].append(wake)

    def notify(self, queue_name: str) -> None:
        """A message was added to the queue."""
        for wake in self._listeners.get(queue_name, ()):
            wake()
