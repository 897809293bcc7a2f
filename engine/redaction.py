"""Error texts as they may be stored and shown: short, and without secrets."""

from __future__ import annotations

import re

_SECRETS = [
    (
        re.compile(
            r"(?i)\b(AccountKey|SharedAccessSignature|password|pwd|sig|code|access_token)=[^\s;&'\"]+"
        ),
        r"\1=***",
    ),
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://[^\s:/@]+):[^\s@/]+@"), r"\1:***@"),
    (re.compile(r"(?i)\b(bearer|sharedkey)\s+[\w.~+/:=-]+"), r"\1 ***"),
]


def redact(text: str, limit: int = 5000) -> str:
    """The text without keys, passwords, signatures and tokens, at most `limit` characters long."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe(error: BaseException, limit: int = 5000) -> str:
    """An error as one line: its type, unless it is one of ours, and its message."""
    detail = getattr(error, "detail", None)
    text = str(detail) if detail is not None else f"{type(error).__name__}: {error}"
    return redact(text.replace("\0", ""), limit)
