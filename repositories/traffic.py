"""How many bytes this process has read from blob storage and written to it, since it started."""

from __future__ import annotations

from threading import Lock


class Traffic:
    """Two numbers that only grow. Any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.read = 0
        self.written = 0

    def add(self, *, read: int = 0, written: int = 0) -> None:
        """Count bytes that went over the wire."""
        with self._lock:
            self.read += read
            self.written += written


BLOB_TRAFFIC = Traffic()
"""The process's: GDAL's count, which is part of it, is its process's too."""
