"""The STAC catalog in PostgreSQL: pgstac, filled by its own loader.

A load is one transaction: either all items of it are there afterwards, each once, or none is. Loads into one
collection take turns, by a lock that the transaction holds; in a process they queue up before they take a
connection. Its last statement looks whether the attempt still has its task, and locks the task's row: an
attempt that lost its lease, however late, changes nothing, since it can commit only before the task is given
to another.

pgstac keeps statistics and constraints of partitions, which searches do not need to be right. A load leaves
them in pgstac's queue, in the same transaction, and whoever finds nobody waiting for the collection works it
off. A process that dies before that leaves it to the next load, or to stac_setup.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from threading import Lock
from typing import Any

import orjson
import psycopg
from psycopg import errors, sql
from psycopg.rows import DictRow
from pydantic import JsonValue

from interfaces.catalog import (
    CatalogItem,
    CatalogNotSetUp,
    CatalogRepository,
    CatalogState,
    CollectionNotFound,
    Holder,
    ItemsRefused,
    Loaded,
    PartitionBy,
)
from interfaces.errors import LeaseLost, ServiceUnavailable, TaskError

from .connection import Connection
from .database import Database
from .json_text import to_json
from .pgstac_conflicts import MISSING, check_set_up, tried
from .pgstac_loader import Row, Storage, Unstorable, row_of, write_rows
from .pgstac_schema import PgstacSchema
from .sql_files import queries


class _Stale(Exception):
    """What the items of a collection share was changed after rows were made."""


class PgstacCatalog(CatalogRepository):
    """`CatalogRepository` on the app's database. Thread-safe."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._schema = PgstacSchema(database)
        self._sql = queries("pgstac")
        self._turns = _Turns()

    def state(self) -> CatalogState:
        """What is installed."""
        return self._schema.state()

    def ping(self) -> None:
        """Raise unless the catalog answers."""
        with self._transaction() as connection:
            connection.execute(self._sql["version"])

    def collection(self, collection_id: str) -> dict[str, JsonValue] | None:
        """The collection's document."""
        with self._transaction() as connection:
            row = connection.execute(self._sql["collection"], {"collection": collection_id}).fetchone()
        return None if row is None else dict(row["content"])

    def create_collection(
        self, document: Mapping[str, JsonValue], partition_by: PartitionBy, holder: Holder
    ) -> bool:
        """Add a collection, unless there is one of this id."""
        given = {
            "content": to_json(document),
            "partition_trunc": None if partition_by == "none" else partition_by,
        }
        return self._write_collection("create_collection", given, holder)

    def put_collection(self, document: Mapping[str, JsonValue], holder: Holder) -> bool:
        """Add or replace a collection."""
        return self._write_collection("put_collection", {"content": to_json(document)}, holder)

    def load(
        self, collection_id: str, items: Sequence[CatalogItem], holder: Holder, *, exclusive: bool
    ) -> Loaded:
        """Add or replace items of one collection."""
        while True:
            storage = self._storage(collection_id)
            rows, unstorable = _rows(items, storage, holder)
            with self._turns.of(collection_id) as alone:
                try:
                    done = tried(
                        partial(self._loaded, collection_id, storage, rows, holder, exclusive=exclusive)
                    )
                except _Stale:
                    continue
                if alone():
                    self._settle(collection_id)
                return replace(done, refused={**unstorable, **done.refused})

    def _write_collection(self, query: str, given: Mapping[str, object], holder: Holder) -> bool:
        def written() -> bool:
            with self._transaction() as connection:
                done = connection.execute(self._sql[query], given).fetchone() is not None
                self._hold(connection, holder)
                return done

        return tried(written)

    def _loaded(
        self,
        collection_id: str,
        storage: Storage,
        rows: Sequence[tuple[CatalogItem, Row]],
        holder: Holder,
        *,
        exclusive: bool,
    ) -> Loaded:
        """One transaction: who else has these ids, the rows, their number, and whether they count."""
        named: dict[str, Any] = {"collection": collection_id}
        with self._transaction(long=True) as connection:
            connection.execute(self._sql["queue_statistics"])
            connection.execute(self._sql["lock_collection"], named)
            if _storage(connection.execute(self._sql["storage_of_collection"], named).fetchone()) != storage:
                raise _Stale
            named["ids"] = [item.id for item, _ in rows]
            there = {row["id"]: row for row in connection.execute(self._sql["items_of_ids"], named)}
            refused = {
                item.id: f"its id is that of {there[item.id]['source']}, which is in the catalog"
                for item, _ in rows
                if item.id in there and _is_anothers(there[item.id], item, holder, exclusive)
            }
            taken = [row for item, row in rows if item.id not in refused]
            if taken:
                self._write(connection, collection_id, storage, taken, there.keys() - refused.keys())
            self._hold(connection, holder)
        return Loaded(len(taken), len(there) - len(refused), refused)

    def _write(
        self,
        connection: Connection,
        collection_id: str,
        storage: Storage,
        rows: Sequence[Row],
        replaced: Set[str],
    ) -> None:
        """Write them, and count what is there then. Raises `TaskError` where that is not each one once."""
        placed: dict[str, list[str]] = {}
        for row in rows:
            placed.setdefault(row["partition"], []).append(row["id"])
        write_rows(connection, storage, rows)
        found = 0
        for partition, ids in placed.items():
            query = sql.SQL(self._sql["count_in_partition"]).format(partition=sql.Identifier(partition))
            found += _count(connection.execute(query, {"ids": ids}))
        again = {"collection": collection_id, "ids": [*replaced]}
        versions = _count(connection.execute(self._sql["count_ids"], again)) if replaced else 0
        if (found, versions) != (len(rows), len(replaced)):
            raise TaskError(
                f"of {len(rows)} items that were loaded the catalog has {found},"
                f" and {versions} of {len(replaced)} that were there before: undone"
            )

    def _storage(self, collection_id: str) -> Storage:
        with self._transaction() as connection:
            named = {"collection": collection_id}
            found = _storage(connection.execute(self._sql["storage_of_collection"], named).fetchone())
        if found is None:
            raise CollectionNotFound(f"the catalog has no collection {collection_id!r}")
        return found

    def _hold(self, connection: Connection, holder: Holder) -> None:
        """Raise `LeaseLost`, which undoes the transaction, unless the attempt still has its task."""
        if connection.execute(self._sql["hold_task"], vars(holder)).fetchone() is None:
            raise LeaseLost("another attempt has the task; what this one wrote to the catalog is undone")

    def _settle(self, collection_id: str) -> None:
        """Work off what loads have left in pgstac's queue, a transaction for each partition.

        Nothing is lost when it cannot be done now: it stays in the queue, and searches are right without it.
        """
        more = True
        while more:
            try:
                more = tried(partial(self._settled, collection_id))
            except (ServiceUnavailable, ItemsRefused, psycopg.Error):
                return

    def _settled(self, collection_id: str) -> bool:
        named: dict[str, object] = {"collection": collection_id}
        with self._transaction(long=True) as connection:
            locked = connection.execute(self._sql["try_lock_collection"], named).fetchone()
            if locked is None or not locked["locked"]:
                return False
            found = connection.execute(self._sql["queued_partition"], named).fetchone()
            if found is None:
                return False
            connection.execute(self._sql["settle_partition"], {"partition": found["partition"]})
            return True

    @contextmanager
    def _transaction(self, *, long: bool = False) -> Iterator[Connection]:
        opened = self._database.long_transaction if long else self._database.transaction
        try:
            with opened() as connection:
                connection.execute(self._sql["begin"])
                yield connection
        except MISSING as error:
            check_set_up(self.state(), error)
            raise
        except errors.InsufficientPrivilege as error:
            raise CatalogNotSetUp(
                "the app's database user lacks pgstac's roles: run stac_setup as one who can grant them"
            ) from error


