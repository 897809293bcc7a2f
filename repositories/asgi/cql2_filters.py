"""CQL2 filters of requests."""

from __future__ import annotations

from typing import Any

from interfaces.cql2_text import tree
from interfaces.errors import FieldError, InvalidRequest


def read(text: str, language: str | None) -> Any:
    """A filter's tree as CQL2 JSON. Raises `InvalidRequest`."""
    is_json = language == "cql2-json" or (language is None and text.lstrip().startswith("{"))
    try:
        return tree(text, is_json=is_json)
    except ValueError as error:
        raise unfit(str(error)) from None


def unfit(reason: str) -> InvalidRequest:
    """The error for a filter."""
    return InvalidRequest(f"filter: {reason}", errors=[FieldError(field="filter", reason=reason)])
