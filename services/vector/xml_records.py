"""How large the features of GML and GPX are, one of which GDAL has in memory as a whole."""

from __future__ import annotations

from interfaces.errors import PermanentTaskError

from .chunking import rows_of
from .library import MAX_FEATURE_BYTES, TOO_LARGE

MEMBERS = ("member", "members")
"""How the names of elements end, in any case, whose children GDAL takes for features: `featureMember`,
`wfs:member` (`GetFeatureElementIndex` of https://github.com/OSGeo/gdal/blob/master/ogr/ogrsf_frmts/gml/gmlreader.cpp).
"""


class Records:
    """The largest feature, told of each element where it starts and ends, in bytes of the file.

    A feature is what is in the root, or in an element for members that is not itself in a feature. Where
    GDAL looks for smaller ones, in elements of other names, it is what they are in.
    """

    def __init__(self) -> None:
        self._largest = 0
        self._outside: list[bool] = []
        """Of elements that are open around features: whether they are for members."""
        self._inside = 0
        """How many are open from a feature on."""
        self._began = 0

    @property
    def rows(self) -> int:
        """That may be read together, were each as large as the largest."""
        return rows_of(self._largest)

    def start(self, name: str, place: int) -> None:
        """An element, which begins at a place of the file."""
        if self._inside:
            self._inside += 1
            return
        members = name.lower().endswith(MEMBERS)
        if not self._outside or members:
            self._outside.append(members)
        else:
            self._began, self._inside = place, 1

    def end(self, place: int) -> None:
        """The element that was begun last and has not ended; its closing tag begins at a place."""
        if not self._inside:
            self._outside.pop()
            return
        self._inside -= 1
        if self._inside == 0:
            self._look(place - self._began)

    def look(self, place: int) -> None:
        """How far the file was read: of what has no end yet."""
        if self._inside:
            self._look(place - self._began)

    def _look(self, size: int) -> None:
        self._largest = max(self._largest, size)
        if size > MAX_FEATURE_BYTES and self._outside[-1]:
            raise PermanentTaskError(TOO_LARGE)
