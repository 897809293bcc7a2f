"""Values in KML and GML that GDAL reads as others: coordinates, numbers and times that are none.

It makes 0 of a number that is none, nothing of a year, and half a point, or no feature at all,
of coordinates, all without a word. Such features are marked where GDAL hands it on: in their id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from os import SEEK_END
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from interfaces.errors import PermanentTaskError
from interfaces.layers import ColumnType

from . import casting, dates

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 1024**2
MARK = "\u2060cannot be read: "
"""Begins the id of a feature that cannot be read as the file has it; the reasons follow, as JSON."""
ID_FIELDS = {"LIBKML": ("id",), "GML": ("gml_id", "fid")}
"""What GDAL calls the id, of drivers whose files are looked into."""
NO_COORDINATES = "are no coordinates"
MAX_WRONG = 200_000
MOST_ADDED = 64 * 1024**2
"""Bytes that a file may be longer for its marks."""
SHOWN = 100
PLACEMARK = "Placemark"
MEMBERS = frozenset({"featureMember", "member", "featureMembers"})
GML_TYPES: dict[str, ColumnType] = {
    "OFTInteger": "integer",
    "OFTInteger64": "bigint",
    "OFTReal": "double precision",
    "OFTDate": "date",
    "OFTDateTime": "timestamp",
    "OFSTBoolean": "boolean",
    "OFSTInt16": "smallint",
}
"""Of GDAL, types and subtypes of fields that not every text fits into."""
KML_TYPES: dict[str, ColumnType] = {
    **dict.fromkeys(("int", "short", "ushort"), "integer"),
    "uint": "bigint",
    **dict.fromkeys(("float", "double"), "double precision"),
    **dict.fromkeys(("bool", "boolean"), "boolean"),
}
"""Of fields of a Schema (KML 2.3, 9.8); others are texts."""
KML_TIMES = {"when": "timestamp", "begin": "begin", "end": "end"}
"""Elements, and what GDAL calls their columns."""
PERIOD = re.compile(r"\s*(?P<year>[0-9]{4})(?:-(?P<month>0[1-9]|1[0-2]))?\s*")
"""A year or a month, which KML has for times too (gYear and gYearMonth). GDAL reads days only."""
NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
TUPLE = rf"{NUMBER}\s*,\s*{NUMBER}(?:\s*,(?:\s*{NUMBER})?)?(?![^\s])"
COORDINATES: Mapping[str, re.Pattern[str]] = {
    "coordinates": re.compile(rf"(?:\s*{TUPLE})*\s*"),
    "pos": re.compile(rf"\s*(?:{NUMBER}(?:\s+{NUMBER}){{1,2}})?\s*"),
    "posList": re.compile(rf"\s*(?:{NUMBER}(?:\s+{NUMBER})+)?\s*"),
    "coord": re.compile(rf"\s*(?:{NUMBER}(?:\s+{NUMBER}){{1,2}})?\s*"),
}
"""By element the text that it may have: none is an empty geometry. Of GML 2 `coord` has others within."""
POINT = re.compile(rf"\s*(?:{TUPLE})?\s*")
USUAL: Mapping[ColumnType, re.Pattern[str]] = {
    "integer": re.compile(r"-?[0-9]{1,9}"),
    "bigint": re.compile(r"-?[0-9]{1,18}"),
    "double precision": re.compile(r"-?[0-9]{1,15}(?:\.[0-9]{1,15})?"),
    "boolean": re.compile(r"true|false"),
}
"""Values that fit, which is seen at once."""
TAG = re.compile(rb"""<[^>"']*(?:(?:"[^"]*"|'[^']*')[^>"']*)*>""")
OWN_ID = re.compile(rb"""\s(?P<name>(?:\w+:)?id|fid)\s*=\s*(?:"[^"]*"|'[^']*')""")
LONGEST_TAG = 64 * 1024


class _Leaf(NamedTuple):
    """An element without others in it."""

    name: str
    start: int
    attributes: dict[str, str]


@dataclass
class _Feature:
    """The one that is open, or was wrong."""

    layer: str
    start: int
    depth: int
    reasons: dict[str, str] = field(default_factory=dict)
    """By column, "" for the geometry."""
    changes: list[tuple[int, int, str | None]] = field(default_factory=list)
    """Where elements begin and end whose text is not for GDAL, and what to put there; None: no element."""


