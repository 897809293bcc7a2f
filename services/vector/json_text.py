"""What GDAL cannot read in JSON, made into what can be told after it: in the file, byte for byte.

It ends a text at U+0000 without a word, refuses the whole file for a number between 2^63 and 2^64, and makes
a day of March of February 30th: without that its column is one of texts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from . import dates, json_truths
from .text_records import LINE_FEED, QUOTE

if TYPE_CHECKING:
    import pyarrow as pa

NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u(0000)")
WRITTEN_NUL = b"\\u0000"
MARK, MARKED = b"fdd0", "\ufdd0"
"""Of what is no character (Unicode 16, 23.7): it stands for U+0000 on the way."""
DAY = re.compile(rb"""(\d{4})([-/])(\d\d)\2(\d\d)(?!\d)(?=[^"\\]{0,64}(?:"(?!\s*:)|\Z))""")
"""Of a text that is no name. Of a longer text it is no harm: what is put there is as long, and goes again."""
SHORT_MONTHS, LAST_DAYS = (2, 4, 6, 9, 11), 29
BLANKS = 64
"""Before a day, of its text."""
NO_DAYS = {b"-": "\ufdd1", b"/": "\ufdd2"}
"""Stand, by the sign between the numbers, for what follows the year, with one digit less."""
MARKS = f"[{MARKED}{''.join(NO_DAYS.values())}]|{json_truths.MARKED}"
LARGE = re.compile(rb"(?<![0-9.])(-?(?:9[0-9]{18}|1[0-9]{19}))(?![0-9.eE])")
LAST, FIRST = b"9223372036854775807", b"-9223372036854775808"
"""Of 64 bits: what numbers become that do not fit into them, and are told by (`columns.unread_numbers`)."""
DIGITS = bytes(ord("0") if chr(sign) in "0123456789" else ord(" ") for sign in range(256))
MANY_DIGITS = b"0" * 19
ESCAPE = re.compile(rb"\\.", re.DOTALL)
BREAK = re.compile(rb"[\s,:\[\]{}\"][^\s,:\[\]{}\"]*\Z")
"""The last place where no number and no escape goes on."""
BLOCK = 1024**2
LONGEST = 64 * 1024
"""Bytes without such a place, but within a text."""


def made_readable(path: Path, check: Callable[[], None]) -> bool:
    """Change the file; whether it has such numbers. `check` is called in between, and may raise."""
    with path.open("rb") as file:
        if not any(_may_have_some(piece) for _, piece in _pieces(file, check)):
            return False
    numbers = _Numbers()
    with path.open("rb") as file, path.open("r+b") as changed:
        for place, piece in _pieces(file, check):
            for start, put in (*_nulls(piece), *_no_days(piece), *numbers.found(piece)):
                changed.seek(place + start)
                changed.write(put)
    return numbers.any


def _may_have_some(piece: bytes) -> bool:
    if WRITTEN_NUL in piece or MANY_DIGITS in piece.translate(DIGITS):
        return True
    return next(_no_days(piece), None) is not None


def _pieces(file: IO[bytes], check: Callable[[], None]) -> Iterator[tuple[int, bytes]]:
    """Where each begins, and itself: none ends within a number or an escape."""
    place, rest = 0, b""
    while block := file.read(BLOCK):
        check()
        whole = rest + block
        found = BREAK.search(whole, max(0, len(whole) - LONGEST))
        if found is None and len(whole) < LONGEST:
            rest = whole
            continue
        end = found.start() + 1 if found else len(whole) - len(_escape(whole))
        yield place, whole[:end]
        place, rest = place + end, whole[end:]
    if rest:
        yield place, rest


def _escape(whole: bytes) -> bytes:
    """What an escape may have begun with at the end, with all backslashes before it."""
    start = whole.rfind(b"\\", len(whole) - len(WRITTEN_NUL))
    return b"" if start < 0 else whole[len(whole[:start].rstrip(b"\\")) :]


def _nulls(piece: bytes) -> Iterator[tuple[int, bytes]]:
    if WRITTEN_NUL in piece:
        for match in NUL.finditer(piece):
            yield match.start(1), MARK


def _no_days(piece: bytes) -> Iterator[tuple[int, bytes]]:
    """What follows the years of days that are in no calendar, and what is put there."""
    import numpy

    signs = numpy.frombuffer(piece, numpy.uint8)
    for sign in NO_DAYS:
        between = signs == ord(sign)
        places = numpy.flatnonzero(between[:-5] & between[3:-2])
        months, days = (
            (signs[places + at] - ord("0")) * 10 + (signs[places + at + 1] - ord("0")) for at in (1, 4)
        )
        for place in places[numpy.isin(months, SHORT_MONTHS) & (days >= LAST_DAYS)].tolist():
            match = DAY.match(piece, max(0, place - 4))
            if match is None or piece[max(0, place - BLANKS) : match.start()].rstrip()[-1:] not in (
                b'"',
                b"",
            ):
                continue
            year, _, month, day = match.groups()
            if dates.is_no_day(b"-".join((year, month, day)).decode()):
                yield match.end(1), b"%s%x%s" % (NO_DAYS[sign].encode(), int(month), day)


class _Numbers:
    """Finds them outside of texts, piece by piece. A text ends at the end of its line, closed or not."""

    def __init__(self) -> None:
        self.any = False
        self._inside = False

    def found(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        """Where such numbers begin, and what is put there."""
        import numpy

        plain = ESCAPE.sub(b"  ", piece) if b"\\" in piece else piece
        signs = numpy.frombuffer(plain, numpy.uint8)
        quotes, lines = numpy.flatnonzero(signs == QUOTE), numpy.flatnonzero(signs == LINE_FEED)

        def inside(place: int) -> bool:
            line = int(numpy.searchsorted(lines, place))
            begun = int(numpy.searchsorted(quotes, lines[line - 1])) if line else 0
            count = int(numpy.searchsorted(quotes, place)) - begun
            return (count + (self._inside and not line)) % 2 == 1

        if MANY_DIGITS in plain.translate(DIGITS):
            for match in LARGE.finditer(plain):
                number = match[1]
                if -(2**63) <= int(number) < 2**63 or int(number) >= 2**64 or inside(match.start(1)):
                    continue
                self.any = True
                yield match.start(1), (FIRST if number[:1] == b"-" else LAST).ljust(len(number))
        self._inside = inside(len(plain))


def as_written(array: pa.Array, *, is_json: bool) -> pa.Array:
    """A column of text as the file has it; any other as it is."""
    import pyarrow as pa
    import pyarrow.types as t

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if t.is_string(array.type) or t.is_large_string(array.type):
        return _restored(array, is_json=is_json)
    if t.is_list(array.type) and t.is_string(array.type.value_type):
        values = _restored(array.values, is_json=False)
        return pa.ListArray.from_arrays(array.offsets, values, mask=array.is_null())
    return array


def _restored(texts: pa.Array, *, is_json: bool) -> Any:
    import pyarrow.compute as pc

    if not pc.any(pc.match_substring_regex(texts, MARKS)).as_py():
        return texts
    texts = pc.replace_substring(texts, MARKED, "\\u0000" if is_json else "\0")
    for sign, mark in NO_DAYS.items():
        between = sign.decode()
        texts = pc.replace_substring_regex(texts, rf"{mark}([2469])(\d\d)", rf"{between}0\1{between}\2")
        texts = pc.replace_substring_regex(texts, rf"{mark}b(\d\d)", rf"{between}11{between}\1")
    return json_truths.restored(texts, is_json=is_json)
