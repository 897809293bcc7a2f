"""The schema as an operator handles it: what it lacks, made, dropped, made anew."""

from __future__ import annotations

from . import migrations
from .audit import note_schema_change
from .connection import Connection
from .database import Database
from .keyset import Document
from .sql_files import queries


class Schema:
    """Each operation happens whole or not at all, but for indexes that are built beside running work.

    Raises `ServiceUnavailable` when it cannot get its locks.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

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
        """Files that were not applied yet; empty when the schema is up to date."""
        with self._database.connection() as connection:
            return migrations.pending(connection)

    def migrate(self) -> Document:
        """Apply what is pending."""
        with self._database.long_transaction() as connection:
            _bound_lock_wait(connection)
            made = migrations.migrate(connection)
            note_schema_change(connection, "migrated", made)
        return {"dropped": [], "made": [*made, *self._build_indexes()]}

    def redeploy(self) -> Document:
        """Drop the schema with all jobs and make it anew."""
        with self._database.long_transaction() as connection:
            _bound_lock_wait(connection)
            dropped = migrations.drop(connection)
            applied = migrations.migrate(connection)
            note_schema_change(connection, "redeployed", applied)
            made = migrations.schema_objects(connection)
        return {"dropped": dropped, "made": made, "applied": [*applied, *self._build_indexes()]}

    def _build_indexes(self) -> list[str]:
        """After the commit, since they are built in no transaction."""
        with self._database.long_connection() as connection:
            return migrations.build_indexes(connection)

    def nuke(self) -> Document:
        """Drop the schema with all jobs."""
        with self._database.long_transaction() as connection:
            _bound_lock_wait(connection)
            dropped = migrations.drop(connection)
            note_schema_change(connection, "nuked", [])
            return {"dropped": dropped, "made": []}


def _bound_lock_wait(connection: Connection) -> None:
    """Give up rather than queue behind a running task, with everybody else queueing behind us."""
    connection.execute(queries("schema")["bound_lock_wait"])
