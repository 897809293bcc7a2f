"""Turns at something of which there is little: first come, first served."""

from __future__ import annotations

from collections import deque
from threading import Event, Lock


class Turns:
    """So many at a time. Thread-safe.

    Who gives a turn back gives it to whoever waits longest: a thread that takes one after the other does not
    keep the rest waiting, as it would with a semaphore.
    """

    def __init__(self, most: int) -> None:
        self._free = most
        self._waiting: deque[Event] = deque()
        self._lock = Lock()

    def take(self, seconds: float) -> bool:
        """Whether a turn came within so many seconds; it is to be given back."""
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return True
            mine = Event()
            self._waiting.append(mine)
        came = False
        try:
            came = mine.wait(seconds)
        finally:
            if not came:
                came = not self._left(mine)
        return came

    def _left(self, mine: Event) -> bool:
        """Leave the line, unless the turn came just then."""
        with self._lock:
            if mine.is_set():
                return False
            self._waiting.remove(mine)
            return True

    def give_back(self) -> None:
        """To the next in line."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1
