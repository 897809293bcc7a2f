"""Fifth stage of a load: a staging table becomes its target, for all readers at once.

Everything that readers see, or that is known of it, is in one database; so there is one transaction, and
what a crash leaves is what was committed before. In order:

1. **Prepare** commits an empty staging table in `geo_staging`, named by job, run, task and fence, with its
   row in `geo.staging_tables`. A crash before leaves nothing; after it, a table that no task is told of:
   only the items of an attempt that completed count. The retry makes another one.
2. **Load** commits a chunk's rows, its rejected features and its row in `geo.staging_chunks` together, and
   only if the attempt still holds its task, which it asks last. A crash before leaves nothing, since COPY
   is in the same transaction. A crash between the commit and the task's completion leaves a chunk that is
   there: the next attempt finds its row, and deletes what it replaces. Of two attempts at once, the whole
   transaction of the one that lost its task is rolled back; if it committed before it lost it, the other
   one began after that, and finds the row.
3. **Publish**, all in one transaction:

   a. the staging table's row is locked: a second publisher waits, and then finds it gone;
   b. counts are compared: those of tasks, of chunks' rows and of the inspection; and with d. of the table;
   c. a layer that is split by kind of geometry becomes one staging table for each kind;
   d. keys are checked; where the target is new or replaced, primary key, the number after the last feature's,
      GiST index, comments, ANALYZE and the view of pieces are made on the staging tables, which nobody else
      reads: no reader and no other load waits for them. The index of the key of a large table is made at the
      same time as its GiST index, by a session of its own, and committed: a later attempt takes it as it is;
   e. one publisher of a target at a time (advisory locks of the transaction, in the order of the tables'
      names); of a split layer, empty tables for the other kinds that a load which replaces it finds are
      made like the rest, and by an upsert features leave the tables of kinds they were of;
   f. replace: the old tables are locked together, a second at a time, between which their readers have them,
      for at most some twenty; then they are dropped, readers wait, and the staging tables take their schema
      and names; append, upsert: rows are inserted, and the staging table is dropped;
   g. `geo.layers`, `geo.layer_loads`; the staging table's row is deleted;
   h. whether the job was cancelled meanwhile: then all of it is undone;
   i. the task is held, last, because the heartbeat cannot renew what is held; then commit.

   A crash, a lost lease or an error between any two of them rolls back all: the old table is as it was,
   the staging table is whole, and no lock is left (PostgreSQL ends a transaction whose client is gone).
   A crash between the commit and the task's completion leaves the target published and the staging table
   gone: the next attempt finds what it was to do in `geo.layer_loads`, by the staging table's name, and
   answers that. So an append is never made twice.
4. **What is left**: staging tables of runs that ended, of whatever attempt, are dropped by the hourly
   clean-up (`AbandonedStaging`), each with its row in one transaction. Rejected features stay as long as
   their run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

from pydantic import Field

from interfaces.containers import Time
from interfaces.contracts import Contract, JsonObject, Summarised, TaskParameters
from interfaces.layers import SUMMED_COUNTS, ChunkCounts, FeatureTables, LoadedTable
from interfaces.workflows import TaskContext

from . import cataloguing
from .preparing import owner_of

logger = logging.getLogger(__name__)

MANY = {"columns", "table_columns", "notes", "sources"}
"""Of a published table, what there may be thousands of."""


class LoadedChunk(Contract):
    """A chunk that a task loaded."""

    staging: str
    chunk: int
    counts: ChunkCounts


class PublishLayerParameters(TaskParameters):
    """The chunks of one staging table."""

    staging: str
    items: list[LoadedChunk]
    collection_id: str | None = None
    """Of the STAC catalog, into which an item of each table goes; None for no items."""
    datetime: Time | None = None
    """Of the items; else the time of the load."""


class PublishLayerResult(Summarised):
    """One load's tables, and what became of the features that were read."""

    read: int
    rejected: int
    repaired: int
    null_geometries: int
    empty_geometries: int
    linearised: int
    antimeridian: int
    collapsed: int
    repeated_vertices: int
    largest_area_change: float
    published: list[LoadedTable]
    not_for_catalog: list[str] = Field(default_factory=list)
    """Why some tables have no item."""

    def summary(self) -> JsonObject:
        """All counts, and the tables without their columns, notes and sources."""
        return self.model_dump(mode="json", exclude={"published": {"__all__": MANY}})


class PublishLayer:
    """Publishes the tables of one load, and hands on their items where a collection is given."""

    def __init__(self, tables: FeatureTables) -> None:
        self._tables = tables

    def __call__(self, parameters: PublishLayerParameters, context: TaskContext) -> PublishLayerResult:
        """Publish, or answer what an earlier attempt published. Raises `Conflict`, `PermanentTaskError`."""
        counts = {item.chunk: item.counts for item in parameters.items}
        context.check()
        done = self._tables.publish(parameters.staging, owner_of(context), counts)
        every = list(counts.values())
        collection_id = parameters.collection_id
        without = []
        if collection_id is not None:
            without = cataloguing.discovered(done, collection_id, parameters.datetime, context)
        return PublishLayerResult(
            **{name: sum(getattr(one, name) for one in every) for name in SUMMED_COUNTS},
            largest_area_change=max((one.largest_area_change for one in every), default=0.0),
            published=done,
            not_for_catalog=without,
        )


class Swept(Protocol):
    """The part of the repository that the clean-up calls."""

    def sweep(self, age: timedelta) -> Iterator[str]:
        """Drop abandoned staging tables."""
        ...

    def sweep_rejected(self) -> int:
        """Delete rejected features of runs that are no more."""
        ...


class AbandonedStaging:
    """Drops staging tables whose runs have ended, and features of runs that were removed."""

    def __init__(self, tables: Swept) -> None:
        self._tables = tables

    def clean(self, age: timedelta, check: Callable[[], None]) -> int:
        """Drop them; answers how many. `check` is called in between, and may raise."""
        total = 0
        while True:
            dropped = 0
            for name in self._tables.sweep(age):
                check()
                logger.info("staging table %s was dropped", name)
                dropped += 1
            total += dropped
            if not dropped:
                break
        while removed := self._tables.sweep_rejected():
            check()
            total += removed
        return total
