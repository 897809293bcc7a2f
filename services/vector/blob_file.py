"""A blob as Python's own file, for libraries that read archives."""

from __future__ import annotations

import io

from interfaces.blobs import BlobRepository
from interfaces.layers import SourceFile


class BlobFile(io.RawIOBase):
    """A blob as a file that is read by ranges."""

    def __init__(self, blobs: BlobRepository, source: SourceFile) -> None:
        self._blobs, self._source, self._at = blobs, source, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go there; nothing is read."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fetch a range."""
        length = min(len(buffer), self._source.size - self._at)
        if length <= 0:
            return 0
        data = self._blobs.read(self._source.container, self._source.name, self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
