"""Blobs on their way into files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from repositories.ahead import ahead

PIECE = 8 * 1024**2
"""Azurite sends an MD5 with what is asked for in pieces of up to 4 MiB, for which it reads them twice."""

Read = Callable[[int, int], bytes]


def fetch(read: Read, size: int, path: Path, check: Callable[[], None]) -> None:
    """Make a file of the `size` bytes that `read` answers by offset and length, some pieces ahead.

    `check` is called in between, and may raise; so may `read`. The file is then left as it is.
    """
    with path.open("xb") as file:
        if size <= PIECE:
            if size:
                check()
                file.write(read(0, size))
            return
        calls = (partial(read, offset, min(PIECE, size - offset)) for offset in range(0, size, PIECE))
        with closing(ahead(calls)) as pieces:
            for piece in pieces:
                check()
                file.write(piece)