class _Values:
    """Goes through a document."""

    def __init__(self, driver: str, types: Mapping[str, Mapping[str, ColumnType]]) -> None:
        self._is_kml = driver == "LIBKML"
        self._types = types
        self._schemas: dict[str, dict[str, ColumnType]] = {}
        self._path: list[tuple[str, dict[str, str]]] = []
        """Names and attributes of the elements that are open."""
        self._leaf: int | None = None
        """Where the last of them began, if its text is wanted and it has no elements within."""
        self._text: list[str] = []
        self._feature: _Feature | None = None
        self.wrong: list[_Feature] = []
        self.crs_names: dict[str, set[str | None]] = {}
        """Of a GML, by layer."""
        self._whole: str | None = None
        """What it names outside of features, for all that name none."""
        columns = (
            {"SimpleData", *KML_TIMES} if self._is_kml else {one for kinds in types.values() for one in kinds}
        )
        self._wanted = columns | COORDINATES.keys()
        """Names of elements whose text may be one that GDAL misreads; that of others is not listened to."""
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if self._feature is None:
            self._outside(local, attributes)
        if local in self._wanted:
            self._leaf, self._text = self.parser.CurrentByteIndex, []
            # Not by way of Python: it is called for each of them.
            self.parser.CharacterDataHandler = self._text.append
        elif self._leaf is not None:
            self._leaf = self.parser.CharacterDataHandler = None
        self._path.append((local, attributes))

    def _outside(self, local: str, attributes: dict[str, str]) -> None:
        """What is in no feature, or begins one."""
        if "srsName" in attributes:
            self._whole = attributes["srsName"]
        if self._begins_feature(local):
            self._feature = _Feature(local, self.parser.CurrentByteIndex, len(self._path))
        if self._is_kml and local == "SimpleField" and self._path:
            kind = KML_TYPES.get(attributes.get("type", "").lower())
            if kind is not None:
                declared = self._schemas.setdefault(self._path[-1][1].get("id", ""), {})
                declared[attributes.get("name", "")] = kind

    def _begins_feature(self, local: str) -> bool:
        if self._is_kml:
            return local == PLACEMARK
        return bool(self._path) and self._path[-1][0] in MEMBERS

    def _end(self, _: str) -> None:
        name, attributes = self._path.pop()
        feature, leaf = self._feature, self._leaf
        if leaf is not None:
            self._leaf = self.parser.CharacterDataHandler = None
        if feature is None:
            return
        if len(self._path) == feature.depth:
            if feature.changes:
                self.wrong.append(feature)
            self._feature = None
        elif leaf is not None:
            self._look(_Leaf(name, leaf, attributes), "".join(self._text), feature)

    def _look(self, one: _Leaf, text: str, feature: _Feature) -> None:
        """Note what there is to be changed of an element that ends here."""
        if one.name in COORDINATES and not self._is_kml:
            self._name_crs(one, feature)
        place = one.start, self.parser.CurrentByteIndex
        if self._is_kml and one.name in KML_TIMES and (period := PERIOD.fullmatch(text)):
            feature.changes.append((*place, f"{period['year']}-{period['month'] or '01'}-01"))
            return
        wrong = self._wrong(one, text, feature)
        if wrong is not None:
            column, reason = wrong
            if reason:
                feature.reasons.setdefault(column, reason)
            feature.changes.append((*place, None if column else ""))

    def _name_crs(self, one: _Leaf, feature: _Feature) -> None:
        """Of the geometry that has such coordinates: the one that is named nearest to them."""
        near = (one.attributes, *(attributes for _, attributes in reversed(self._path[feature.depth :])))
        named = next((said["srsName"] for said in near if "srsName" in said), self._whole)
        self.crs_names.setdefault(feature.layer, {self._whole} if self._whole else set()).add(named)

    def _wrong(self, one: _Leaf, text: str, feature: _Feature) -> tuple[str, str] | None:
        """The column, and why its text is not read as it is; "" where it says nothing."""
        pattern = COORDINATES.get(one.name)
        if pattern is not None:
            if self._is_kml and one.name == "coordinates" and self._path[-1][0] == "Point":
                pattern = POINT
            # Other signs than usual (GML 2, decimal, cs and ts) are GDAL's to read.
            own_signs = not one.attributes.keys().isdisjoint({"decimal", "cs", "ts"})
            if own_signs or pattern.fullmatch(text):
                return None
            return "", f"its geometry cannot be read: {text.strip()[:SHOWN]!r} {NO_COORDINATES}"
        name, kind = self._declared(one, feature)
        if kind is None or (text.strip() and _fits(text, kind)):
            return None
        if not text.strip():
            # GDAL makes 0 of it.
            return name, ""
        what = "whole date" if kind in dates.KINDS else casting.SPELLED.get(kind, kind)
        return name, f"column {name!r}: {text.strip()[:SHOWN]!r} is no {what}"

    def _declared(self, one: _Leaf, feature: _Feature) -> tuple[str, ColumnType | None]:
        """The column that an element is, and its type where not every text is one."""
        if not self._is_kml:
            direct = len(self._path) == feature.depth + 1
            return one.name, self._types.get(feature.layer, {}).get(one.name) if direct else None
        if one.name in KML_TIMES:
            return KML_TIMES[one.name], "timestamp"
        if one.name != "SimpleData":
            return one.name, None
        schema = self._path[-1][1].get("schemaUrl", "").rpartition("#")[2]
        name = one.attributes.get("name", "")
        return name, self._schemas.get(schema, {}).get(name)


