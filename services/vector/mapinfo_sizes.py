"""How large the objects of MapInfo's `.map` are, by what it says of them, before GDAL takes memory for one.

A `.id` has the place of each feature's object in the `.map`; an object says where its coordinates are, and
how many: lines, points and collections in its own head, regions and multiple lines in a head of each section.
These lie in blocks that refer to one another. As GDAL reads them: `ReadObj` and `ReadCoordSecHdrs` of
https://github.com/OSGeo/gdal/tree/master/ogr/ogrsf_frmts/mitab
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError

from .chunking import Together
from .library import MAX_FEATURE_BYTES, TOO_LARGE
from .mapped import Mapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLACES = 4 * 1024
"""Bytes of a `.id` that are looked at together, four for each feature: Linux maps some 64 KiB around each
place of the `.map`."""
BLOCK_SIZE = 0x106
"""Where the head of a `.map` tells it; the least is that of the head itself."""
LEAST_BLOCK = 512
BLOCK_HEAD = 8
"""Of a block of coordinates: its kind, how many bytes it has (at 2), and where it goes on (at 4)."""
LINES = (7, 8)
SECTIONED = {300: (13, 14, 37, 38), 450: (46, 47, 49, 50), 800: (61, 62, 64, 65)}
"""Regions and multiple lines, by the version that brought them."""
POINTS = (52, 53, 67, 68)
COLLECTIONS = (55, 56, 70, 71)
COORDINATES, COUNT, SECTIONS = 5, 9, 13
"""Places in the head of an object, after its kind (one byte) and number: where its coordinates are; their
bytes, or how many points it has; its sections. Of a collection two more sizes follow the points."""
SMOOTH = 0x7FFFFFFF
"""Without the bit that says that a line is to be drawn so."""
VERTEX, SECTION, POINT = 16, 13, 21
"""Bytes of WKB."""


def look_through_objects(path: Path, together: Together, check: Callable[[], None]) -> None:
    """Tell the sizes of the features of a `.map`; `path` is its `.id`.

    Raises `PermanentTaskError` naming the first one that is too large. What cannot be followed is left to
    GDAL, which does not follow it either.
    """
    import numpy

    objects_file = Mapped(path.with_suffix(".map"))
    objects = _Objects(objects_file.data, check)
    if objects.block < LEAST_BLOCK:
        return
    before = 0
    with path.open("rb") as file:
        while entries := file.read(PLACES):
            check()
            places = numpy.frombuffer(entries, "<u4", len(entries) // 4).astype(numpy.int64)
            sizes = objects.sizes(places)
            objects_file.forget()
            large = numpy.flatnonzero(sizes > MAX_FEATURE_BYTES)
            if len(large):
                raise PermanentTaskError(f"feature {before + int(large[0]) + 1}: {TOO_LARGE}")
            for size in sizes.tolist():
                together.add(size)
            before += len(places)


class _Objects:
    """The objects of a `.map` that is in `data`."""

    def __init__(self, data: NDArray[Any], check: Callable[[], None]) -> None:
        self._data = data
        self._check = check
        self.block = int.from_bytes(data[BLOCK_SIZE : BLOCK_SIZE + 2].tobytes(), "little")

    def sizes(self, places: NDArray[Any]) -> NDArray[Any]:
        """Bytes that the objects take as WKB, about; of others, and of what is no object, 0."""
        import numpy

        found = numpy.zeros(len(places), numpy.int64)
        kinds = numpy.where((places > 0) & (places < len(self._data)), self._bytes(places, 1), 0)
        # Compressed ones have two bytes for a number where others have four.
        width = numpy.where(kinds % 3 == 1, 4, 8)
        count = self._bytes(places + COUNT, 4)
        lines, points = numpy.isin(kinds, LINES), numpy.isin(kinds, POINTS)
        found[lines] = (count & SMOOTH)[lines] // width[lines] * VERTEX
        found[points] = count[points] * POINT
        both = numpy.isin(kinds, COLLECTIONS)
        parts = self._bytes(places + COUNT + 4, 4) + self._bytes(places + COUNT + 8, 4)
        found[both] = count[both] * POINT + parts[both] // width[both] * VERTEX
        for version, those in SECTIONED.items():
            chosen = numpy.flatnonzero(numpy.isin(kinds, those))
            if len(chosen):
                found[chosen] = self._sectioned(places[chosen], width[chosen], version)
        return found

    def _sectioned(self, places: NDArray[Any], width: NDArray[Any], version: int) -> NDArray[Any]:
        import numpy

        sections = self._bytes(places + SECTIONS, 4 if version == 800 else 2)
        starts = self._bytes(places + COORDINATES, 4)
        wide = 2 if version == 300 else 4
        # Most have one section, whose head begins and ends in one block.
        blocks = starts // self.block * self.block
        ends = blocks + BLOCK_HEAD + self._bytes(blocks + 2, 2)
        simple = (sections == 1) & (starts + wide <= ends)
        vertices = numpy.where(simple, self._bytes(starts, wide), 0)
        head = wide + (4 if version == 800 else 2) + 2 * width + 4
        for number in numpy.flatnonzero(~simple):
            count = int(sections[number])
            if count * SECTION <= MAX_FEATURE_BYTES:
                heads = self._chained(int(starts[number]), count * int(head[number]))
                whole = heads[: len(heads) // head[number] * head[number]].reshape(-1, head[number])
                vertices[number] = (whole[:, :wide] @ (256 ** numpy.arange(wide, dtype=numpy.int64))).sum()
        found: NDArray[Any] = vertices * VERTEX + sections * SECTION
        return found

    def _chained(self, start: int, size: int) -> NDArray[Any]:
        """So many bytes, or as many as there are, of a block and of those that it goes on in."""
        import numpy

        found, left = [numpy.zeros(0, numpy.uint8)], size
        while left > 0:
            self._check()
            block = start // self.block * self.block
            head = self._data[block : block + BLOCK_HEAD].tobytes()
            end = block + BLOCK_HEAD + int.from_bytes(head[2:4], "little")
            piece = self._data[start : min(end, start + left)]
            found.append(piece)
            left -= len(piece)
            following = int.from_bytes(head[4:8], "little")
            if not len(piece) or not following:
                break
            start = following + BLOCK_HEAD
        return numpy.concatenate(found)

    def _bytes(self, places: NDArray[Any], count: int) -> NDArray[Any]:
        """Numbers of so many bytes, the lowest first."""
        import numpy

        last = len(self._data) - 1
        found = numpy.zeros(len(places), numpy.int64)
        for byte in range(count):
            found += self._data[numpy.clip(places + byte, 0, last)].astype(numpy.int64) << 8 * byte
        return found
