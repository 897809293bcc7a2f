"""So many bytes of something for all tasks of a process: who asks for too much waits, in order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from interfaces.errors import PermanentTaskError

WAKE_SECONDS = 0.25
"""Between two looks whether there is still a point in waiting."""


def size_text(size: float) -> str:
    """Bytes as a person reads them, such as 1.5 GiB."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB")
    place = 0
    while size >= 1024 and place < len(units) - 1:
        size, place = size / 1024, place + 1
    return f"{size:.0f} {units[0]}" if place == 0 else f"{size:.1f} {units[place]}"


class Budget:
    """Reservations of at most `limit_bytes` together. Thread-safe, and fair: first come, first served."""

    def __init__(self, limit_bytes: int, of: str) -> None:
        self.limit_bytes = limit_bytes
        self._of = of
        self._condition = threading.Condition()
        self._reserved = 0
        self._waiting: deque[object] = deque()

    @property
    def reserved_bytes(self) -> int:
        """What is reserved now."""
        with self._condition:
            return self._reserved

    @contextmanager
    def reserve(self, size: int, check: Callable[[], None]) -> Iterator[None]:
        """Hold `size` bytes while the block runs, once they are free and everybody before was served.

        `check` is called while waiting, and ends it by raising. Raises `PermanentTaskError` at once for more
        than there ever is.
        """
        if size > self.limit_bytes:
            raise PermanentTaskError(
                f"needs {size_text(size)} of {self._of}, and {size_text(self.limit_bytes)} are allowed"
            )
        self._take(size, check)
        try:
            yield
        finally:
            with self._condition:
                self._reserved -= size
                self._condition.notify_all()

    def _take(self, size: int, check: Callable[[], None]) -> None:
        ticket = object()
        with self._condition:
            self._waiting.append(ticket)
        try:
            while True:
                # Without the lock: it is somebody else's code.
                check()
                with self._condition:
                    if self._free_for(ticket, size) or (
                        self._condition.wait(WAKE_SECONDS) and self._free_for(ticket, size)
                    ):
                        self._reserved += size
                        return
        finally:
            with self._condition:
                self._waiting.remove(ticket)
                self._condition.notify_all()

    def _free_for(self, ticket: object, size: int) -> bool:
        return self._waiting[0] is ticket and self._reserved + size <= self.limit_bytes
