"""A collection's items in pgstac, read in ranges of their ids, and its document.

Each method is one transaction, and `items` one for each page it reads: no connection is held while somebody
works on what it brought. Whoever writes looks last whether the attempt still has its task, as a load does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson
from psycopg import errors
from psycopg.types.json import Jsonb
from pydantic import JsonValue

from interfaces.catalog import CatalogNotSetUp, CollectionNotFound, Holder
from interfaces.catalog_items import CatalogItems, FieldValues, ItemFilter, ItemRange, Queryable, RangeExtent
from interfaces.collection_summaries import LONGEST_VALUE
from interfaces.errors import LeaseLost

from .breakers import Breaker
from .connection import Connection
from .database import Database
from .json_text import to_json
from .pgstac_conflicts import MISSING, check_set_up
from .pgstac_schema import PgstacSchema
from .sql_files import queries


class PgstacItems(CatalogItems):
    """`CatalogItems` on the app's database, behind the catalog's circuit breaker. Thread-safe."""

    def __init__(self, database: Database, breaker: Breaker | None = None) -> None:
        self._database = database
        self._breaker = breaker
        self._sql = queries("pgstac_items")

    def document(self, collection_id: str) -> dict[str, JsonValue]:
        """The collection's document."""
        with self._reading() as connection:
            return self._document(connection, "document", collection_id)

    def boundaries(self, collection_id: str, size: int, wanted: ItemFilter) -> list[str]:
        """Every `size`th id of those wanted."""
        given = {"collection": collection_id, "size": size, **_filter(wanted)}
        with self._reading() as connection:
            return [str(row["id"]) for row in connection.execute(self._sql["boundaries"], given)]

    def items(self, part: ItemRange, wanted: ItemFilter, limit: int) -> Iterator[list[dict[str, Any]]]:
        """The items that are wanted, a page in each transaction."""
        after = part.after
        while True:
            given = {**_range(part), "after": after, "limit": limit, **_filter(wanted)}
            with self._reading() as connection:
                page = [orjson.loads(row["item"]) for row in connection.execute(self._sql["items"], given)]
            if page:
                yield page
            if len(page) < limit:
                return
            after = page[-1]["id"]

    def extent(self, part: ItemRange) -> RangeExtent:
        """Where and when the range's items are."""
        with self._reading() as connection:
            row = connection.execute(self._sql["extent"], _range(part)).fetchone()
        assert row is not None
        return RangeExtent(**row)

    def values(self, part: ItemRange, fields: list[str], limit: int) -> list[FieldValues]:
        """What the range's items have in these fields."""
        given = {**_range(part), "fields": fields, "limit": limit, "longest": LONGEST_VALUE}
        with self._reading() as connection:
            return [FieldValues(**row) for row in connection.execute(self._sql["values"], given)]

    def extensions(self, part: ItemRange) -> list[str]:
        """Schemas that the range's items name."""
        with self._reading() as connection:
            rows = connection.execute(self._sql["extensions"], _range(part)).fetchall()
        return [str(row["extension"]) for row in rows]

    def change(
        self,
        collection_id: str,
        change: Callable[[dict[str, JsonValue]], Mapping[str, JsonValue]],
        holder: Holder,
    ) -> bool:
        """Replace the document, under a lock of its row, so that nobody's change is lost."""
        with self._writing(holder) as connection:
            before = self._document(connection, "document_for_update", collection_id)
            after = change(before)
            if after == before:
                return False
            given = {"collection": collection_id, "content": to_json(after)}
            connection.execute(self._sql["replace_document"], given)
            return True

    def add_queryables(self, collection_id: str, holder: Holder) -> list[Queryable]:
        """Add those that are missing."""
        named = {"collection": collection_id}
        with self._writing(holder) as connection:
            rows = connection.execute(self._sql["missing_queryables"], named).fetchall()
            added = [Queryable(row["name"], row["definition"]) for row in rows]
            for one in added:
                given = {**named, "name": one.name, "definition": Jsonb(one.definition)}
                connection.execute(self._sql["add_queryable"], given)
        return added

    def _document(self, connection: Connection, query: str, collection_id: str) -> dict[str, JsonValue]:
        row = connection.execute(self._sql[query], {"collection": collection_id}).fetchone()
        if row is None:
            raise CollectionNotFound(f"collection: the catalog has no collection {collection_id!r}")
        return dict(row["content"])

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._guarded(), self._transaction(self._sql["begin_reading"]) as connection:
            yield connection

    @contextmanager
    def _writing(self, holder: Holder) -> Iterator[Connection]:
        with self._guarded(), self._transaction(self._sql["begin_writing"]) as connection:
            yield connection
            if connection.execute(self._sql["hold_task"], vars(holder)).fetchone() is None:
                raise LeaseLost("another attempt has the task; what this one wrote to the catalog is undone")

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        if self._breaker is None:
            yield
        else:
            with self._breaker.calling():
                yield

    @contextmanager
    def _transaction(self, begin: Any) -> Iterator[Connection]:
        try:
            with self._database.long_transaction() as connection:
                connection.execute(begin)
                yield connection
        except MISSING as error:
            check_set_up(PgstacSchema(self._database).state(), error)
            raise
        except errors.InsufficientPrivilege as error:
            raise CatalogNotSetUp(
                "the app's database user lacks pgstac's roles: run stac_setup as one who can grant them"
            ) from error


def _range(part: ItemRange) -> dict[str, object]:
    return {"collection": part.collection, "after": part.after, "upto": part.upto}


def _filter(wanted: ItemFilter) -> dict[str, object]:
    start, end = wanted.times
    west, south, east, north = wanted.bbox or (None, None, None, None)
    return {"start": start, "end": end, "west": west, "south": south, "east": east, "north": north}
