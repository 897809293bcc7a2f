"""pgstac's schema: installed and migrated by its own migration files, never dropped.

The files are pypgstac's; its `Migrate` is not used, because it needs the session of one connection to
itself, which PgBouncer in transaction mode does not give. Here all files of a migration run in one
transaction, under a lock: it is applied whole or not at all, once.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import LiteralString

import psycopg
from pydantic import SecretStr

from interfaces.catalog import CatalogMigration, CatalogRefused, CatalogState
from interfaces.errors import OrchestratorError
from interfaces.settings import Settings

from .connection import Connection
from .credentials import database_token
from .database import Database
from .sql_files import queries

EXTENSIONS = ("postgis", "btree_gist", "unaccent")
ROLES = ("pgstac_admin", "pgstac_ingest", "pgstac_read")
POSTGIS_SCHEMAS = ("public", "pgstac")
"""pgstac looks for PostGIS there and nowhere else."""
COMMAND_SECONDS = 86_400.0
_LOCK = 0x706773746163  # "pgstac"; any number nobody else locks
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


class PgstacSchema:
    """What is installed of pgstac. Raises `ServiceUnavailable` when the database cannot be reached."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("pgstac_schema")

    def state(self) -> CatalogState:
        """What the database has, and what this release would bring."""
        with self._database.connection() as connection:
            return self._state(connection)

    def installed(self) -> str | None:
        """The version that the database has; None where there is none. Cheap."""
        with self._database.connection() as connection:
            return self._installed(connection)

    def migrate(self) -> CatalogMigration:
        """Install pgstac, or bring it to this release's version; nothing when it is there already.

        Raises `CatalogRefused`, and changes nothing, when an extension or a privilege is missing, or the
        installed version is newer than this release's or one that it has no way from.
        """
        with self._database.long_transaction() as connection:
            connection.execute(queries("schema")["bound_lock_wait"])
            connection.execute(self._sql["lock"], {"key": _LOCK})
            state = self._state(connection)
            applied = []
            if state.installed != state.library:
                self._check(connection, state)
                applied = self._apply(connection, state)
        self._run_queued()
        return CatalogMigration(before=state.installed, after=state.library, applied=applied)

    def _state(self, connection: Connection) -> CatalogState:
        created = {
            row["name"]: row for row in connection.execute(self._sql["extensions"], {"names": [*EXTENSIONS]})
        }
        roles = connection.execute(self._sql["roles"], {"names": [*ROLES]}).fetchall()
        return CatalogState(
            installed=self._installed(connection),
            library=library_version(),
            extensions={name: created[name]["version"] if name in created else None for name in EXTENSIONS},
            roles={row["name"]: row["held"] for row in roles},
        )

    def _installed(self, connection: Connection) -> str | None:
        if not _one(connection, self._sql["has_pgstac"])["present"]:
            return None
        row = connection.execute(self._sql["version"]).fetchone()
        return None if row is None else str(row["version"])

    def _check(self, connection: Connection, state: CatalogState) -> None:
        """Raise `CatalogRefused` when an installation or migration would fail, or must not be made."""
        _check_version(state)
        available = {
            row["name"]: row for row in connection.execute(self._sql["extensions"], {"names": [*EXTENSIONS]})
        }
        if state.extensions["postgis"] is None:
            raise CatalogRefused(_no_postgis("postgis" in available))
        schema = available["postgis"]["schema"]
        if schema not in POSTGIS_SCHEMAS:
            raise CatalogRefused(f"PostGIS is in the schema {schema}; pgstac looks for it in public")
        missing = [name for name in EXTENSIONS if name not in available]
        if missing:
            raise CatalogRefused(
                f"the server does not offer the extension {' and '.join(missing)}, which pgstac needs;"
                " in Azure, extensions are allowed by the server parameter azure.extensions"
            )
        privileges = _one(connection, self._sql["privileges"])
        lacking = _lacking(privileges, state)
        if lacking:
            raise CatalogRefused(f"the database user {privileges['name']} {' and '.join(lacking)}")

    def _apply(self, connection: Connection, state: CatalogState) -> list[str]:
        from pypgstac.migrate import get_sql

        files = migration_files(state.installed)
        if _one(connection, self._sql["has_queue"])["present"]:
            connection.execute(self._sql["discard_queued_statistics"], {})
        with _refusing("roles"):
            self._hold_roles(connection, state)
            connection.execute(self._sql["create_schema"])
            connection.execute(self._sql["search_path"])
        for file in files:
            with _refusing(file):
                # Not from input: it is a file of the library.
                connection.execute(get_sql(file).encode())
        connection.execute(self._sql["leave_session"])
        after = self._installed(connection)
        if after != state.library:
            raise CatalogRefused(f"the migration to {state.library} ended at version {after}")
        return files

    def _hold_roles(self, connection: Connection, state: CatalogState) -> None:
        """Make pgstac's roles, and this user a member of each, whom the migrations act as.

        They see to it for one of the roles only, which is enough for a superuser alone.
        """
        for role in ROLES:
            if role not in state.roles:
                connection.execute(self._sql[f"create_{role}"])
            if not state.roles.get(role):
                connection.execute(self._sql[f"hold_{role}"])

    def _run_queued(self) -> None:
        """Work off pgstac's queue, in which migrations, and loads that died, leave statistics of partitions.

        Each in a transaction of its own, for it takes locks that a search would wait for.
        """
        ran = True
        while ran:
            with self._database.long_transaction() as connection:
                connection.execute(self._sql["search_path"])
                ran = bool(_one(connection, self._sql["run_queued"])["ran"])


