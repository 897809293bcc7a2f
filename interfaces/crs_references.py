r"""Finds a CRS that has PROJ read a file: `+init=/some/file:key`, `+nadgrids=./grid`.

PROJ opens whatever path such a definition names, also in the folder that the process runs in, and what a file
of definitions says of a key becomes the CRS, its title and all, which reports then repeat
(https://proj.org/en/stable/resource_files.html#init-files). Authorities are no files, and grids without a
path are PROJ's own: `+init=epsg:4326` and `+nadgrids=@null` stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

BLOCK = 1024**2
LONGEST = 512
"""Bytes that what is looked for may take, however it is written: so much is read again at each cut."""
_QUICK = (re.compile(rb"nit[\s\x00]*="), re.compile(rb"rids[\s\x00]*="))
"""Each begins with letters, which are searched for at once; either of them at a place is not."""
_ESCAPED = re.compile(rb"\\u00[2-7]")
_ENTITY = re.compile(rb"&#(?:x0*[0-9a-f]{2}|0*[0-9]{2,3});")
_OTHER = (b"i\x00t\x00", b"d\x00s\x00", b"\x00i\x00t", b"\x00d\x00s")
"""As JSON writes ASCII if it likes; as XML writes any character, and UTF-16. Each is rare among numbers."""


def _spelled(character: str) -> str:
    forms = [re.escape(character)]
    for code in sorted({ord(character), ord(character.upper())}):
        forms += [rf"\\u00{code:02x}", f"&#0*{code};", f"&#x0*{code:x};"]
    return f"(?:{'|'.join(forms)})"


def _word(text: str) -> str:
    return r"\x00*".join(_spelled(character) for character in text)


_PATH = r"(?:[/.~\\]|[A-Za-z]\x00*:\x00*[/\\]|\\u00(?:2[ef]|7e|5c)|&#|https?\x00*:)"
_EQUALS = rf"[\s\x00]*{_spelled('=')}[\s\x00@\"']*"
_AUTHORITY = r"(?:epsg|esri|ignf|iau|nkg|ogc)[\w]*:"
_DEFINED_IN = rf"{_word('init')}{_EQUALS}(?!{_AUTHORITY})[^\s\"'<>]{{1,300}}?{_spelled(':')}"
_NAMES_A_FILE = re.compile(
    rf"(?:{_DEFINED_IN}|{_word('grids')}{_EQUALS}{_PATH})".encode(),
    re.IGNORECASE,
)


def names_a_file(text: bytes) -> bool:
    """Whether there is such a definition in a text, in any encoding that spells ASCII as it does."""
    lower = text.lower()
    quick = (*_QUICK, _ESCAPED, _ENTITY)
    if not any(sign.search(lower) for sign in quick) and not any(sign in lower for sign in _OTHER):
        return False
    return _NAMES_A_FILE.search(text) is not None


def file_names_a_file(file: Path | bytes, check: Callable[[], None] = lambda: None) -> bool:
    """The same of a file, which is read a piece at a time; `check` is called between them."""
    if isinstance(file, bytes):
        return names_a_file(file)
    rest = b""
    with file.open("rb") as opened:
        while block := opened.read(BLOCK):
            check()
            if names_a_file(rest + block):
                return True
            rest = block[-LONGEST:]
    return False
