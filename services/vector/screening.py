"""Looks into files before GDAL does: for what refers elsewhere, for bombs, and for what GDAL would skip."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat

from interfaces import crs_references
from interfaces.errors import PermanentTaskError

from .library import MAX_FEATURE_BYTES, TOO_LARGE
from .xml_records import Records

HEAD_BYTES = 4096
NAMED_BY_CRS = "the file is refused: its CRS names a file that PROJ would read"
BLOCK = 1024**2
SEPARATOR = b"\x1e"
"""Begins each record of a GeoJSON text sequence (RFC 8142); without it each line is one."""
REFERRING = {
    b"<OGRVRTDataSource": "a GDAL virtual file (VRT)",
    b"<VRTDataset": "a GDAL virtual raster (VRT)",
    b"<OGRWFSDataSource": "a description of a web service (WFS)",
    b"<WFS_Capabilities": "a description of a web service (WFS)",
    b"<Capabilities": "a description of a web service",
    b'"gdal_streamed_alg"': "a GDAL pipeline (GDALG)",
    b"<GDAL_WMS": "a description of a web service (WMS)",
}
"""What GDAL would take for a reference to other files, whatever a file's name says."""


def refuse_references(path: Path) -> None:
    """Raise `PermanentTaskError` for a file that only refers to others."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    for sign, kind in REFERRING.items():
        if sign in head:
            raise PermanentTaskError(f"{kind}: references to other files are not followed")


def refuse_crs_of_files(path: Path, check: Callable[[], None]) -> None:
    """Raise `PermanentTaskError` for a file with a CRS that has PROJ read another one."""
    if crs_references.file_names_a_file(path, check):
        raise PermanentTaskError(NAMED_BY_CRS)


CRS_MEMBER = re.compile(rb'"crs"\s*:\s*(?=\{)')
LONGEST_CRS = 4096
"""Bytes that are read of what such a member says."""
LINKED = re.compile(r'"type"\s*:\s*"(?:link|url)"', re.IGNORECASE)


def refuse_linked_crs(path: Path, check: Callable[[], None]) -> None:
    """Raise `PermanentTaskError` for JSON whose `crs` is to be read elsewhere (GeoJSON 2008, section 3.2).

    GDAL takes it for WGS 84 where it cannot be had.
    """
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            text = rest + block
            for match in CRS_MEMBER.finditer(text):
                place = _link(text[match.end() : match.end() + LONGEST_CRS].decode("utf-8", "replace"))
                if place is not None:
                    raise PermanentTaskError(
                        f"the JSON is refused: its crs is a link to {place[:200]!r}, and references to other "
                        "files are not followed; name the CRS in it"
                    )
            rest = text[-LONGEST_CRS:]


def _link(text: str) -> str | None:
    """Where the CRS is that a text begins with; None where it is named, or goes on in the next block."""
    try:
        said, _ = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        # Of one that is longer than any name, the beginning says enough.
        return "elsewhere" if LINKED.search(text) and len(text) >= LONGEST_CRS // 2 else None
    about = said.get("properties")
    about = about if isinstance(about, dict) else {}
    if str(said.get("type")).lower() in ("link", "url"):
        return str(about.get("href", about.get("url", "elsewhere")))
    name = str(about.get("name"))
    # Of OGC's own names PROJ knows what they stand for.
    asked = name.lower().startswith(("http:", "https:")) and "opengis.net/" not in name.lower()
    return name if asked else None


def screen_xml(path: Path, check: Callable[[], None], records: Records | None = None) -> None:
    """Raise `PermanentTaskError` for entities, for links that a reader would follow, and for bad XML.

    `records` are told of its elements.
    """
    with path.open("rb") as file:
        screen_xml_of(file, check, records)


def screen_xml_of(file: IO[bytes], check: Callable[[], None], records: Records | None = None) -> None:
    """The same of an open file."""
    parser = _refusing()
    before = 0

    def start(name: str, _: dict[str, str]) -> None:
        nonlocal before
        if name.rpartition(":")[2] == "NetworkLink":
            raise PermanentTaskError("the KML is refused: it has a NetworkLink, and those are not followed")
        if parser.CurrentByteIndex - before > MAX_FEATURE_BYTES:
            raise PermanentTaskError(TOO_LARGE)
        before = parser.CurrentByteIndex
        if records is not None:
            records.start(name, before)

    parser.StartElementHandler = start
    if records is not None:
        known = records
        parser.EndElementHandler = lambda _: known.end(parser.CurrentByteIndex)
    try:
        while block := file.read(BLOCK):
            check()
            parser.Parse(block, False)
            if records is not None:
                records.look(file.tell())
            # Of one element: it is in memory as a whole.
            if file.tell() - before > MAX_FEATURE_BYTES + BLOCK:
                raise PermanentTaskError(TOO_LARGE)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise PermanentTaskError(f"the XML cannot be read: {error}") from error


def _refusing() -> expat.XMLParserType:
    """A parser that takes no entities, and no document type elsewhere."""

    def entity(name: str, *_: Any) -> None:
        raise PermanentTaskError(f"the XML is refused: it declares the entity {name[:100]!r}")

    def doctype(_: str, system_id: str | None, public_id: str | None, __: bool) -> None:
        if system_id is not None or public_id is not None:
            raise PermanentTaskError("the XML is refused: it refers to a document type elsewhere")

    parser = expat.ParserCreate()
    parser.EntityDeclHandler = entity
    parser.StartDoctypeDeclHandler = doctype
    return parser


def has_attribute(xml: bytes, element: str, attribute: str) -> bool:
    """Whether an element has an attribute that says true, in XML that was screened."""
    found = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal found
        said = attributes.get(attribute, "0") if name.rpartition(":")[2] == element else "0"
        found = found or said in ("1", "true")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.Parse(xml, True)
    return found


WHOLE_BYTES = 320 * 1024**2
"""Of memory, for a document that is read as a whole before its first feature is known."""
TIMES_ITS_SIZE = {"LIBKML": 6, "TopoJSON": 16, "GeoJSON": 16}
"""What such a document takes in memory, measured with polygons of 33 vertices. Of GeoJSON the features of a
FeatureCollection are read one by one; what is in a lone geometry, in Esri's JSON and in TopoJSON is not."""
FEATURES = re.compile(rb'"features"\s*:\s*\[')
ESRI = re.compile(rb'"geometryType"\s*:\s*"esri|"spatialReference"\s*:\s*\{\s*"(?:wkid|latestWkid|wkt)"')


