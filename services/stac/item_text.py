"""Items as JSON text, whatever numbers they have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson


def item_text(item: Mapping[str, Any]) -> bytes:
    """UTF-8. Raises `TypeError` or `ValueError` for what is not JSON.

    jsonb gives a large floating point number (a nodata value of -3.4e38) back as an integer with all its
    digits, and orjson writes none of more than 64 bits. It reads them as floating point numbers.
    """
    try:
        return orjson.dumps(item)
    except TypeError:
        return json.dumps(item, ensure_ascii=False, allow_nan=False).encode()
