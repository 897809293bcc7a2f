"""Blobs on their way into files."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from interfaces.errors import ServiceUnavailable
from repositories.ahead import ahead

PIECE = 8 * 1024**2
"""Azurite sends an MD5 with what is asked for in pieces of up to 4 MiB, for which it reads them twice."""

Read = Callable[[int, int], bytes]


def fetch(read: Read, size: int, path: Path, check: Callable[[], None]) -> None:
    """Make a file of the `size` bytes that `read` answers by offset and length, some pieces ahead.

    `check` is called in between, and may raise; so may `read`. The file is then left as it is. Raises
    `ServiceUnavailable` where `read` answers fewer bytes.
    """

    def piece(offset: int) -> bytes:
        length = min(PIECE, size - offset)
        found = read(offset, length)
        if len(found) != length:
            raise ServiceUnavailable(f"the blob ends at {offset + len(found)} bytes, and had {size}")
        return found

    with path.open("xb") as file:
        if size <= PIECE:
            if size:
                check()
                file.write(piece(0))
            return
        with closing(ahead(partial(piece, offset) for offset in range(0, size, PIECE))) as pieces:
            for one in pieces:
                check()
                file.write(one)