class _Turns:
    """Threads of this process that load into one collection: one at a time has a connection for it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._waiting: dict[str, tuple[Lock, int]] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[Callable[[], bool]]:
        """The block's turn; what it is given tells whether nobody waits for the next one."""
        with self._lock:
            turn, waiting = self._waiting.get(name, (Lock(), 0))
            self._waiting[name] = turn, waiting + 1
        try:
            with turn:
                yield lambda: self._waiting[name][1] == 1
        finally:
            with self._lock:
                turn, waiting = self._waiting.pop(name)
                if waiting > 1:
                    self._waiting[name] = turn, waiting - 1


def _count(cursor: psycopg.Cursor[DictRow]) -> int:
    row = cursor.fetchone()
    return row["items"] if row else 0


def _storage(row: Mapping[str, Any] | None) -> Storage | None:
    return None if row is None else Storage(**row)


def _rows(
    items: Sequence[CatalogItem], storage: Storage, holder: Holder
) -> tuple[list[tuple[CatalogItem, Row]], dict[str, str]]:
    """Items as pgstac stores them, with a note of who brought them that the API does not show.

    And the ids of those that have no such form, with the reasons.
    """
    rows, unstorable = [], {}
    for item in items:
        note: dict[str, JsonValue] = {"source": item.source, "job_id": holder.job_id, "run": holder.run}
        try:
            # One at a time: a row is texts, which the garbage collector does not look into.
            rows.append((item, row_of({**orjson.loads(item.text), "private": note}, storage)))
        except Unstorable as error:
            unstorable[item.id] = str(error)
    return rows, unstorable


def _is_anothers(there: Mapping[str, Any], item: CatalogItem, holder: Holder, exclusive: bool) -> bool:
    if there["source"] is None or there["source"] == item.source:
        return False
    return exclusive or (there["job_id"], there["run"]) == (holder.job_id, holder.run)
