"""Texts that cells of an Excel workbook share, of which GDAL has a copy for each cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import IO
from xml.parsers import expat

BLOCK = 1024**2
SHORT = 32
"""Bytes of a text that are no more than the XML of the cell that has it."""


class SharedTexts:
    """Shared texts of a workbook's parts, and cells that have them (ECMA-376, part 1, 18.3.1.4, 18.4.8)."""

    def __init__(self) -> None:
        self._lengths: list[int] = []
        """Bytes of each; the most, where several parts have such."""
        self._uses: Counter[str] = Counter()

    @property
    def copied(self) -> int:
        """Bytes of all copies, but for short ones."""
        return sum(
            uses * max(0, self._lengths[int(place)] - SHORT)
            for place, uses in self._uses.items()
            if place.isdecimal() and int(place) < len(self._lengths)
        )

    def look(self, part: IO[bytes], check: Callable[[], None]) -> None:
        """Go through a part, whatever is in it. Raises `expat.ExpatError` for bad XML."""
        lengths: list[int] = []
        in_text = in_cell = in_value = False
        value = ""

        def start(name: str, attributes: dict[str, str]) -> None:
            nonlocal in_text, in_cell, in_value, value
            kind = name.rpartition(":")[2]
            if kind == "si":
                in_text = True
                lengths.append(0)
            elif kind == "c":
                in_cell = attributes.get("t") == "s"
            elif kind == "v":
                in_value, value = in_cell, ""

        def said(text: str) -> None:
            nonlocal value
            if in_text:
                lengths[-1] += len(text.encode())
            elif in_value:
                value = (value + text)[:SHORT]

        def end(name: str) -> None:
            nonlocal in_text, in_value
            kind = name.rpartition(":")[2]
            if kind == "si":
                in_text = False
            elif kind == "v" and in_value:
                in_value = False
                self._uses[value.strip()] += 1

        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = start
        parser.CharacterDataHandler = said
        parser.EndElementHandler = end
        while block := part.read(BLOCK):
            check()
            parser.Parse(block, False)
        parser.Parse(b"", True)
        both = max(len(lengths), len(self._lengths))
        padded = [[*one, *[0] * (both - len(one))] for one in (lengths, self._lengths)]
        self._lengths = list(map(max, *padded)) if both else []
