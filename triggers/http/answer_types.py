"""What answers are made of."""

from __future__ import annotations

from pydantic import JsonValue

Document = dict[str, object]
"""An answer or a part of one: JSON values and datetimes."""
Position = list[JsonValue]
"""Where a listing's next page starts; opaque to the API, which only carries it in a cursor."""
Page = tuple[list[Document], Position | None]
