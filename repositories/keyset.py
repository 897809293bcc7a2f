"""Pages of a listing by keyset: the position of the last row, not a count of rows to skip."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from pydantic import JsonValue

from interfaces.errors import FieldError, InvalidRequest

Document = dict[str, object]
Position = list[JsonValue]
Page = tuple[list[Document], Position | None]
"""The rows, and the position after which the next page starts; None after the last one."""

LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}
"""Integers beyond their column's type are refused here: PostgreSQL would answer with an error."""


def page(rows: list[dict[str, Any]], limit: int, key: Callable[[dict[str, Any]], Position]) -> Page:
    """At most `limit` of `rows`, which were read with one more to see whether any follow."""
    if len(rows) <= limit:
        return list(rows), None
    shown = rows[:limit]
    return list(shown), key(shown[-1])


def position(after: Position | None, *kinds: str) -> list[Any] | None:
    """The values of a position that came back from a caller, checked against what its listing uses.

    Kinds are "text", "time" and the integer types of PostgreSQL. Raises `InvalidRequest` naming the cursor.
    """
    if after is None:
        return None
    if len(after) != len(kinds):
        raise _foreign_cursor()
    return [_checked(value, kind) for value, kind in zip(after, kinds, strict=True)]


def array(values: Iterable[str]) -> str | None:
    """An array literal of enum labels, or None for no filter.

    A literal becomes a constant of the enum's array type; a Python list would arrive as text[] and be
    converted row by row, out of reach of partial indexes.
    """
    return "{" + ",".join(values) + "}" if values else None


def _checked(value: JsonValue, kind: str) -> object:
    if kind in LARGEST:
        # bool is an int to Python only.
        if isinstance(value, int) and not isinstance(value, bool) and -1 <= value <= LARGEST[kind]:
            return value
    elif isinstance(value, str) and "\x00" not in value:
        if kind == "text":
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise _foreign_cursor() from None
        if moment.tzinfo is not None:
            return moment
    raise _foreign_cursor()


def _foreign_cursor() -> InvalidRequest:
    reason = "not a cursor that this listing gave"
    return InvalidRequest(f"cursor: {reason}", errors=[FieldError(field="cursor", reason=reason)])
