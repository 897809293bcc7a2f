"""Blobs on their way into files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path

PIECE = 4 * 1024**2
AHEAD = 3
"""Pieces that are asked for while one is written: a request waits for storage most of its time."""

Read = Callable[[int, int], bytes]


def fetch(read: Read, size: int, path: Path, check: Callable[[], None]) -> None:
    """Make a file of the `size` bytes that `read` answers by offset and length.

    `check` is called in between, and may raise; so may `read`. The file is then left as it is.
    """
    with path.open("xb") as file:
        if size <= PIECE:
            if size:
                check()
                file.write(read(0, size))
            return
        with ThreadPoolExecutor(AHEAD, "fetch") as pool:
            asked: deque[Future[bytes]] = deque()
            try:
                for offset in range(0, size, PIECE):
                    # What is read is counted for whoever asked.
                    asked.append(pool.submit(copy_context().run, read, offset, min(PIECE, size - offset)))
                    if len(asked) > AHEAD:
                        check()
                        file.write(asked.popleft().result())
                while asked:
                    check()
                    file.write(asked.popleft().result())
            finally:
                for future in asked:
                    future.cancel()
