"""What stac_setup does with an installed pgstac: settings, grants, and a trial that leaves nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql
from pydantic import JsonValue

from interfaces.catalog import (
    CatalogAdministration,
    CatalogMigration,
    CatalogRefused,
    CatalogState,
    ItemsRefused,
)

from .connection import Connection
from .database import Database
from .json_text import to_json
from .pgstac_conflicts import tried
from .pgstac_schema import PgstacSchema
from .sql_files import queries

READER, WRITER = "pgstac_read", "pgstac_ingest"
TRIAL_LOCK = 0x747269616C  # "trial"; each makes a partition, so they take turns
TRIAL_PLACE: dict[str, JsonValue] = {"type": "Point", "coordinates": [12.5, 47.5]}
TRIAL_BOX: list[JsonValue] = [12, 47, 13, 48]


class PgstacAdministration(CatalogAdministration):
    """`CatalogAdministration` on the app's database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._schema = PgstacSchema(database)
        self._sql = queries("pgstac_schema")

    def state(self) -> CatalogState:
        """What is installed."""
        return self._schema.state()

    def migrate(self) -> CatalogMigration:
        """Install pgstac, or bring it to this release's version."""
        return self._schema.migrate()

    def settings(self) -> dict[str, str]:
        """pgstac's own settings."""
        with self._transaction("settings") as connection:
            return {row["name"]: row["value"] for row in connection.execute(self._sql["settings"])}

    def configure(self, settings: Mapping[str, str]) -> list[str]:
        """Set some of them; answers those that were otherwise."""
        with self._transaction("settings") as connection:
            return [
                name
                for name, value in settings.items()
                if connection.execute(self._sql["configure"], {"name": name, "value": value}).fetchone()
            ]

    def grant(self, readers: Sequence[str], writers: Sequence[str]) -> list[str]:
        """Let database roles read or fill the catalog; answers the grants that were new."""
        wanted = [(READER, role) for role in readers] + [(WRITER, role) for role in writers]
        with self._transaction("grants") as connection:
            return [f"{given} to {role}" for given, role in wanted if self._grant(connection, given, role)]

    def verify(self) -> dict[str, int]:
        """Load and search an item in a transaction that is undone."""
        identifier = f"stac-setup-{uuid.uuid4().hex}"
        collection = {"type": "Collection", "id": identifier, "links": [], "description": "A trial"}
        item = {
            "type": "Feature",
            "id": identifier,
            "collection": identifier,
            "geometry": TRIAL_PLACE,
            "properties": {"datetime": "2026-01-01T00:00:00Z"},
            "assets": {},
            "links": [],
        }
        search = {"collections": [identifier], "bbox": TRIAL_BOX, "datetime": "2026-01-01T00:00:00Z/.."}
        self._try_out(to_json(collection), to_json(item), to_json(search))
        with self._transaction("counts") as connection:
            row = connection.execute(self._sql["counts"]).fetchone()
        return dict(row or {})

    def _try_out(self, collection: str, item: str, search: str) -> None:
        """The trial, again where others who make partitions got in its way."""

        def trial() -> None:
            with self._database.long_transaction() as connection:
                connection.execute(self._sql["lock"], {"key": TRIAL_LOCK})
                connection.execute(self._sql["search_path"])
                connection.execute(self._sql["queue_statistics"])
                connection.execute(self._sql["trial_collection"], {"content": collection})
                connection.execute(self._sql["trial_item"], {"item": item})
                found = connection.execute(self._sql["trial_search"], {"search": search}).fetchone()
                if found is None or found["found"] != 1:
                    raise CatalogRefused("an item that was loaded for trial is not found by a search")
                self._undo()

        with _refusing("trial"):
            tried(trial)

    def _undo(self) -> None:
        raise psycopg.Rollback

    def _grant(self, connection: Connection, given: str, role: str) -> bool:
        row = connection.execute(self._sql["role_of"], {"role": role, "pgstac_role": given}).fetchone()
        if row is None:
            raise CatalogRefused(f"the database has no role {role!r}")
        if row["held"]:
            return False
        names = {"pgstac_role": sql.Identifier(given), "role": sql.Identifier(role)}
        connection.execute(sql.SQL(self._sql["grant"]).format(**names))
        return True

    @contextmanager
    def _transaction(self, step: str) -> Iterator[Connection]:
        with _refusing(step), self._database.transaction() as connection:
            yield connection


@contextmanager
def _refusing(step: str) -> Iterator[None]:
    try:
        yield
    except ItemsRefused as error:
        raise CatalogRefused(f"{step}: {error.detail}") from error
    except psycopg.Error as error:
        first_line = str(error).partition("\n")[0]
        raise CatalogRefused(f"{step}: {first_line}") from error
