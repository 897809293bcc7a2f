"""True and false in JSON where a column has numbers too: GDAL makes 1 and 0 of them, without a word.

They become texts on the way, in the file, byte for byte. Their column is one of JSON then, as others are that
mix texts and numbers, or a list of texts, and has them as they are written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

TRUTH = re.compile(rb'"\s*:\s*(?:\[\s*)?(true|false)')
LIKELY = re.compile(rb":\s*(?:\[\s*)?(?:true|false)")
KNOWN = rb'"(?:%s)"\s*:\s*(?:\[\s*)?(?:true|false)'
NUMBER = rb'"(%s)"\s*:\s*(?:\[\s*)?-?[0-9]'
MARKS = {"true": "\u07bf", "false": "\u07be "}
"""Characters that Unicode (16) does not have, of two bytes: in quotes they are as long as the words."""
MARKED = f"[{''.join(mark[0] for mark in MARKS.values())}]"
NUMBERS = frozenset(f"OFT{kind}{form}" for kind in ("Integer", "Integer64", "Real") for form in ("", "List"))
BOOLEAN = "OFSTBoolean"
BLOCK = 1024**2
LONGEST = 1024
"""Bytes from a name to the end of its value's first word."""


def mark(path: Path, described: Callable[[], Iterable[Mapping[str, Any]]]) -> None:
    """Change the file, where columns have both; `described` asks GDAL about its layers."""
    mixed = _mixed(path)
    names = mixed & {name for layer in described() for name in _numbers(layer)} if mixed else ()
    if not names:
        return
    with path.open("r+b") as changed:
        for place, text in _texts(path):
            for match in TRUTH.finditer(text):
                if _name(_key(text, match)) in names:
                    changed.seek(place + match.start(1))
                    changed.write(f'"{MARKS[match[1].decode()]}"'.encode())


def restored(texts: pa.Array, *, is_json: bool) -> pa.Array:
    """A column of texts with those that `mark` put there as they were."""
    import pyarrow.compute as pc

    for word, mark_ in MARKS.items():
        if is_json:
            texts = pc.replace_substring(texts, f'"{mark_}"', word)
        # What is no more than a text is so in a column of JSON too.
        texts = pc.replace_substring(texts, mark_, word)
    return texts


def _mixed(path: Path) -> set[str]:
    """Names that have a truth value in one place and a number in another."""
    keys: set[bytes] = set()
    known = None
    for _, text in _texts(path):
        # Of a whole block at once: names are seldom new.
        truths = len(LIKELY.findall(text))
        if truths and (known is None or len(known.findall(text)) < truths):
            keys.update(key for match in TRUTH.finditer(text) if (key := _key(text, match)))
            known = re.compile(KNOWN % _any(keys)) if keys else None
    found: set[bytes] = set()
    if keys:
        number = re.compile(NUMBER % _any(keys))
        for _, text in _texts(path):
            found.update(match[1] for match in number.finditer(text))
    return {name for key in found if (name := _name(key)) is not None}


def _any(keys: set[bytes]) -> bytes:
    return b"|".join(map(re.escape, keys))


def _numbers(described: Mapping[str, Any]) -> set[str]:
    """The columns that GDAL takes for ones of numbers."""
    fields = zip(described["fields"], described["ogr_types"], described["ogr_subtypes"], strict=True)
    return {str(name) for name, kind, subtype in fields if kind in NUMBERS and subtype != BOOLEAN}


def _texts(path: Path) -> Iterator[tuple[int, bytes]]:
    """Where each begins, and itself: what is short is whole in one of them."""
    place, rest = 0, b""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            text = rest + block
            yield place, text
            rest = text[-LONGEST:]
            place += len(text) - len(rest)


def _key(text: bytes, match: re.Match[bytes]) -> bytes:
    """As it is written; nothing of one that is cut, or has a quote in it."""
    start = text.rfind(b'"', max(0, match.start() - LONGEST), match.start())
    return text[start + 1 : match.start()] if start >= 0 and text[start - 1 : start] != b"\\" else b""


def _name(key: bytes) -> str | None:
    try:
        return str(json.loads(b'"%s"' % key, strict=False))
    except ValueError:
        return None
