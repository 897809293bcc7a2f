"""Reads SQL from `sql/`: whole files for migrations, named queries for repositories.

A named query starts at a line `-- name: some_name`; comment lines right below explain it.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import LiteralString, cast

ROOT = Path(__file__).resolve().parent.parent / "sql"

_HEADER = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)


@functools.cache
def queries(file: str) -> dict[str, LiteralString]:
    """The named queries of `sql/queries/<file>.sql`. They come from our own files, never from input."""
    text = (ROOT / "queries" / f"{file}.sql").read_text(encoding="utf-8")
    _, *parts = _HEADER.split(text)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    found = {name: cast(LiteralString, body.strip()) for name, body in pairs}
    if len(found) * 2 != len(parts):
        raise ValueError(f"sql/queries/{file}.sql names a query twice")
    return found