def library_version() -> str:
    """The version of pgstac that this release installs."""
    from pypgstac.version import __version__

    return str(__version__)


def migration_files(installed: str | None) -> list[str]:
    """The files that lead from a version to this release's, in their order.

    Raises `CatalogRefused` where there is no way.
    """
    from pypgstac.migrate import MigrationPath, migrations_dir

    target = library_version()
    if installed is None:
        return [f"pgstac.{target}.sql"]
    path = MigrationPath(migrations_dir, installed, target)
    if path.build_path() is None:
        raise CatalogRefused(f"pypgstac {target} has no migration from the installed pgstac {installed}")
    return path.migrations()


def _check_version(state: CatalogState) -> None:
    installed, library = state.installed, state.library
    if installed is None:
        return
    theirs, ours = _VERSION.match(installed), _VERSION.match(library)
    if theirs is None or ours is None:
        raise CatalogRefused(f"the installed pgstac is of version {installed}, which is no release")
    if tuple(map(int, theirs.groups())) > tuple(map(int, ours.groups())):
        raise CatalogRefused(
            f"the installed pgstac {installed} is newer than {library}, the version of this release:"
            " deploy a release that knows it; a catalog is never taken back to an older version"
        )
    migration_files(installed)


def _no_postgis(available: bool) -> str:
    if available:
        return (
            "PostGIS is missing: let an administrator run CREATE EXTENSION postgis in this database"
            " (in Azure a member of azure_pg_admin)"
        )
    return (
        "PostGIS is missing, and this server does not offer it: install its package, or in Azure allow it by"
        " the server parameter azure.extensions; then CREATE EXTENSION postgis"
    )


def _lacking(privileges: Mapping[str, object], state: CatalogState) -> list[str]:
    lacking = []
    # The migrations change settings of the roles, which is up to who may make roles.
    if not privileges["makes_roles"]:
        lacking.append(
            "may not create roles: pgstac's migrations need CREATEROLE (no superuser; in Azure the server's"
            " administrator has it and can grant it)"
        )
    if state.installed is None and not privileges["makes_schemas"]:
        lacking.append("may not create schemas: GRANT CREATE ON DATABASE to it")
    return lacking


def _one(connection: Connection, query: LiteralString) -> Mapping[str, object]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


@contextmanager
def _refusing(step: str) -> Iterator[None]:
    """What the database does not let be done is refused with its own words; what may pass is not caught."""
    try:
        yield
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        first_line = str(error).partition("\n")[0]
        raise CatalogRefused(f"{step}: {first_line}") from error


def main() -> None:
    """Command line: install or migrate pgstac in the database that `DATABASE_URL` names."""
    url = os.environ.get("DATABASE_URL", "")
    if not url:
        raise SystemExit("DATABASE_URL is not set")
    settings = Settings(database_url=SecretStr(url))
    token = database_token() if settings.database_identity else None
    try:
        # Somebody looks on here, and no function's timeout ends it.
        database = Database(settings.model_copy(update={"database_long_seconds": COMMAND_SECONDS}), token)
        try:
            done = PgstacSchema(database).migrate()
        finally:
            database.close()
    except OrchestratorError as refusal:
        raise SystemExit(refusal.detail) from None
    sys.stdout.write(f"pgstac {done.before or 'none'} → {done.after}\n")


if __name__ == "__main__":
    main()
