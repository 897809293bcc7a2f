"""Counts what one attempt asks of blob storage, whichever thread of its own it is in."""

from __future__ import annotations

from contextvars import ContextVar, Token
from threading import Lock


class StorageTally:
    """Requests to blob storage, and the bytes that went there and back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.operations = 0
        self.bytes_read = 0
        self.bytes_written = 0

    def add(self, operations: int, bytes_read: int, bytes_written: int) -> None:
        """Count."""
        with self._lock:
            self.operations += operations
            self.bytes_read += bytes_read
            self.bytes_written += bytes_written


_current: ContextVar[StorageTally | None] = ContextVar("storage_tally", default=None)


def begin() -> tuple[StorageTally, Token[StorageTally | None]]:
    """Count what is asked of blob storage in this context, until `end` is called in it."""
    tally = StorageTally()
    return tally, _current.set(tally)


def end(token: Token[StorageTally | None]) -> None:
    """Whoever counted before counts again."""
    _current.reset(token)


def count(*, operations: int = 0, read: int = 0, written: int = 0) -> None:
    """Count for whoever counts in this context. Threads that a handler starts have none of it."""
    tally = _current.get()
    if tally is not None:
        tally.add(operations, read, written)
