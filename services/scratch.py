"""Temporary disk space: bounded for each process, and cleared of what dead processes left.

What one process has fetched, others of the same machine need not fetch: they link the file into a directory
of their own. Its bytes are on the disk once, and stay until the last of them has removed it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .budget import Budget

logger = logging.getLogger(__name__)

ROOT = "geospatial-scratch"
_OWNER = re.compile(r"(\d{1,10})-(\d{1,20})")


class ScratchSpace:
    """Temporary directories below `folder`, for which at most `limit_bytes` are reserved together.

    What is written there is not measured: whoever reserves says how much it will be. Thread-safe.
    """

    def __init__(self, limit_bytes: int, folder: Path) -> None:
        self._budget = Budget(limit_bytes, "temporary disk space")
        # Of this user alone: others could not remove what is in it.
        self._root = Path(folder) / f"{ROOT}-{os.getuid()}"
        self._lock = threading.Lock()
        self._own: Path | None = None
        self._givers: list[Callable[[], None]] = []

    @property
    def limit_bytes(self) -> int:
        """What may be reserved together."""
        return self._budget.limit_bytes

    @property
    def folder(self) -> Path:
        """This process's own folder, in which everything lies. Those of dead processes are removed first."""
        with self._lock:
            if self._own is None:
                self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
                _sweep(self._root)
                own = self._root / f"{os.getpid()}-{_started(os.getpid())}"
                own.mkdir(mode=0o700, exist_ok=True)
                self._own = own
            return self._own

    def when_room_is_short(self, give_back: Callable[[], None]) -> None:
        """`give_back` is called, from any thread, where somebody waits for room that is only kept."""
        self._givers.append(give_back)

    @contextmanager
    def directory(self, size: int, check: Callable[[], None]) -> Iterator[Path]:
        """A new, empty directory for `size` bytes, once there is room; removed at the end with all in it.

        `check` is called while waiting, and ends it by raising. Raises `PermanentTaskError` at once for more
        than is ever allowed.
        """

        def look() -> None:
            check()
            if self._budget.reserved_bytes + size > self._budget.limit_bytes:
                for give_back in self._givers:
                    give_back()

        with self._budget.reserve(size, look):
            made = Path(tempfile.mkdtemp(dir=self.folder))
            try:
                yield made
            finally:
                _remove(made)

    def lend(self, path: Path, key: str) -> None:
        """Let other processes `borrow` a file of one of the directories, which nobody writes into any more.

        It is lent as long as the directory is there.
        """
        # Not every file system has links; then everybody fetches for himself.
        with suppress(OSError):
            os.link(path, path.parent / _lent(key))

    def borrow(self, key: str, path: Path) -> bool:
        """Whether there is now, at `path`, what some process has lent under this key."""
        for found in self._root.glob(f"*/*/{_lent(key)}"):
            # Whoever lent it may be removing it.
            with suppress(OSError):
                os.link(found, path)
                return True
        return False


def _lent(key: str) -> str:
    return f"lent-{hashlib.sha256(key.encode()).hexdigest()}"


def _sweep(root: Path) -> None:
    """Remove the folders of processes that are no more."""
    for folder in root.iterdir():
        owner = _OWNER.fullmatch(folder.name)
        if owner and _started(int(owner[1])) != int(owner[2]):
            logger.info("removing temporary files of process %s, which has ended", owner[1])
            _remove(folder)


def _remove(folder: Path) -> None:
    def report(function: object, path: str, error: object) -> None:  # noqa: ARG001 - as shutil calls it
        # Others may be sweeping too.
        if Path(path).exists():
            logger.warning("temporary file %s could not be removed: %s", path, error)

    shutil.rmtree(folder, onerror=report)


def _started(pid: int) -> int | None:
    """When a process began, in clock ticks after the system's start; None when there is none.

    A process that was given the number of a dead one began at another time. Without /proc (not on Linux) 0
    stands for every process that is there.
    """
    try:
        # proc(5): the second field, in parentheses, may hold anything; field 22 is `starttime`.
        return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 0
