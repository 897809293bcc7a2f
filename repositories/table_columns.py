"""Which columns of a table that is there the columns of a load go into."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from interfaces.layers import Column


def matched(
    columns: Sequence[Column], registered: Sequence[Column], there: Collection[str]
) -> dict[str, str]:
    """By a column's name in the load its name in the table; without those that the table does not have.

    What the files call a column comes first, where the table's first load noted it: "Name" and "name" are
    `name` and `name_2` or the other way round, whichever comes first in a file. Others go by the table's
    names.
    """
    noted = dict(zip(_originals(registered), (column.name for column in registered), strict=True))
    found: dict[str, str] = {}
    for column, original in zip(columns, _originals(columns), strict=True):
        if noted.get(original) in there:
            found[column.name] = noted[original]
    taken = set(found.values())
    for column in columns:
        if column.name not in found and column.name in there and column.name not in taken:
            found[column.name] = column.name
    return found


def _originals(columns: Sequence[Column]) -> list[tuple[str, int]]:
    """What files call columns; the second of one name is the second of it in every file."""
    seen: Counter[str] = Counter()
    made = []
    for column in columns:
        seen[column.original] += 1
        made.append((column.original, seen[column.original]))
    return made
