"""Two that install at once take turns."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .progress import Progress


@contextmanager
def taking_turns(lock_file: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock, after whoever holds it now; the kernel lets go of it when the holder dies."""
    lock_file.parent.mkdir(parents=True, exist_ok=True)
    with lock_file.open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress.step("Waiting for another ./run or ./test that is installing"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        yield
