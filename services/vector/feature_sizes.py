"""Features that are too large, by what files say of their sizes: looked for before memory is taken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from interfaces.errors import PermanentTaskError

from . import mapinfo_sizes
from .chunking import Bound, Together, rows_of
from .library import MAX_FEATURE_BYTES, TOO_LARGE
from .mapped import Mapped
from .text_records import longest

BLOCK = 1024**2
CHECKED = 100_000
"""Features between two looks whether there is still a point in it."""
SHAPE_HEADER = 100
SHAPE_RECORD = 8
FLATGEOBUF_MAGIC = 8
FEATURES_COUNT, INDEX_NODE_SIZE = 8, 9
"""Fields of a header."""
NODE_BYTES = 40
MIF_OBJECT = re.compile(rb"[\r\n][ \t]*[A-Za-z]")
"""Begins a line that is not one of coordinates."""
LINE_END = re.compile(rb"[\r\n]")
MIF_BYTES = 2 * MAX_FEATURE_BYTES
"""Of text: vertices have some 30, and at least 4 for the 16 of memory."""
GDB_INDEX_HEADER = 16
GDB_INDEX_BLOCK = 1024
"""Rows."""
GDB_ROWS = 1024
"""That are looked at together: Linux maps some 64 KiB around each."""
GDB_ROW = MAX_FEATURE_BYTES // 2
"""Bytes: coordinates are packed into at least an eighth of what they take in memory."""
UNPACKED = 4
"""Times the size of a row, of what is read together: most coordinates are packed into a fourth, or more."""
FREE_BYTES = 9 * 1024**2
"""Of a file, in which no feature is too large."""


def rows_at_a_time(path: Path, driver: str, check: Callable[[], None]) -> Bound | None:
    """How many features may be read together, of a file that is not small and tells their sizes; else None.

    Raises `PermanentTaskError` for a file with a feature that would not be read within bounds of memory.
    """
    together = Together()
    if driver == "OpenFileGDB":
        for table in path.glob("*.gdbtable"):
            _look_through_geodatabase(table, together, check)
        return together.bound
    if driver == "MapInfo File" and path.suffix == ".tab":
        objects, index = path.with_suffix(".map"), path.with_suffix(".id")
        if objects.exists() and index.exists() and objects.stat().st_size > FREE_BYTES:
            mapinfo_sizes.look_through_objects(index, together, check)
        return together.bound
    if driver == "MapInfo File":
        # Of two files, which need not be of much the same size.
        coordinates = _longest(path, MIF_OBJECT, check)
        if coordinates > MIF_BYTES:
            raise PermanentTaskError(TOO_LARGE)
        rows = rows_of(max(coordinates, _longest(path.with_suffix(".mid"), LINE_END, check)))
        return Bound(rows, rows)
    if path.stat().st_size <= FREE_BYTES:
        return None
    if driver == "FlatGeobuf":
        _hop(path, _first_of_flatgeobuf(path), 0, 4, _little, together, check)
    elif driver == "ESRI Shapefile":
        _hop(path, SHAPE_HEADER, 4, SHAPE_RECORD, _words, together, check)
        _look_through_index(path.with_suffix(".shx"), check)
    else:
        return None
    return together.bound


def _hop(
    path: Path,
    first: int,
    place: int,
    head: int,
    size_of: Callable[[bytes], int],
    together: Together,
    check: Callable[[], None],
) -> None:
    """From one record to the next, each of which begins with its size, at a place of its head."""
    with path.open("rb", buffering=BLOCK) as file:
        file.seek(first)
        count = 0
        while len(record := file.read(head)) == head:
            size = size_of(record[place : place + 4])
            if size > MAX_FEATURE_BYTES:
                raise PermanentTaskError(f"feature {count}: {TOO_LARGE}")
            if size < 0:
                return
            together.add(size)
            file.seek(size, 1)
            count += 1
            if count % CHECKED == 0:
                check()


def _little(size: bytes) -> int:
    return int.from_bytes(size, "little")


def _words(size: bytes) -> int:
    """Of 16 bits (ESRI Shapefile Technical Description, page 5)."""
    return 2 * int.from_bytes(size, "big", signed=True)


def _first_of_flatgeobuf(path: Path) -> int:
    """Where its features begin: after the header, a FlatBuffer, and the index, whose size the header tells.

    https://github.com/flatgeobuf/flatgeobuf/blob/master/src/fbs/header.fbs
    """
    with path.open("rb") as file:
        file.seek(FLATGEOBUF_MAGIC)
        size = _little(file.read(4))
        header = file.read(min(size, 16 * BLOCK))
    first = FLATGEOBUF_MAGIC + 4 + size
    features = _field(header, FEATURES_COUNT, 8, 0)
    node = _field(header, INDEX_NODE_SIZE, 2, 16)
    if not features or not node:
        return first
    nodes = level = features
    while level > 1:
        level = -(-level // max(node, 2))
        nodes += level
    # Of a single feature the tree has a root besides.
    return first + NODE_BYTES * (nodes + (features == 1))


def _field(table: bytes, number: int, size: int, otherwise: int) -> int:
    """A number of the root table of a FlatBuffer."""
    root = _little(table[:4])
    layout = root - int.from_bytes(table[root : root + 4], "little", signed=True)
    if 4 + 2 * number >= _little(table[layout : layout + 2]):
        return otherwise
    place = _little(table[layout + 4 + 2 * number : layout + 6 + 2 * number])
    return _little(table[root + place : root + place + size]) if place else otherwise


def _look_through_index(path: Path, check: Callable[[], None]) -> None:
    """By which records of a shapefile are read, whatever they say of themselves."""
    import numpy

    if not path.exists():
        return
    with path.open("rb") as file:
        file.seek(SHAPE_HEADER)
        while len(block := file.read(BLOCK)) >= SHAPE_RECORD:
            check()
            whole = block[: len(block) // SHAPE_RECORD * SHAPE_RECORD]
            words = numpy.frombuffer(whole, ">i4").reshape(-1, 2)[:, 1]
            if int(words.max()) * 2 > MAX_FEATURE_BYTES:
                raise PermanentTaskError(TOO_LARGE)


def _longest(path: Path, end: re.Pattern[bytes], check: Callable[[], None]) -> int:
    """Bytes of text from one end to the next, at most; 0 of a small file, and of none.

    In a MapInfo Interchange File an object has its coordinates on lines after that of its kind; and one line
    of the `.mid` has its attributes.
    """
    import numpy

    if not path.exists() or path.stat().st_size <= FREE_BYTES:
        return 0
    length = most = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            ends = numpy.array([found.start() for found in end.finditer(block)], numpy.int64)
            length, most = longest(length, most, ends, len(block))
            if most > MIF_BYTES:
                break
    return most


def _look_through_geodatabase(path: Path, together: Together, check: Callable[[], None]) -> None:
    """Rows of a table: each begins with its size, at a place that an index tells.

    Of all tables: GDAL finds geometries also in one that says that it has none.
    https://github.com/rouault/dump_gdbtable/wiki/FGDB-Spec
    """
    import numpy

    index = path.with_suffix(".gdbtablx")
    if path.stat().st_size <= FREE_BYTES or not index.exists():
        return
    with index.open("rb") as file:
        head = file.read(GDB_INDEX_HEADER)
        width = _little(head[12:16])
        if width not in (4, 5, 6):
            return
        rows = Mapped(path)
        data = rows.data
        # After the places other things follow.
        left = _little(head[4:8]) * GDB_INDEX_BLOCK * width
        while block := file.read(min(left, GDB_ROWS * width)):
            left -= len(block)
            check()
            whole = numpy.frombuffer(block, numpy.uint8)[: len(block) // width * width].reshape(-1, width)
            places = whole @ (256 ** numpy.arange(width, dtype=numpy.int64))
            places = places[(places > 0) & (places + 4 <= len(data))]
            sizes = sum(data[places + byte].astype(numpy.int64) << 8 * byte for byte in range(4))
            rows.forget()
            if len(places) and int(numpy.max(sizes)) > GDB_ROW:
                raise PermanentTaskError(
                    f"a row of the File Geodatabase has more than {GDB_ROW // 1024**2} MiB: subdivide or "
                    "simplify its geometry, or leave an attachment of that size out"
                )
            for size in sizes.tolist() if len(places) else []:
                together.add(UNPACKED * size)
