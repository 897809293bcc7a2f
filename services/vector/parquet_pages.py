"""Looks at the headers of a Parquet file's pages, by which PyArrow takes memory, before it reads any.

Nothing else tells how large pages are: what the footer says of it need not be true.
https://parquet.apache.org/docs/file-format/data-pages/, and for how headers are written
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError
from services.budget import size_text

from .archives import MAX_RATIO

if TYPE_CHECKING:
    import pyarrow.parquet as pq

MAX_PAGES = 192 * 1024**2
"""Bytes of pages in memory at a time: one of each column, packed and unpacked, and its dictionary."""
TIMES_A_DICTIONARY = {False: 2, True: 4}
"""What a dictionary takes in memory, of its size: more where the column stays one in Arrow."""
MAX_BATCH = 32 * 1024**2
"""Bytes of what is read at a time, were all values as large as the largest one can be: PyArrow takes several
times as much."""
FREE_BYTES = 64 * 1024**2
"""Below that it is nobody's danger how many times the file they are: equal values take next to nothing."""
VALUES_A_BYTE = 64
"""Of a column of lists, which are read whole: fewer than eight bits for each are those of a bomb."""
FREE_VALUES = 4 * 1024**2
HEADER_BYTES = (256, 64 * 1024, 16 * 1024**2)
"""That are read for a header, which may have statistics in it; PyArrow takes none that is larger."""
DEEPEST = 8
DICTIONARY, DATA_PAGES = 2, {0: 5, 3: 8}
"""PageType, and which field of a header has what is said of data: how many values, and how encoded."""
ENCODING = {0: 2, 3: 4}
REPEATING = 7
"""DELTA_BYTE_ARRAY: each value may have all of the one before."""
SIZED = frozenset({"BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY"})


@dataclass(frozen=True)
class Page:
    """What a header says; sizes in bytes."""

    kind: int
    unpacked: int
    packed: int
    values: int
    repeating: bool


class _Cut(Exception):
    """The header goes on beyond what was read, or is none."""


