"""JSON as PostgreSQL's jsonb takes it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
"""Made once: `json.dumps` makes one for each result."""


def to_json(value: object) -> str:
    """Compact JSON text.

    jsonb cannot hold U+0000 or lone surrogates, which file names and raster tags do contain: they become
    U+FFFD. Raises `ValueError`, naming the field, for what is not JSON, NaN and infinities among it.
    """
    try:
        text = _dump(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{_culprit(value) or '(value)'}: {error}") from error
    if "\\u0000" in text or not _encodable(text):
        text = _dump(_cleaned(value))
    return text


def clean_text(text: str) -> str:
    """Text that PostgreSQL can hold: without U+0000 and lone surrogates."""
    return "".join(REPLACEMENT if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)


def _dump(value: object) -> str:
    return _ENCODER.encode(value)


def _culprit(value: object, depth: int = 100) -> str:
    """The path to the first part of the value that is not JSON."""
    inside: Iterable[tuple[object, object]] = ()
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list | tuple):
        inside = enumerate(value)
    for key, inner in inside if depth else ():
        try:
            _dump(inner)
        except (TypeError, ValueError):
            below = _culprit(inner, depth - 1)
            return f"{key}.{below}" if below else str(key)
    return ""


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
