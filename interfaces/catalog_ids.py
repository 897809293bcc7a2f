"""Which ids of items and collections a URL leads to."""

from __future__ import annotations

MAX_ID_CHARACTERS = 512


def why_unfit(identifier: object) -> str | None:
    """Why nobody could ask for an object of this id, or None."""
    if not isinstance(identifier, str) or not identifier:
        return "is no text, or empty"
    if len(identifier) > MAX_ID_CHARACTERS:
        return f"has more than {MAX_ID_CHARACTERS} characters"
    for unfit in ("/", "\\"):
        if unfit in identifier:
            return f'has a "{unfit}", so that no URL leads to it'
    if identifier in (".", ".."):
        return "is resolved as a path, so that no URL leads to it"
    if identifier != identifier.strip() or any(ord(one) < 32 or 127 <= ord(one) < 160 for one in identifier):
        return "has control characters, or space around it, so that no URL leads to it"
    return None
