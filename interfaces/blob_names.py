"""Which names blobs may be given: by Azure's rules, and so that nobody who handles them is led elsewhere.

Sources may be called what their owners like; these rules are for what jobs write, whose names are partly made
of names and metadata of strangers' files (docs/adr/0023).
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

MAX_CHARACTERS = 1024
MAX_PARTS = 254
"""https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata"""
DECODED_AT_MOST = 4
"""A name that says something else each time that it is decoded is nobody's file."""
TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that show the rest of a name in another order than it has (Unicode TR 36, section 2.5)."""
_SEPARATORS = re.compile(r"[/\\]")


def why_unfit(name: str) -> str | None:
    """Why nothing may be written under a name; None when it may.

    A name must mean the same to whoever decodes it, normalises it, or makes a path of a file system of it.
    """
    parts = name.split("/")
    if not name or len(name) > MAX_CHARACTERS:
        return f"a blob name has 1 to {MAX_CHARACTERS:,} characters"
    if len(parts) > MAX_PARTS:
        return f"a blob name has at most {MAX_PARTS} parts"
    if "" in parts:
        return "a blob name has no empty part"
    if "\\" in name:
        return "a blob name to be written has no backslash, which many take for a slash"
    if any(_is_unprintable(character) for character in name):
        return "a blob name to be written has no control characters, nor any that change how it is read"
    return _why_it_leads_elsewhere(name)


def _why_it_leads_elsewhere(name: str) -> str | None:
    """Whether a part is dots, also after decoding %2e and the like, and after compatibility normalisation."""
    for _ in range(DECODED_AT_MOST):
        if any(part.strip() in (".", "..") for part in _SEPARATORS.split(name)):
            return "a blob name has no empty part, and none that is . or .., by whatever spelling"
        plainer = unicodedata.normalize("NFKC", unquote(name, errors="replace"))
        if plainer == name:
            return None
        name = plainer
    return "a blob name to be written is not percent-encoded again and again"


def _is_unprintable(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
        or character in TURNING
        # Noncharacters, which no XML document, such as a listing, can hold.
        or ord(character) & 0xFFFE == 0xFFFE
        or 0xFDD0 <= ord(character) <= 0xFDEF
    )
