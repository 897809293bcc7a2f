"""How large the features of GeoJSON are, one of which GDAL has in memory as a whole, before it reads any."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from .chunking import rows_of
from .library import MAX_FEATURE_BYTES, TOO_LARGE
from .text_records import LINE_FEED, QUOTE, longest

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 1024**2
FREE_BYTES = 16 * 1024**2
"""Of a file, all of which may be read together."""
SEPARATOR = 0x1E
"""Begins each record of a sequence that begins with one (RFC 8142); else each line is one."""
OPENING, CLOSING, BACKSLASH = b"{}\\"
ESCAPE = re.compile(rb"\\.", re.DOTALL)
ROOT = 1
"""How many braces are open around the features of a collection."""


def rows_of_sequence(path: Path, check: Callable[[], None]) -> int | None:
    """How many records of a sequence may be read together; None for a small file.

    As many as if each were as large as the largest one: between large ones there may be some that are no
    features. Raises `PermanentTaskError` naming one that is too large.
    """
    if path.stat().st_size <= FREE_BYTES:
        return None
    import numpy

    length = most = records = 0
    with path.open("rb") as file:
        block = file.read(BLOCK)
        end = SEPARATOR if block.lstrip()[:1] == bytes([SEPARATOR]) else LINE_FEED
        while block:
            check()
            ends = numpy.flatnonzero(numpy.frombuffer(block, numpy.uint8) == end)
            length, most = longest(length, most, ends, len(block))
            _refuse(most, "record", records + (end == LINE_FEED))
            records += len(ends)
            block = file.read(BLOCK)
    return rows_of(most)


def rows_of_collection(path: Path, check: Callable[[], None]) -> int | None:
    """The same of the features of a FeatureCollection; whatever else is on their level counts as one."""
    if path.stat().st_size <= FREE_BYTES:
        return None
    found = _Members()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            before = found.count
            found.look(block)
            _refuse(found.longest, "feature", before + 1)
    return rows_of(found.longest)


def _refuse(size: int, what: str, number: int) -> None:
    if size > MAX_FEATURE_BYTES:
        raise PermanentTaskError(f"near {what} {number}: {TOO_LARGE}")


class _Members:
    """The objects within the root of a JSON text, block by block, of any size.

    Braces count but in a string; a string begins and ends at a quote that no backslash escapes.
    """

    def __init__(self) -> None:
        self.longest = self.count = 0
        self._length = 0
        """Bytes since the last end of one."""
        self._depth = 0
        self._inside = self._escaped = False
        """Whether a string, and an escape, go on from the block before."""

    def look(self, block: bytes) -> None:
        """Go on through the text."""
        import numpy

        data = numpy.frombuffer(self._unescaped(block), numpy.uint8)
        opening, closing = data == OPENING, data == CLOSING
        braces = numpy.flatnonzero(opening | closing)
        quotes = numpy.flatnonzero(data == QUOTE)
        odd = (numpy.searchsorted(quotes, braces) + self._inside) % 2 == 1
        self._inside = bool((len(quotes) + self._inside) % 2)
        ends = self._ends(braces[~odd], opening)
        self._length, self.longest = longest(self._length, self.longest, ends, len(data))
        self.count += len(ends)

    def _ends(self, braces: NDArray[Any], opening: NDArray[Any]) -> NDArray[Any]:
        import numpy

        steps = numpy.where(opening[braces], 1, -1)
        depths = self._depth + numpy.cumsum(steps)
        if len(depths):
            self._depth = int(depths[-1])
        found: NDArray[Any] = braces[(steps < 0) & (depths == ROOT)]
        return found

    def _unescaped(self, block: bytes) -> bytes:
        """Of the same length, and without what is escaped."""
        if self._escaped:
            block, self._escaped = b" " + block[1:], False
        if BACKSLASH not in block:
            return block
        block = ESCAPE.sub(b"  ", block)
        self._escaped = block.endswith(b"\\")
        return block
