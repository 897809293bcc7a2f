"""Reads conditions in CQL2, as text or JSON, that anybody may send.

https://docs.ogc.org/is/21-065r2/21-065r2.html. The library's parser (cql2 0.6) takes twice the time for each
level of parentheses where it finds an error in them, and holds up the process: 25 levels are minutes. It
takes a part of the stack for each level of anything: by a text of some thousand the process ends, not the
request. Its `validate` takes some 20 MB for each level, and is not called.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Any

MOST_CHARACTERS = 16_384
MOST_NESTED = 200
"""Parentheses and operators that may stand in each other; the process ended by some 2,000. JSON is held to
128 by its parser."""
MOST_EFFORT = 1_000_000
"""Characters, times two for each level of parentheses: some half a second."""
_COORDINATES = re.compile(
    r"\b(?:(?:MULTI)?(?:POINT|LINESTRING|POLYGON)(?:\s+ZM?|\s+M)?|BBOX)\s*"
    r"\((?:[^()A-Za-z'\"]|\((?:[^()A-Za-z'\"]|\([^()A-Za-z'\"]*+\))*+\))*+\)",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"'(?:[^']|'')*+'|\"(?:[^\"]|\"\")*+\"")
_NESTING = re.compile(r"\(|\b(?:not|between)\b", re.IGNORECASE)
_CHAINED = re.compile(r"[+\-*/%^<>=]|\b(?:div|is|like|in)\b", re.IGNORECASE)
_JUNCTION = re.compile(r"\b(?:and|or)\b", re.IGNORECASE)


def tree(text: str, *, is_json: bool) -> Any:
    """What a text says, as CQL2 JSON. Raises `ValueError` with the reason why it is not read."""
    if len(text) > MOST_CHARACTERS:
        raise ValueError(f"has more than {MOST_CHARACTERS:,} characters")
    if "\x00" in text:
        raise ValueError("has U+0000, which is in no column")
    if not is_json and (reason := _why_too_deep(text)):
        raise ValueError(reason)
    import cql2

    try:
        return (cql2.parse_json if is_json else cql2.parse_text)(text).to_json()
    # It has a kind of its own for what it cannot read, and none for geometries without coordinates.
    except Exception as error:  # noqa: BLE001
        raise ValueError(f"is no CQL2 {'JSON' if is_json else 'text'}: {first_line(error)}") from None


def first_line(error: Exception) -> str:
    """The parser's messages draw the text over several lines; the last says what it wants."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = lines[-1].lstrip("= ") if lines else type(error).__name__
    return told[:300]


def _why_too_deep(text: str) -> str | None:
    """Why the parser must not see this, or None. Counts what may be nested, which is at least what is."""
    # Where a backslash may hide a quote, nothing is taken for quoted.
    plain = text if "\\" in text else _QUOTED.sub(" 0 ", text)
    depth = max(accumulate((1 if one == "(" else -1 for one in plain if one in "()"), initial=0))
    if len(text) << min(depth, 32) > MOST_EFFORT:
        return f"has parentheses {depth} deep, too many for its {len(text)} characters"
    bare = _COORDINATES.sub(" 0 ", plain)
    chains = max(len(_CHAINED.findall(part)) for part in _JUNCTION.split(bare))
    if len(_NESTING.findall(bare)) + chains <= MOST_NESTED:
        return None
    return f"has more than {MOST_NESTED} parentheses and operators that may stand in each other"
