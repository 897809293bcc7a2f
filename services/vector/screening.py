"""Looks into files before GDAL does: for what refers elsewhere, for bombs, and for what GDAL would skip."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote
from xml.parsers import expat

from interfaces import crs_references
from interfaces.errors import PermanentTaskError

HEAD_BYTES = 4096
SCREENING_STEPS = 2000
"""Of ten thousand instructions of SQLite: a second or two."""
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


def screen_xml(path: Path, check: Callable[[], None]) -> None:
    """Raise `PermanentTaskError` for entities, for links that a reader would follow, and for bad XML."""
    with path.open("rb") as file:
        screen_xml_of(file, check)


def screen_xml_of(file: IO[bytes], check: Callable[[], None]) -> None:
    """The same of an open file."""
    parser = expat.ParserCreate()

    def entity(name: str, *_: Any) -> None:
        raise PermanentTaskError(f"the XML is refused: it declares the entity {name[:100]!r}")

    def doctype(_: str, system_id: str | None, public_id: str | None, __: bool) -> None:
        if system_id is not None or public_id is not None:
            raise PermanentTaskError("the XML is refused: it refers to a document type elsewhere")

    def start(name: str, _: dict[str, str]) -> None:
        if name.rpartition(":")[2] == "NetworkLink":
            raise PermanentTaskError("the KML is refused: it has a NetworkLink, and those are not followed")

    parser.EntityDeclHandler = entity
    parser.StartDoctypeDeclHandler = doctype
    parser.StartElementHandler = start
    try:
        while block := file.read(BLOCK):
            check()
            parser.Parse(block, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        raise PermanentTaskError(f"the XML cannot be read: {error}") from error


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


HARMLESS_MODULES = frozenset(
    {
        *("rtree", "rtree_i32", "fts3", "fts4", "fts5", "geopoly"),
        *("virtualspatialindex", "virtualelementary", "virtualknn", "virtualknn2", "virtualbbox"),
        *("virtualnetwork", "virtualrouting"),
    }
)
"""Of virtual tables that SQLite and SpatiaLite make of what is in the database. Others read files."""
VIRTUAL_TABLE = re.compile(
    r"\s*CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+[\"'`\[]?(\w+)", re.IGNORECASE | re.DOTALL
)
REACHING = re.compile(r"\b(load_extension|readfile|ogr_\w+|gdal_\w+)[\"'`\]]?\s*\(", re.IGNORECASE)
"""Functions that GDAL gives to SQL, of which some open files or ask web services."""


def screen_sqlite(path: Path) -> None:
    """Raise `PermanentTaskError` for a database whose tables or views would read something else."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro&immutable=1", uri=True)) as database:
            made = database.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
            _refuse_crs_of_tables(database)
    except sqlite3.Error as error:
        raise PermanentTaskError(f"the SQLite database cannot be read: {error}") from error
    for name, sql in made:
        virtual = VIRTUAL_TABLE.match(str(sql))
        if virtual is not None and virtual[1].lower() not in HARMLESS_MODULES:
            raise PermanentTaskError(
                f"the database is refused: {str(name)[:100]!r} is a virtual table of {virtual[1][:50]}, "
                "which may read other files"
            )
        # Not the name of a table, which may be that of a function: the first parenthesis opens its columns.
        called = REACHING.search(str(sql).partition("(")[2] if _is_table(sql) else str(sql))
        if called is not None:
            raise PermanentTaskError(
                f"the database is refused: {str(name)[:100]!r} calls {called[1][:50]}, which may reach other "
                "files"
            )


def _refuse_crs_of_tables(database: sqlite3.Connection) -> None:
    """By value: in the file a text may lie in pieces, and a view may put it together."""
    steps = iter(range(SCREENING_STEPS))
    # What is asked of a view is a stranger's program.
    database.set_progress_handler(lambda: next(steps, None) is None, 10_000)
    found = database.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    for name in (str(name) for (name,) in found if "spatial_ref_sys" in str(name).lower()):
        quoted = '"' + name.replace('"', '""') + '"'
        for row in database.execute(f"SELECT * FROM {quoted}"):  # noqa: S608 - quoted as SQLite has it
            if any(crs_references.names_a_file(str(value).encode("utf-8", "replace")) for value in row):
                raise PermanentTaskError(NAMED_BY_CRS)


def _is_table(sql: object) -> bool:
    return str(sql).lstrip().upper().startswith("CREATE TABLE")


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
    except ValueError:
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
        except ValueError as error:
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
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if number % 10_000 == 0:
                check()
            record = line.strip(b" \t\r\n" + SEPARATOR)
            if record:
                yield number, record
