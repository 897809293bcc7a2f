"""What GDAL cannot read in JSON, made into what can be told after it: in the file, byte for byte.

It ends a text at U+0000 without a word, and refuses the whole file for a number between 2^63 and 2^64.
"""

from __future__ import annotations

import mmap
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u(0000)")
MARK, MARKED = b"fdd0", "\ufdd0"
"""Of what is no character (Unicode 16, 23.7): it stands for U+0000 on the way."""
LARGE = re.compile(rb"(?<![0-9.])(?:9[0-9]{18}|1[0-9]{19})(?![0-9.eE])")
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|(?<![0-9.])(-?(?:9[0-9]{18}|1[0-9]{19}))(?![0-9.eE])', re.DOTALL)
LAST, FIRST = b"9223372036854775807", b"-9223372036854775808"
"""Of 64 bits: what numbers become that do not fit into them, and are told by (`columns.unread_numbers`)."""


def made_readable(path: Path, check: Callable[[], None]) -> bool:
    """Change the file; whether it has such numbers. `check` is called before, and may raise."""
    check()
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as text:
        if text.find(b"\\u0000") >= 0:
            for match in NUL.finditer(text):
                text[match.start(1) : match.end(1)] = MARK
        if LARGE.search(text) is None:
            return False
        check()
        found = False
        for match in TOKEN.finditer(text):
            number = match[1]
            if number is None or -(2**63) <= int(number) < 2**63 or int(number) >= 2**64:
                continue
            found = True
            text[match.start(1) : match.end(1)] = (FIRST if number[:1] == b"-" else LAST).ljust(len(number))
        return found


def as_written(array: pa.Array, *, is_json: bool) -> pa.Array:
    """A column of text with U+0000 where the file has it; any other as it is."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if t.is_string(array.type) or t.is_large_string(array.type):
        return pc.replace_substring(array, MARKED, "\\u0000" if is_json else "\0")
    if t.is_list(array.type) and t.is_string(array.type.value_type):
        values: Any = pc.replace_substring(array.values, MARKED, "\0")
        return pa.ListArray.from_arrays(array.offsets, values, mask=array.is_null())
    return array
