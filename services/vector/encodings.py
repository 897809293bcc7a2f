"""In which encoding the text of a file is, where the file does not say it, or says it wrong."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from interfaces.errors import PermanentTaskError
from interfaces.vectors import text_encoding

BLOCK = 1024**2
RECORDS = 5000
BLANK, LAST_OF_ASCII = 0x20, 0x7F
UTF8 = "utf-8"
MARKS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks, the longer first: that of UTF-32 begins like that of UTF-16."""
LONGEST_MARK = 4
DIGITS_OF_DOUBLE = 15
WIDEST_INTEGER = 18
"""Digits of a number in a .dbf that GDAL reads as an integer; wider ones become floating-point numbers."""
WIDEST_TEXT = 254
"""Bytes of a text in a .dbf (dBASE III)."""


@dataclass
class DbfText:
    """What the records of a dBASE file show of its text."""

    encoding: Literal["ascii", "utf-8", "other"] = "ascii"
    language: int = 0
    """The language driver of the header, 0 for none."""
    cut: bool = False
    """Some UTF-8 ends in the midst of a character, where its field ends."""
    full: list[str] = field(default_factory=list)
    """Fields of the greatest width with a text that fills it."""
    wide_numbers: list[str] = field(default_factory=list)
    """Whole numbers that may have more digits than an integer of 64 bits."""


def of_shapefile(table: Path, asked: str | None, check: Callable[[], None]) -> tuple[str | None, list[str]]:
    """The encoding to read a `.dbf` in, None for what GDAL takes from the file; and notes.

    Raises `PermanentTaskError` for text that is not in the encoding that is asked for or named.
    """
    found = dbf_text(table, check)
    notes = _notes(found)
    named, name = _named(table.with_suffix(".cpg"))
    wanted = asked or named
    if wanted == UTF8 and found.encoding == "other":
        raise PermanentTaskError(
            f"encoding: the {'parameter' if asked else '.cpg'} says UTF-8, and the text of the .dbf is not: "
            "name the file's encoding"
        )
    if asked is not None or found.encoding == "ascii":
        return asked, notes
    if found.encoding == UTF8:
        if named == UTF8:
            return UTF8, notes
        said = "names no encoding" if name is None else f"its .cpg says {name!r}"
        return UTF8, [*notes, f"{said}: its text is UTF-8"]
    if name is not None and named is None:
        raise PermanentTaskError(
            f"encoding: the .cpg says {name!r}, which is not known: name the file's encoding"
        )
    if named is None and found.language == 0:
        raise PermanentTaskError(
            "encoding: the .dbf names none, and its text is not UTF-8: name the file's encoding"
        )
    if named is None:
        notes.append(f"names no encoding but in the header of the .dbf: {found.language:#04x}")
    return named, notes


def _notes(found: DbfText) -> list[str]:
    notes = [
        f"numbers of column {name!r} may have more digits than {DIGITS_OF_DOUBLE}, and lose those"
        for name in found.wide_numbers
    ]
    notes += [f"column {name!r} has texts as long as a .dbf can hold: they may be cut" for name in found.full]
    if found.cut:
        notes.append("some texts are cut in the midst of a character, of which the rest is left out")
    return notes


def _named(path: Path) -> tuple[str | None, str | None]:
    """What a `.cpg` says as Python knows it, None for what it does not know; and as it is written."""
    if not path.exists():
        return None, None
    name = path.read_bytes()[:100].decode("ascii", "replace").strip("\ufeff\x00 \r\n\t")
    if not name:
        return None, None
    # Bare code pages (ESRI): 1252, ANSI 1252, OEM 850; 88591 to 885915 are parts of ISO 8859.
    number = re.fullmatch(r"(?:ANSI|OEM|CP|WINDOWS)?[ _-]?(\d{3,6})", name, re.IGNORECASE)
    spelled = name
    if number is not None:
        digits = number[1]
        spelled = f"iso8859-{digits[4:]}" if digits.startswith("8859") else f"cp{digits}"
    try:
        return text_encoding(UTF8 if spelled == "cp65001" else spelled), name
    except LookupError:
        return None, name