def _fits(text: str, kind: ColumnType) -> bool:
    usual = USUAL.get(kind)
    if usual is not None and usual.fullmatch(text):
        return True
    if kind in dates.KINDS:
        return dates.is_date(text)
    try:
        casting.CASTS[kind](text)
    except (ValueError, ArithmeticError):
        return False
    return True


def mark(
    path: Path, driver: str, types: Mapping[str, Mapping[str, ColumnType]]
) -> dict[str, frozenset[str | None]]:
    """Give features with values that are read as others an id that says so, and take those values out.

    `types` are those of a GML's layers, by name and column. Answers which CRS it names, by layer, with None
    where geometries have none. Raises `PermanentTaskError` where features cannot be marked.
    """
    values = _Values(driver, types)
    with path.open("rb") as file:
        marked = file.read(2) in (b"\xff\xfe", b"\xfe\xff")
        file.seek(0)
        while block := file.read(BLOCK):
            values.parser.Parse(block, False)
            if len(values.wrong) > MAX_WRONG or (marked and values.wrong):
                reason = next(
                    (reason for one in values.wrong for reason in one.reasons.values()),
                    "numbers are empty, or times have no day",
                )
                raise PermanentTaskError(f"its features cannot be read as they are written: {reason}")
        values.parser.Parse(b"", True)
    if values.wrong:
        _change(path, values.wrong)
        # What GDAL noted of the file as it was.
        path.with_suffix(".gfs").unlink(missing_ok=True)
    return {layer: frozenset(names) for layer, names in values.crs_names.items()}


def marked(ids: pa.Array, columns: Collection[str]) -> dict[int, str]:
    """By row the reason in a column of ids, if it is the geometry's, or one of these columns'."""
    import pyarrow.compute as pc

    found: dict[int, str] = {}
    for row in pc.indices_nonzero(pc.starts_with(ids, MARK)).to_pylist():
        reasons: dict[str, str] = json.loads(ids[row].as_py().removeprefix(MARK))
        asked = [reason for column, reason in reasons.items() if not column or column in columns]
        if asked:
            found[row] = asked[0]
    return found


def _change(path: Path, wrong: list[_Feature]) -> None:
    """Change the file where it is: there need not be room for another."""
    with path.open("r+b") as file:
        edits = [edit for feature in wrong for edit in _edits(file, feature)]
        added = sum(len(put) - (end - start) for start, end, put in edits)
        if added > MOST_ADDED:
            raise PermanentTaskError(
                f"more than {len(wrong) - 1} features cannot be read as they are written"
            )
        # From the end on: what is moved overwrites only what was moved before.
        until = file.seek(0, SEEK_END)
        for start, end, put in reversed(edits):
            _move(file, end, until, added)
            added -= len(put) - (end - start)
            file.seek(start + added)
            file.write(put)
            until = start


def _edits(file: IO[bytes], feature: _Feature) -> Iterator[tuple[int, int, bytes]]:
    """Where to put what, in the order of the file: blanks instead of what goes: nothing is shorter."""
    if feature.reasons:
        file.seek(feature.start)
        tag = _tag(file)
        named = _with_id(tag, MARK + json.dumps(feature.reasons))
        yield feature.start, feature.start + len(tag), named[:-1].ljust(len(tag) - 1) + b">"
    for start, end, put in feature.changes:
        file.seek(start)
        tag = _tag(file)
        begin = start + len(tag)
        if put is not None:
            yield begin, end, put.encode("ascii").ljust(end - begin)
        elif tag.endswith(b"/>"):
            yield start, begin, b"".ljust(len(tag))
        else:
            file.seek(end)
            closed = end + len(_tag(file))
            yield start, closed, b"".ljust(closed - start)


def _move(file: IO[bytes], start: int, end: int, by: int) -> None:
    """So many bytes to the right."""
    while by and end > start:
        begin = max(start, end - BLOCK)
        file.seek(begin)
        block = file.read(end - begin)
        file.seek(begin + by)
        file.write(block)
        end = begin


def _tag(file: IO[bytes]) -> bytes:
    """The tag that the file is at, and is after then."""
    place = file.tell()
    found = TAG.match(file.read(LONGEST_TAG))
    if found is None:
        raise PermanentTaskError(f"the XML cannot be read: a tag has more than {LONGEST_TAG} bytes")
    file.seek(place + found.end())
    return found[0]


def _with_id(tag: bytes, said: str) -> bytes:
    known = OWN_ID.search(tag)
    name = known["name"].decode() if known else "id" if PLACEMARK.encode() in tag else "fid"
    bare = tag if known is None else tag[: known.start()] + tag[known.end() :]
    own = f" {name}={quoteattr(said)}>".encode("ascii", "xmlcharrefreplace")
    return bare.removesuffix(b">") + own
