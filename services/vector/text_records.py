"""How long the lines and the records of a table of text are, of which GDAL has one in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from .chunking import Bound, rows_of
from .library import MAX_FEATURE_BYTES

if TYPE_CHECKING:
    from numpy.typing import NDArray

BLOCK = 1024**2
MAX_LINE = 9 * 1024**2
"""Bytes: at more than 10,000,000 GDAL takes the file to have ended, without a word."""
TOGETHER, BESIDE = 16, 4
"""Blocks of rows that are read together, and beside the largest of all."""
DELIMITERS = b",;\t|"
"""Of which GDAL takes the one that the first line has most of."""
HEADER_BYTES = 64 * 1024
MARK = b"\xef\xbb\xbf"
QUOTE, LINE_FEED, RETURN = b'"\n\r'


def rows_at_a_time(path: Path, check: Callable[[], None]) -> Bound | None:
    """How many rows may be read together, where some are so large that it matters.

    Raises `PermanentTaskError` for a line that is too long, and for a record that is, over many lines.
    """
    if path.stat().st_size <= MAX_LINE:
        return None
    with path.open("rb") as file:
        head = file.read(HEADER_BYTES).removeprefix(MARK)
        lengths = _Lengths(head)
        file.seek(0)
        block = file.read(BLOCK).removeprefix(MARK)
        while block:
            check()
            lengths.look(block)
            if lengths.line > MAX_LINE:
                raise PermanentTaskError(
                    f"a line of the table has more than {MAX_LINE // 1024**2} MiB, and GDAL would end there: "
                    "subdivide or simplify what is in it"
                )
            if lengths.record > MAX_FEATURE_BYTES:
                raise PermanentTaskError(
                    f"a record of the table has more than {MAX_FEATURE_BYTES // 1024**2} MiB between two "
                    "quotes: subdivide or simplify what is in it, or close the quote"
                )
            block = file.read(BLOCK)
    rows = lengths.fewest(max(TOGETHER, -(-lengths.record // BLOCK) + BESIDE))
    return None if rows is None else Bound(rows, min(rows, rows_of(lengths.record)))


class _Lengths:
    """The longest line and the longest record, block by block, of any size.

    A quote opens where a field begins; in one that is open two quotes are one of its text. So an odd number
    of quotes in a row opens or closes where a field could begin, and anywhere else it leaves nothing open.
    An even number changes nothing.
    """

    def __init__(self, head: bytes) -> None:
        import numpy

        first = head.splitlines()[0] if head else b""
        delimiters = [sign for sign in DELIMITERS if sign in first] or [ord(",")]
        self._begins = numpy.zeros(256, bool)
        self._begins[[LINE_FEED, RETURN, *delimiters]] = True
        self._before = LINE_FEED
        self._quotes = 0
        """In a row at the end of the block before, and whether a field could begin there."""
        self._fresh = True
        self._open = False
        self._line = self._record = 0
        """Bytes since the last end of each."""
        self.line = self.record = 0
        self._ends: list[int] = []
        """Of records, in each block."""

    def look(self, block: bytes) -> None:
        """Go on through the file."""
        import numpy

        data = numpy.frombuffer(block, numpy.uint8)
        ends = numpy.flatnonzero((data == LINE_FEED) | (data == RETURN))
        self._line, self.line = longest(self._line, self.line, ends, len(data))
        open_ = self._opened(data, ends)
        ends = ends[~open_]
        self._ends.append(len(ends))
        self._record, self.record = longest(self._record, self.record, ends, len(data))

    def fewest(self, blocks: int) -> int | None:
        """How many records end in so many blocks at least, wherever these begin; None in a small file."""
        import numpy

        if len(self._ends) <= blocks:
            return None
        before = numpy.concatenate(([0], numpy.cumsum(self._ends)))
        return max(1, int((before[blocks:] - before[:-blocks]).min()))

    def _opened(self, data: NDArray[Any], ends: NDArray[Any]) -> NDArray[Any]:
        """Of each end of a line, whether a quote is open there."""
        import numpy

        quotes = numpy.flatnonzero(data == QUOTE)
        first = numpy.ones(len(quotes), bool)
        first[1:] = numpy.diff(quotes) > 1
        starts = quotes[first]
        counts = numpy.diff(numpy.append(numpy.flatnonzero(first), len(quotes)))
        before = numpy.where(starts > 0, data[starts - 1], self._before) if len(starts) else starts
        fresh = self._begins[before]
        places = starts + counts
        if len(starts) and starts[0] == 0 and self._quotes:
            # It goes on from the block before.
            counts[0] += self._quotes
            fresh[0] = self._fresh
        elif self._quotes:
            starts, places = numpy.insert(starts, 0, 0), numpy.insert(places, 0, 0)
            counts, fresh = numpy.insert(counts, 0, self._quotes), numpy.insert(fresh, 0, self._fresh)
        self._quotes = 0
        if len(places) and places[-1] == len(data):
            self._quotes, self._fresh = int(counts[-1]), bool(fresh[-1])
            places, counts, fresh = places[:-1], counts[:-1], fresh[:-1]
        self._before = int(data[-1])
        odd = counts % 2 == 1
        places, fresh = places[odd], fresh[odd]
        # How many have toggled since one that left nothing open.
        toggled = numpy.cumsum(fresh)
        closed = numpy.maximum.accumulate(numpy.where(fresh, -1, toggled)) if len(fresh) else toggled
        state = (toggled - numpy.where(closed < 0, -int(self._open), closed)) % 2 == 1
        found = numpy.concatenate(([self._open], state))[numpy.searchsorted(places, ends, side="right")]
        if len(state):
            self._open = bool(state[-1])
        return found


def longest(length: int, most: int, ends: NDArray[Any], size: int) -> tuple[int, int]:
    """How much has no end yet, and the longest so far, of that too."""
    if not len(ends):
        return length + size, max(most, length + size)
    import numpy

    inside = int(numpy.diff(ends).max()) if len(ends) > 1 else 0
    rest = size - 1 - int(ends[-1])
    return rest, max(most, length + int(ends[0]), inside, rest)