def dbf_text(path: Path, check: Callable[[], None]) -> DbfText:
    """Looks at all records of a dBASE file.

    Fields are cut at their width, in the midst of a character too: that is no sign of another encoding.
    """
    import numpy

    found = DbfText()
    with path.open("rb") as file:
        head = file.read(32)
        header, record = int.from_bytes(head[8:10], "little"), int.from_bytes(head[10:12], "little")
        if len(head) < 32 or record == 0:
            return found
        found.language = head[29]
        fields = _fields(file.read(max(header - 32, 0)), found)
        full: set[str] = set()
        while block := file.read(record * RECORDS):
            check()
            rows = numpy.frombuffer(block, numpy.uint8, len(block) // record * record).reshape(-1, record)
            for name, at, width in fields:
                if width >= WIDEST_TEXT and name not in full:
                    last = rows[:, at + width - 1]
                    full |= {name} if ((last != BLANK) & (last != 0)).any() else set()
            if found.encoding == "other" or block.isascii():
                continue
            for number in numpy.flatnonzero((rows > LAST_OF_ASCII).any(axis=1)):
                found.encoding = _encoding_of(rows[number].tobytes(), fields, found)
                if found.encoding == "other":
                    break
        found.full = [name for name, _, _ in fields if name in full]
    return found


def _fields(descriptions: bytes, found: DbfText) -> list[tuple[str, int, int]]:
    """Name, first byte in a record and width of each field of text."""
    texts = []
    at = 1
    for place in range(0, len(descriptions) - 31, 32):
        name = descriptions[place : place + 11].partition(b"\x00")[0].decode("latin1")
        kind, width, decimals = descriptions[place + 11], descriptions[place + 16], descriptions[place + 17]
        if kind == ord("C"):
            # Some software keeps the high byte of a width where others have decimals.
            width += decimals << 8
            texts.append((name, at, width))
        elif kind in b"NF" and not decimals and width > WIDEST_INTEGER:
            found.wide_numbers.append(name)
        at += width
    return texts


def _encoding_of(
    row: bytes, fields: list[tuple[str, int, int]], found: DbfText
) -> Literal["ascii", "utf-8", "other"]:
    for _, at, width in fields:
        text = row[at : at + width].rstrip(b" \x00")
        if text.isascii():
            continue
        decoder = codecs.getincrementaldecoder(UTF8)()
        try:
            decoder.decode(text, final=False)
        except UnicodeDecodeError:
            return "other"
        found.cut = found.cut or bool(decoder.getstate()[0])
        found.encoding = "utf-8"
    return found.encoding


def marked(head: bytes) -> str | None:
    """The encoding that a byte order mark at the beginning of a file tells, other than UTF-8."""
    return next((name for mark, name in MARKS.items() if head.startswith(mark)), None)


def foreign(path: Path, asked: str | None, check: Callable[[], None]) -> str | None:
    """The encoding that a text file must be brought out of; None for UTF-8.

    Raises `PermanentTaskError` for text that is neither UTF-8 nor anything that is asked for or marked.
    """
    with path.open("rb") as file:
        found = asked or marked(file.read(LONGEST_MARK))
    if found is not None and found != UTF8:
        return found
    for _ in _decoded(path, UTF8, check):
        pass
    return None


def to_utf8(path: Path, target: Path, encoding: str, check: Callable[[], None]) -> None:
    """A copy of a text file in UTF-8. Raises `PermanentTaskError` for text that is not in its encoding."""
    with target.open("xb") as out:
        for text in _decoded(path, encoding, check):
            out.write(text.encode(UTF8, "replace"))


def _decoded(path: Path, encoding: str, check: Callable[[], None]) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    read = 0
    with path.open("rb") as file:
        while True:
            check()
            block = file.read(BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeError as error:
                raise PermanentTaskError(_undecodable(error, encoding, read)) from error
            if "\0" in text:
                # GDAL takes it for the end of the line.
                raise PermanentTaskError("encoding: the text has NUL characters: name the file's encoding")
            yield text
            if not block:
                return
            read += len(block)


def _undecodable(error: UnicodeError, encoding: str, before: int) -> str:
    name = "UTF-8" if encoding == UTF8 else encoding
    where = ""
    if isinstance(error, UnicodeDecodeError) and error.start < len(error.object):
        # About: bytes that were left over from the block before are counted with it.
        where = f" (byte {error.object[error.start]:#04x} near {before + error.start:,})"
    return f"encoding: the text is not {name}{where}: name the file's encoding"
