"""The one place that knows pypgstac's loader: it runs inside a transaction of ours, on our connection.

What is left out of it, and why:

* its connections: each would need a session to itself, and be kept by the interpreter until it ends;
* its retries, which sleep for up to two minutes while locks are held: whoever opened the transaction tries
  anew;
* its JSON functions, which it sets for every connection of the process when it is imported.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import set_json_dumps, set_json_loads
from pydantic import JsonValue

from .connection import Connection

Row = dict[str, Any]
"""An item as pgstac stores it: columns of its table, and the name of its partition."""


@dataclass(frozen=True)
class Storage:
    """How a collection's items are stored."""

    key: int
    partition_trunc: str | None
    base_item: Mapping[str, JsonValue]
    """What all its items share, and is not stored with each."""
    base_item_id: int | None


class Unstorable(Exception):
    """The item cannot be stored; the text is the loader's reason."""


def row_of(item: dict[str, JsonValue], storage: Storage) -> Row:
    """The item as a row; nothing is asked of the database. Raises `Unstorable`."""
    loader = _library().Formatter(storage)
    try:
        row: Row = loader.format_item(item)
    except Exception as error:
        # The loader raises plain Exceptions, and whatever its reader of geometries does.
        raise Unstorable(f"{type(error).__name__}: {error}"[:500]) from error
    for column in ("datetime", "end_datetime"):
        # The loader compares times as texts, with those that the database writes.
        row[column] = row[column].replace("Z", "+00:00")
    return row


def write_rows(connection: Connection, storage: Storage, rows: Sequence[Row]) -> None:
    """Add rows of one collection, or replace those of the same ids, inside the connection's transaction."""
    library = _library()
    loader = library.Writer(library.Session(connection), storage)
    # The loader takes the partition out of each row that it writes; they may have to be written again.
    loader.load_items(map(dict, rows), library.delsert, chunksize=len(rows))


@functools.cache
def _library() -> SimpleNamespace:
    """pypgstac, which takes 0.3 s to import."""
    from pypgstac.db import PgstacDB
    from pypgstac.load import Loader, Methods, Partition

    set_json_dumps(json.dumps)
    set_json_loads(json.loads)

    class Session(PgstacDB):
        """Our connection, as pypgstac wants it."""

        def __init__(self, connection: Connection) -> None:
            super().__init__()
            self._given = connection

        def connect(self) -> psycopg.Connection[Any]:
            return self._given

        def query(  # type: ignore[override]
            self, query: Any, args: Any = None, row_factory: Any = tuple_row
        ) -> Generator[Any, None, None]:
            with self._given.cursor(row_factory=row_factory) as cursor:
                yield from cursor.execute(query, args)

    class Formatter(Loader):
        """Makes rows of items, of a collection that is known."""

        def __init__(self, storage: Storage) -> None:
            super().__init__(PgstacDB())
            self._storage = storage

        def collection_json(self, collection_id: str) -> Any:  # noqa: ARG002
            known = self._storage
            return known.base_item, known.key, known.partition_trunc, known.base_item_id

    class Writer(Formatter):
        """Writes rows that were made before."""

        def __init__(self, session: Session, storage: Storage) -> None:
            super().__init__(storage)
            self.db = session

        def format_item(self, row: Any) -> Any:
            return row

        def load_partition(  # type: ignore[override]
            self, partition: Partition, items: Iterable[Row], insert_mode: Any = None
        ) -> None:
            Loader.load_partition.__wrapped__(self, partition, items, insert_mode)

    return SimpleNamespace(Session=Session, Formatter=Formatter, Writer=Writer, delsert=Methods.delsert)
