"""Error texts as they may be stored and shown: short, and without secrets."""

from __future__ import annotations

import re
import traceback

TRACE_CHARACTERS = 20_000

_NAME = (
    r"(?:\b|_|PG)(?:Account[_-]?Key|Shared[_-]?Access[_-]?(?:Key|Signature)|password|passwd|pwd|secret|"
    r"(?:access|refresh|id|sas)[_-]?token|(?:api|subscription|functions?|private)[_-]?key|sig)"
)
_QUOTED = r"""\\?"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?"""
# Each rule keeps its first group and hides the rest. Hiding too much is better than too little.
_SECRETS = [
    # key=value, key: value, "key": "value", key = 'a value'
    re.compile(rf"""(?i)({_NAME}\\?["']?\s*[=:]\s*)(?:\*\*\*(?=[\s,;&}}\]]|$)|{_QUOTED}|[^\s;"']+)"""),
    # A function key in a URL; elsewhere `code=` is an exit code.
    re.compile(r"(?i)([?&]code=)[^\s&\"']+"),
    # scheme://user:password@host
    re.compile(r"(://[^\s:/@]*:)[^\s/]*(?=@)"),
    re.compile(r"(?i)\b((?:bearer|sharedkey(?:lite)?)\s+)[\w.~+/:=-]{6,}"),
    re.compile(r"(?i)\b(authorization\W{1,4}basic\s+)[\w+/=-]+"),
    # What callbacks are signed with (https://www.standardwebhooks.com), and private keys in PEM.
    re.compile(r"\b(whsec_)[\w+/=-]{16,}"),
    re.compile(r"(-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----)[^-]*"),
    # A JSON web token, wherever it stands.
    # Each beginning of one reads up to the next, so that all together read the text once.
    re.compile(r"(eyJ)(?:(?!eyJ)[\w-])*+\.[\w-]{8,}+\.[\w-]*"),
]


def redact(text: str, limit: int = 5000) -> str:
    """The text without keys, passwords, signatures and tokens, at most `limit` characters long."""
    # What is cut off is not looked at: patterns may take a multiple of the length.
    text = text[: 4 * limit]
    for pattern in _SECRETS:
        text = pattern.sub(r"\1***", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def describe(error: BaseException, limit: int = 5000) -> str:
    """An error as one line: its type, unless it is one of ours, and its message."""
    detail = getattr(error, "detail", None)
    text = str(detail) if detail is not None else f"{type(error).__name__}: {error}"
    # PostgreSQL's text holds neither U+0000 nor lone surrogates, which file names bring along.
    text = text.replace("\0", "").encode("utf-8", errors="replace").decode()
    return redact(text, limit)


def trace(error: BaseException) -> str:
    """An error with its traceback, for the log: what the error quotes is redacted there too."""
    text = "".join(traceback.format_exception(error))
    return redact(text.encode("utf-8", errors="replace").decode(), TRACE_CHARACTERS)
