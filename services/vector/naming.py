"""Safe names of tables and columns, made from any text."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from interfaces.vectors import MAX_NAME_BYTES

SYSTEM_COLUMNS = frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"})
"""https://www.postgresql.org/docs/current/ddl-system-columns.html"""
# fmt: off
RESERVED = frozenset({
    "all", "analyse", "analyze", "and", "any", "array", "as", "asc", "asymmetric", "authorization",
    "between", "binary", "both", "case", "cast", "check", "collate", "collation", "column", "concurrently",
    "constraint", "create", "cross", "current_catalog", "current_date", "current_role", "current_schema",
    "current_time", "current_timestamp", "current_user", "default", "deferrable", "desc", "distinct", "do",
    "else", "end", "except", "false", "fetch", "for", "foreign", "freeze", "from", "full", "grant", "group",
    "having", "ilike", "in", "initially", "inner", "intersect", "into", "is", "isnull", "join", "lateral",
    "leading", "left", "like", "limit", "localtime", "localtimestamp", "natural", "not", "notnull", "null",
    "offset", "on", "only", "or", "order", "outer", "overlaps", "placing", "primary", "references",
    "returning", "right", "select", "session_user", "similar", "some", "symmetric", "system_user", "table",
    "tablesample", "then", "to", "trailing", "true", "union", "unique", "user", "using", "variadic",
    "verbose", "when", "where", "window", "with",
})
# fmt: on
"""Names that must be quoted wherever they are written, PostgreSQL's `pg_get_keywords` classes R and T. Ours
always are; those of whoever asks the table by hand need not be."""


def safe_name(text: str, fallback: str) -> str:
    """Lower-case letters, digits and underscores, not beginning with a digit, of at most 63 bytes.

    Accents go; letters of other scripts stay, for a name made of them says more than a number.
    """
    plain = "".join(
        character
        for character in unicodedata.normalize("NFKD", text)
        if not unicodedata.combining(character) or ord(character) > 0x36F
    )
    # Composed again: scripts that are written with marks keep them.
    plain = unicodedata.normalize("NFC", plain).lower()
    kept = "".join(character if character.isalnum() else "_" for character in plain)
    name = "_".join(part for part in kept.split("_") if part)
    if not name:
        return fallback
    if name[0].isdigit():
        name = f"_{name}"
    if name in RESERVED or name in SYSTEM_COLUMNS:
        name = f"{name}_"
    return shortened(name, MAX_NAME_BYTES)


def shortened(name: str, most: int) -> str:
    """As much of the name as fits into so many bytes, whole characters only."""
    return name.encode()[:most].decode("utf-8", "ignore")


def distinct(names: Iterable[str], taken: Iterable[str] = (), *, fallback: str = "column") -> list[str]:
    """A safe name for each, in order, no two alike and none of `taken`: later ones get a number."""
    used = set(taken)
    found = []
    for number, text in enumerate(names, 1):
        name = wanted = safe_name(text, f"{fallback}_{number}")
        count = 1
        while name in used:
            count += 1
            suffix = f"_{count}"
            name = shortened(wanted, MAX_NAME_BYTES - len(suffix)) + suffix
        used.add(name)
        found.append(name)
    return found
