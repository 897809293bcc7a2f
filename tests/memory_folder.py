"""A folder in memory for the databases of one test process, where there is room for it."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MEMORY = Path("/dev/shm")
PREFIX = "orchestrator-databases-"
ROOM = 2 * 1024**3
"""Bytes that must be free for each test process; they use a fraction of it."""


def room_in_memory(processes: int, memory: Path = MEMORY) -> bool:
    """Whether the databases of so many test processes fit into memory, with room to spare."""
    try:
        free = shutil.disk_usage(memory).free
        told = re.search(r"^MemAvailable:\s+(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return False
    available = int(told[1]) * 1024 if told else 0
    return free >= processes * ROOM and available >= 2 * processes * ROOM


@contextmanager
def folder_in_memory(base: Path = MEMORY) -> Iterator[Path]:
    """A new folder, which every user can enter and whose owner holds a lock on it; removed after the block.

    What killed processes left there is removed before: it would use up memory until the machine restarts.
    """
    for left in base.glob(f"{PREFIX}*"):
        _remove_unless_held(left)
    folder, lock = _make(base)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make(base: Path) -> tuple[Path, int]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=base))
        # The kernel gives the lock back when this process dies; children do not inherit it.
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            # mkdtemp closes it to everybody else; what is private in it is closed by itself.
            folder.chmod(0o755)
            return folder, lock
        # Another process took it for a leftover before the lock was there.
        os.close(lock)


def _remove_unless_held(folder: Path) -> None:
    with suppress(OSError):
        lock = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