def rows_at_a_time(path: Path, check: Callable[[], None]) -> int:
    """How many rows may be read at a time, however large their values are.

    Raises `PermanentTaskError` for a bomb: pages that do not fit into memory, or become many times the file.
    What is broken is left to PyArrow, which says so.
    """
    import pyarrow
    import pyarrow.parquet as pq

    size, total, largest = path.stat().st_size, 0, 0
    try:
        about = pq.read_metadata(path)
        kept = {field.name for field in about.schema.to_arrow_schema() if "dictionary<" in str(field.type)}
    except (pyarrow.ArrowException, OSError):
        return 1
    file = os.open(path, os.O_RDONLY)
    try:
        for group in range(about.num_row_groups):
            check()
            held = 0
            for number in range(about.num_columns):
                column = about.row_group(group).column(number)
                lists = about.schema.column(number).max_repetition_level > 0
                times = TIMES_A_DICTIONARY[column.path_in_schema.partition(".")[0] in kept]
                found = _Column(column, lists=lists, times=times).look(file, check)
                held += found.held
                total += found.unpacked
                largest = max(largest, found.repeated)
            _refuse_large(held, total, size)
    finally:
        os.close(file)
    return max(1, MAX_BATCH // max(largest, 1))


def _refuse_large(held: int, total: int, size: int) -> None:
    if held > MAX_PAGES:
        raise PermanentTaskError(
            f"the Parquet file is refused: its pages and dictionaries would take {size_text(held)} of "
            f"memory, and at most {size_text(MAX_PAGES)} can be read: write it with smaller pages"
        )
    if total > max(FREE_BYTES, MAX_RATIO * size):
        raise PermanentTaskError(
            f"the Parquet file is refused: it would become {size_text(total)}, {total // max(size, 1)} times "
            f"its size; at most {MAX_RATIO} times are allowed"
        )


class _Column:
    """The pages of one column in one row group."""

    def __init__(self, column: pq.ColumnChunkMetaData, *, lists: bool, times: int = 2) -> None:
        self._column = column
        self._times = times
        self._lists = lists
        self.held = 0
        """Bytes that are in memory at a time."""
        self.unpacked = 0
        """Bytes of all pages."""
        self.repeated = 0
        """Bytes of the largest value that may be there many times for each time that it is written."""

    def look(self, file: int, check: Callable[[], None]) -> _Column:
        """Go through all headers."""
        page_bytes, dictionary, values = 0, 0, 0
        sized = self._column.physical_type in SIZED
        for page in self._pages(file):
            check()
            self.unpacked += page.unpacked
            values += page.values
            if page.kind == DICTIONARY:
                dictionary = max(dictionary, page.unpacked)
            else:
                page_bytes = max(page_bytes, page.unpacked + page.packed)
            if sized and (page.kind == DICTIONARY or page.repeating):
                self.repeated = max(self.repeated, page.unpacked)
        self.held = page_bytes + self._times * dictionary
        most = max(FREE_VALUES, VALUES_A_BYTE * self._column.total_compressed_size)
        if self._lists and values > most:
            raise PermanentTaskError(
                f"the Parquet file is refused: its lists would have {values} values, more than it can hold"
            )
        return self

    def _pages(self, file: int) -> Iterator[Page]:
        """Until there are as many values as there should be, as PyArrow reads them."""
        column = self._column
        first, at = column.dictionary_page_offset, column.data_page_offset
        if column.has_dictionary_page and first is not None and 0 < first < at:
            at = first
        end, left = at + column.total_compressed_size, column.num_values
        while at < end and left > 0:
            found = _header(file, at)
            if found is None:
                return
            page, length = found
            yield page
            left -= page.values
            at += length + page.packed


def _header(file: int, at: int) -> tuple[Page, int] | None:
    """The header at a place, and how many bytes it has; None where there is none."""
    for size in HEADER_BYTES:
        data = os.pread(file, size, at)
        with suppress(_Cut):
            return _page(*_Compact(data).read())
        if len(data) < size:
            break
    return None


def _page(fields: dict[int, Any], length: int) -> tuple[Page, int]:
    kind, unpacked, packed = (fields.get(number, -1) for number in (1, 2, 3))
    if not all(isinstance(one, int) and one >= 0 for one in (kind, unpacked, packed)):
        raise _Cut
    about = fields.get(DATA_PAGES.get(kind, 0))
    about = about if isinstance(about, dict) else {}
    values, encoding = about.get(1, 0), about.get(ENCODING.get(kind, 0))
    return Page(kind, unpacked, packed, max(0, int(values)), encoding == REPEATING), length


class _Compact:
    """Reads one struct of Thrift's compact protocol: numbers and structs by the numbers of their fields."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def read(self) -> tuple[dict[int, Any], int]:
        """The fields, and how many bytes they took. Raises `_Cut`."""
        return self._struct(0), self._at

    def _struct(self, depth: int) -> dict[int, Any]:
        found: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            found[number] = self._value(head & 15, depth + 1)
        return found

    def _value(self, kind: int, depth: int) -> Any:
        if depth > DEEPEST:
            raise _Cut
        if kind in (1, 2):
            return kind == 1
        if kind == 3:
            return self._byte()
        if kind in (4, 5, 6):
            return self._integer()
        if kind in (7, 8):
            return self._skip(8 if kind == 7 else self._varint())
        if kind in (9, 10):
            head = self._byte()
            count = head >> 4 if head >> 4 < 15 else self._varint()
            return self._many(count, [head & 15], depth)
        if kind == 11:
            count = self._varint()
            kinds = self._byte() if count else 0
            return self._many(count, [kinds >> 4, kinds & 15], depth)
        if kind == 12:
            return self._struct(depth)
        raise _Cut

    def _many(self, count: int, kinds: list[int], depth: int) -> None:
        for _ in range(count):
            for kind in kinds:
                if kind in (1, 2):
                    # In lists truth has a byte of its own.
                    self._byte()
                else:
                    self._value(kind, depth + 1)

    def _skip(self, size: int) -> None:
        self._at += size
        if self._at > len(self._data):
            raise _Cut

    def _byte(self) -> int:
        self._skip(1)
        return self._data[self._at - 1]

    def _varint(self) -> int:
        found = shift = 0
        while True:
            byte = self._byte()
            found |= (byte & 127) << shift
            if byte < 128:
                return found
            shift += 7
            if shift > 63:
                raise _Cut

    def _integer(self) -> int:
        found = self._varint()
        return (found >> 1) ^ -(found & 1)
