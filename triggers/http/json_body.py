"""Reads JSON that a stranger sent, and refuses what could not be kept or compared.

Beyond RFC 8259 it is strict where a lenient reader would lose something: names twice in an object, NaN
and infinities, numbers that a double does not hold (RFC 7493, I-JSON), U+0000 and lone surrogates (which
PostgreSQL's jsonb refuses), nesting so deep that some later reader would give up, and more values than a
request may take memory for.
"""

from __future__ import annotations

import json
import math
import re
from typing import NoReturn

from pydantic import JsonValue

from interfaces.contracts import JsonObject
from interfaces.errors import InvalidRequest, PayloadTooLarge

from .problems import bad_field

MAX_DEPTH = 64
LARGEST_INTEGER = 2**53 - 1
MOST_MARKS = 1_200_000
"""Commas and opening brackets in a text, of which each stands for a value at most: two bytes of JSON can be
sixty of memory. Eight MiB of coordinates have as many."""
LONGEST_NUMBER = 400
"""Characters: a double has at most 309 digits before its point."""
BODY = "(body)"
SURROGATE = re.compile("[\ud800-\udfff]")
KINDS = {list: "an array", str: "a string", int: "a number", float: "a number", bool: "a boolean"}


def json_object(body: bytes, *, max_bytes: int) -> JsonObject:
    """The JSON object in a request's body; an empty body is an empty object.

    Raises `PayloadTooLarge` before anything is parsed, and `InvalidRequest` naming the field or the place.
    """
    value = json_value(body, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise bad_field(BODY, f"must be a JSON object, not {KINDS.get(type(value), 'null')}")
    return value


def json_value(body: bytes, *, max_bytes: int) -> JsonValue:
    """The JSON value in a request's body, whatever its kind. Raises as `json_object` does."""
    if len(body) > max_bytes:
        raise PayloadTooLarge(f"the body has {len(body)} bytes; at most {max_bytes} are allowed")
    if not body.strip():
        return {}
    if sum(body.count(mark) for mark in (b",", b"[", b"{")) > MOST_MARKS:
        raise bad_field(BODY, f"has more than {MOST_MARKS} values")
    value = _parsed(_decoded(body))
    _check(value)
    return value


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_field(BODY, f"is not UTF-8 (byte {error.start})") from None


def _parsed(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_int=_integer,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise bad_field(BODY, f"is not JSON: {error.msg} at {place}") from None
    except RecursionError:
        raise _too_deep(BODY) from None
    return value


def _check(document: JsonValue) -> None:
    """Refuse what cannot be kept, naming its path.

    Walks without recursion: the depth is a stranger's choice.
    """
    waiting: list[tuple[str, int, JsonValue]] = [("", 0, document)]
    while waiting:
        where, depth, value = waiting.pop()
        if depth > MAX_DEPTH:
            raise _too_deep(where.split(".")[0])
        if isinstance(value, dict):
            for name, member in value.items():
                inner = _shortened(_printable(f"{where}.{name}" if where else name))
                _check_text(inner, name, "its name")
                waiting.append((inner, depth + 1, member))
        elif isinstance(value, list):
            waiting.extend((f"{where}.{index}", depth + 1, item) for index, item in enumerate(value))
        elif isinstance(value, str):
            _check_text(where, value, "text")
        elif isinstance(value, int) and abs(value) > LARGEST_INTEGER:
            raise bad_field(where, f"integers beyond ±{LARGEST_INTEGER} are not exact in JSON")


def _check_text(where: str, text: str, what: str) -> None:
    if "\x00" in text:
        raise bad_field(where, f"{what} must not contain U+0000")
    if SURROGATE.search(text):
        raise bad_field(where, f"{what} must not contain a lone surrogate")


def _unique(pairs: list[tuple[str, JsonValue]]) -> JsonObject:
    members = dict(pairs)
    if len(members) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise bad_field(_shortened(_printable(twice)), "is there twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise bad_field(BODY, f"{name} is not JSON")


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise bad_field(BODY, f"has a number of {len(text)} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise bad_field(BODY, f"the number {_shortened(text)} is too large")
    return value


def _too_deep(where: str) -> InvalidRequest:
    return bad_field(where, f"is nested more than {MAX_DEPTH} levels deep")


def _printable(text: str) -> str:
    """Names come back in the answer, which must be valid text itself."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def _shortened(text: str) -> str:
    """Paths are kept short: a long name above many items would otherwise be copied for each of them."""
    return text if len(text) <= 200 else f"{text[:200]}…"