def refuse_large_document(path: Path, driver: str) -> None:
    """Raise `PermanentTaskError` for a document that has to be in memory as a whole, and is too large."""
    times = TIMES_ITS_SIZE.get(driver)
    if times is None or path.stat().st_size * times <= WHOLE_BYTES:
        return
    if driver == "GeoJSON":
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES * 16)
        if FEATURES.search(head) and not ESRI.search(head):
            return
    raise PermanentTaskError(
        f"the {'KML' if driver == 'LIBKML' else 'JSON'} document must be read as a whole, and has more than "
        f"{WHOLE_BYTES // times // 1024**2} MiB: bring it into another format, such as GeoPackage"
    )


def is_json_sequence(path: Path) -> bool:
    """Whether it is a sequence of GeoJSON objects, one a line or after a separator."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES * 16)
    head = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if head.startswith(SEPARATOR):
        return True
    first, _, rest = head.partition(b"\n")
    try:
        one = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(one, dict) and one.get("type") == "Feature" and bool(rest.strip())


def check_json_sequence(path: Path, features: int, check: Callable[[], None]) -> None:
    """Raise `PermanentTaskError` naming the first bad record where GDAL read fewer features than there are.

    GDAL leaves out, without a word, what it cannot parse.
    """
    records = sum(1 for _ in _records(path, check))
    if records == features:
        return
    for number, record in _records(path, check):
        try:
            value = json.loads(record)
        except (ValueError, RecursionError) as error:
            raise PermanentTaskError(f"record {number} is not JSON: {error}") from error
        if not isinstance(value, dict) or value.get("type") not in ("Feature", "FeatureCollection"):
            raise PermanentTaskError(f"record {number} is no GeoJSON feature")
    raise PermanentTaskError(f"of its {records} records GDAL reads {features} as features")


NULL_GEOMETRY = re.compile(rb'"geometry"\s*:\s*null')
LONGEST_MATCH = 256


def written_nulls(path: Path, check: Callable[[], None]) -> int:
    """How many geometries a GeoJSON file says to be null.

    GDAL makes null, without a word, of what it cannot make a geometry of: then there are more.
    """
    found = 0
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            text = rest + block
            end = 0
            for match in NULL_GEOMETRY.finditer(text):
                found += 1
                end = match.end()
            rest = text[max(end, len(text) - LONGEST_MATCH) :]
    return found


LONG_NUMBER = re.compile(rb"(?<![0-9.])-?[0-9]{19,}(?![0-9.])")


def has_larger_numbers(path: Path, check: Callable[[], None]) -> bool:
    """Whether a text has whole numbers of more than 64 bits, which readers make smaller without a word."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            check()
            text = rest + block
            for match in LONG_NUMBER.finditer(text):
                digits = match[0].lstrip(b"-0")[:20]
                if digits and not -(2**63) <= int(digits) * (-1 if match[0][:1] == b"-" else 1) < 2**63:
                    return True
            rest = text[-LONGEST_MATCH:]
    return False


def _records(path: Path, check: Callable[[], None]) -> Iterator[tuple[int, bytes]]:
    """Raises `PermanentTaskError` for one that GDAL would not read either, for its size."""
    number = 0
    with path.open("rb") as file:
        while line := file.readline(MAX_FEATURE_BYTES + 1):
            number += 1
            if number % 10_000 == 0:
                check()
            if len(line) > MAX_FEATURE_BYTES:
                raise PermanentTaskError(f"record {number}: {TOO_LARGE}")
            record = line.strip(b" \t\r\n" + SEPARATOR)
            if record:
                yield number, record
