"""JSON as PostgreSQL's jsonb takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def to_json(value: object) -> str:
    """Compact JSON text.

    jsonb cannot hold U+0000 or lone surrogates, which file names and raster tags do contain: they become
    U+FFFD. Raises `ValueError` for NaN and infinities, which are not JSON.
    """
    text = _dump(value)
    if "\\u0000" in text or not _encodable(text):
        text = _dump(_cleaned(value))
    return text


def clean_text(text: str) -> str:
    """Text that PostgreSQL can hold: without U+0000 and lone surrogates."""
    return "".join(REPLACEMENT if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _cleaned(value: object) -> object:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {clean_text(str(key)): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, Sequence):
        return [_cleaned(inner) for inner in value]
    return value
