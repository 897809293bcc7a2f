"""The schema as an operator handles it: what it lacks, made, dropped, made anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psycopg
import tenacity

from interfaces.errors import ServiceUnavailable

from . import migrations
from .audit import note_schema_change
from .connection import Connection
from .database import Database
from .keyset import Document
from .sql_files import queries

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds in which a change of the schema tries to get its locks while a request waits for it."""


class _LocksTaken(Exception):
    """Others hold what a change of the schema needs."""


class SchemaBehind(ServiceUnavailable):
    """The database has not been brought to this release yet."""

    title = "Schema behind"


class Schema:
    """Each operation happens whole or not at all, as the schema's owner, but for indexes built beside work.

    `ServiceUnavailable` when it gets no locks, `MigrationError` when it must not be.

    It waits for a lock only as long as others can bear to queue behind it, then lets them pass, and tries
    again for `patience` seconds.
    """

    def __init__(self, database: Database, owner: Database | None = None, patience: float = PATIENCE) -> None:
        self._database = database
        self._owner = owner or database
        self._patience = patience

    def state(self) -> Document:
        """Which files are applied, and which are pending."""
        with self._database.connection() as connection:
            applied = migrations.applied(connection)
            return {
                "applied": len(applied),
                "newest": applied[-1].name if applied else None,
                "pending": migrations.pending(connection),
            }

    def pending(self) -> list[str]:
        """Files that were not applied yet; empty when the schema is up to date, or ahead."""
        with self._database.connection() as connection:
            return migrations.pending(connection)

    def migrate(self) -> Document:
        """Apply what is pending, then build the indexes that are missing."""

        def migrate(connection: Connection) -> list[str]:
            made = migrations.migrate(connection)
            note_schema_change(connection, "migrated", made)
            return made

        made = changed(self._owner, self._patience, migrate)
        return {"dropped": [], "made": [*made, *self._build_indexes()]}

    def redeploy(self) -> Document:
        """Drop the schema with all jobs and make it anew."""

        def redeploy(connection: Connection) -> tuple[list[str], list[str], list[str]]:
            dropped = migrations.drop(connection)
            applied = migrations.migrate(connection)
            note_schema_change(connection, "redeployed", applied)
            return dropped, migrations.schema_objects(connection), applied

        dropped, made, applied = changed(self._owner, self._patience, redeploy)
        return {"dropped": dropped, "made": made, "applied": [*applied, *self._build_indexes()]}

    def nuke(self) -> Document:
        """Drop the schema with all jobs."""

        def nuke(connection: Connection) -> list[str]:
            dropped = migrations.drop(connection)
            note_schema_change(connection, "nuked", [])
            return dropped

        return {"dropped": changed(self._owner, self._patience, nuke), "made": []}

    def _build_indexes(self) -> list[str]:
        """After the commit, since they are built in no transaction."""
        with self._owner.long_connection() as connection:
            return migrations.build_indexes(connection)


def changed(database: Database, patience: float, work: Callable[[Connection], T]) -> T:
    """What the work answers, in one transaction that changes tables in use.

    Raises `ServiceUnavailable` when it got no locks in `patience` seconds.
    """
    again = tenacity.retry(
        retry=tenacity.retry_if_exception_type(_LocksTaken),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=5),
        stop=tenacity.stop_after_delay(patience),
        reraise=True,
    )
    try:
        return again(_try)(database, work)
    except _LocksTaken as error:
        raise ServiceUnavailable(
            "nothing was changed: others hold locks of the tables for too long"
        ) from error


def _try(database: Database, work: Callable[[Connection], T]) -> T:
    with database.long_transaction() as connection:
        connection.execute(queries("migrations")["bound_lock_wait"])
        try:
            return work(connection)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
            raise _LocksTaken from error


class Readiness:
    """Whether the database has what this release needs: asked until it has, and then never again."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._met = False

    def require(self) -> None:
        """Raise `SchemaBehind` before anything is done that would fail, and be held against the work."""
        if self._met:
            return
        missing = self._schema.pending()
        if missing:
            raise SchemaBehind(
                f"the database lacks {len(missing)} files of this release, such as {missing[0]}: run migrate"
            )
        self._met = True
