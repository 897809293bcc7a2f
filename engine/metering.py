"""Measures what attempts take: time, memory over time, and what they ask of blob storage.

Handlers share a process. Its memory at a moment is shared evenly between those that run then: so the
GB-seconds of all attempts add up to the memory of the processes over the time in which they had work.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from interfaces.costs import Usage
from repositories import usage as storage

GIB = 1024**3
SAMPLE_SECONDS = 0.05
"""Memory is looked at no more often: a task of 100 µs must not wait for it."""
BRIEF_SECONDS = 0.001
"""What an attempt that took less made memory rise to is not asked: that costs as much as the attempt."""
STATM = Path("/proc/self/statm")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Bytes of memory that this process has now (`proc(5)`); its peak where that cannot be told."""
    try:
        return int(STATM.read_bytes().split()[1]) * PAGE_BYTES
    except OSError:
        return highest()


def highest() -> int:
    """The most that it ever had (`getrusage(2)`), or whoever started it."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Reading:
    """One attempt that is measured: the block for which this is the context."""

    __slots__ = (
        "_ended",
        "_gb_seconds",
        "_highest",
        "_meter",
        "_share",
        "_storage",
        "_token",
        "began",
        "peak",
    )

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self.began = 0.0
        self._ended: float | None = None
        self._gb_seconds = 0.0
        self.peak = 0

    def __enter__(self) -> Reading:
        self._storage, self._token = storage.begin()
        self.began, self._share, self._highest = self._meter.enter(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended = self._meter.leave(self)
        storage.end(self._token)

    def read(self, share: float, highest: int, resident: int) -> None:
        """Take down how things are now."""
        self._gb_seconds = share - self._share
        # What rose while it ran is known, or in the moment before; else only what was seen.
        self.peak = max(self.peak, highest if highest > self._highest else resident)

    def usage(self) -> Usage:
        """What it took, or took so far."""
        ended = self._ended
        if ended is None:
            ended = self._meter.look(self)
        return Usage(
            attempts=1,
            seconds=ended - self.began,
            gb_seconds=self._gb_seconds,
            operations=self._storage.operations,
            bytes_read=self._storage.bytes_read,
            bytes_written=self._storage.bytes_written,
            peak_bytes=self.peak,
        )


class Meter:
    """One per process. Any number of threads."""

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        memory: Callable[[], int] = resident,
        most: Callable[[], int] = highest,
    ) -> None:
        self._now = now
        self._memory = memory
        self._most = most
        self._lock = Lock()
        self._running: list[Reading] = []
        self._at = self._sampled_at = float("-inf")
        self._resident = self._peak = 0
        self._share = 0.0
        """GB-seconds of a handler that has run for ever, in whatever company there was."""

    def attempt(self) -> Reading:
        """Measures the block that it is the context of."""
        return Reading(self)

    def enter(self, reading: Reading) -> tuple[float, float, int]:
        """A block begins: the time, the share that a handler has had until then, and the peak until then."""
        with self._lock:
            self._advance()
            self._running.append(reading)
            reading.peak = self._resident
            return self._at, self._share, self._peak

    def leave(self, reading: Reading) -> float:
        """A block ends, now."""
        with self._lock:
            self._advance()
            if self._at - reading.began >= BRIEF_SECONDS:
                self._peak = self._most()
            reading.read(self._share, self._peak, self._resident)
            self._running.remove(reading)
            return self._at

    def look(self, reading: Reading | None = None) -> float:
        """Look at memory now, so that the peak of what runs for long is not missed; and at one block."""
        with self._lock:
            self._advance()
            if reading in self._running:
                self._peak = self._most()
                reading.read(self._share, self._peak, self._resident)
            return self._at

    def _advance(self) -> None:
        now = self._now()
        if now - self._sampled_at >= SAMPLE_SECONDS:
            self._resident, self._peak, self._sampled_at = self._memory(), self._most(), now
            for reading in self._running:
                reading.peak = max(reading.peak, self._resident)
        if self._running:
            self._share += (now - self._at) * self._resident / GIB / len(self._running)
        self._at = now
