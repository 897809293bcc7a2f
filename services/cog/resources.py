"""What a process may use for rasters: memory, temporary disk space, threads."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from interfaces.conversions import ConversionPlan
from interfaces.settings import Settings
from services.memory_budget import MemoryBudget
from services.raster_opening import Room
from services.scratch import ScratchSpace

from .estimates import PROCESS_BYTES, THREADS, cache_bytes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
KEPT_BYTES = 16 * 1024**2
"""That the C library keeps at the end of each thread's share of what was freed."""
MAPPED_BYTES = 32 * 1024**2
"""From which on what is allocated is mapped by itself: the most that mallopt(3) takes."""
LARGE_PIXELS = 32 * 1024**2
"""Rasters (in pixels of all bands) from which on more threads than one save time."""


class Resources:
    """Shared by all that reads pixels in a process: tasks wait for each other where there is not enough."""

    def __init__(self, settings: Settings) -> None:
        self.memory_bytes = settings.task_memory_limit
        self.scratch_bytes = settings.task_scratch_limit
        # The process itself and GDAL's cache, which all conversions share, are in every estimate.
        self._shared = PROCESS_BYTES + cache_bytes(self.memory_bytes)
        self._memory = MemoryBudget(max(self.memory_bytes - self._shared, 1))
        self._scratch = ScratchSpace(self.scratch_bytes, settings.scratch_folder)
        _keep_freed()
        self._threads = settings.conversion_threads or min(os.cpu_count() or 1, THREADS)

    @contextmanager
    def reserved(self, memory: int, scratch: int, check: Callable[[], None]) -> Iterator[Path]:
        """A folder for temporary files, once there is memory and space for the task; removed at the end."""
        own = max(memory - self._shared, 0)
        with self.memory(own, check), self._scratch.directory(scratch, check) as folder:
            yield folder

    def room(self, check: Callable[[], None]) -> Room:
        """Folders for files that must be copied to the disk, for a task that has reserved nothing else."""
        return lambda size: self._scratch.directory(size, check)

    @contextmanager
    def memory(self, size: int, check: Callable[[], None]) -> Iterator[None]:
        """So many bytes beside those of the process and GDAL's cache, once others leave them."""
        with self._memory.reserve(size, check):
            try:
                yield
            finally:
                _give_back()

    @property
    def scratch(self) -> ScratchSpace:
        """The disk."""
        return self._scratch

    @property
    def free_bytes(self) -> int:
        """What `memory` gives at most."""
        return self._memory.limit_bytes

    def threads(self, plan: ConversionPlan) -> int:
        """How many threads GDAL may use for a whole raster: several only where that pays."""
        return self._threads if plan.width * plan.height * plan.band_count >= LARGE_PIXELS else 1

    @property
    def gdal_options(self) -> dict[str, str | int]:
        """For sessions that convert."""
        return {"CPL_TMPDIR": str(self._scratch.folder)}


def _keep_freed() -> None:
    """Have what was freed at hand for a while: whoever reads vectors frees some 10 MB after each batch.

    Else the C library returns it at once, and the system clears each page when it is taken again: 122,000
    page faults for half a million polygons, a third of the processor's time. What it does by itself depends
    on the largest block that a process happened to free before.
    """
    with suppress(AttributeError):
        library = ctypes.CDLL(None)
        library.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(M_MMAP_THRESHOLD, MAPPED_BYTES)


def _give_back() -> None:
    """Return to the system what was freed: of each of many threads the C library keeps a share for itself.

    Measured with twelve threads of which three at a time convert tiles of 51 megapixels: 617 instead of
    1,035 MB at most. Only glibc has the function, and only there it is needed (malloc_trim(3)).
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
