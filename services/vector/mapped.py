"""A file in the address space, of which no more counts as resident than was looked at lately."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Mapped:
    """A file that is not empty, read-only; it is unmapped when nobody has `data` any more."""

    def __init__(self, path: Path) -> None:
        import numpy

        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.data: NDArray[Any] = numpy.frombuffer(self._map, numpy.uint8)
        """Its bytes."""

    def forget(self) -> None:
        """What was looked at stays readable, and is not this process's memory any more."""
        if hasattr(self._map, "madvise"):
            self._map.madvise(mmap.MADV_DONTNEED)
