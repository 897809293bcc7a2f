"""The database's roles: the schema's owner, the app, and readers (docs/adr/0021, docs/database-roles.md).

`python -m repositories.roles` makes them, as an administrator, who need be no superuser. It can be run again
at any time: after a role was added, or layers were given another schema.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from interfaces.errors import OrchestratorError
from interfaces.settings import Settings

from .connection import Connection
from .credentials import database_token
from .database import Database
from .schema import changed
from .sql_files import queries

ENGINE = ("app", "audit", "geo", "geo_staging")
"""Schemas of the owner's."""
READER_SECONDS = 60
READER_LOCK_SECONDS = 5


class RolesRefused(OrchestratorError):
    """The database does not let roles be made as they should be; nothing was changed."""

    status = 409
    title = "Roles refused"


@dataclass(frozen=True)
class RoleNames:
    """Who has which duty in a database. `layers`: schemas in which the app makes tables of features."""

    owner: str
    app: str
    reader: str
    layers: Sequence[str] = ("features",)

    def __post_init__(self) -> None:
        if len({self.owner, self.app, self.reader}) < 3:
            raise RolesRefused("owner, app and reader must be three roles")


class Roles:
    """Makes roles and what they may do; raises `RolesRefused`."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def make(self, names: RoleNames, patience: float) -> list[str]:
        """Make what is missing, in one transaction; answers the roles that it made, who cannot log in."""

        def work(connection: Connection) -> list[str]:
            with _refusing():
                return _Making(connection, names, self._settings).make()

        return changed(self._database, patience, work)


class _Making:
    """One transaction of it."""

    def __init__(self, connection: Connection, names: RoleNames, settings: Settings) -> None:
        self._connection = connection
        self._names = names
        self._settings = settings
        self._sql = queries("roles")
        self._roles = {duty: sql.Identifier(getattr(names, duty)) for duty in ("owner", "app", "reader")}

    def make(self) -> list[str]:
        names = self._names
        made = [role for role in (names.owner, names.app, names.reader) if self._made(role)]
        for role in (names.app, names.reader):
            self._restrain(role)
        for role in (names.owner, names.app):
            self._hold(role)
        place = self._row("place")
        self._run("grant_database", database=sql.Identifier(place["database"]), **self._roles)
        for schema in (*ENGINE, *names.layers):
            self._run("create_schema", schema=sql.Identifier(schema), owner=self._roles["owner"])
        layers = self._layers()
        self._hand_over(layers)
        self._run("default_privileges", **self._roles)
        self._act(names.app)
        self._run_made("grant_layer", layers=layers, reader=names.reader)
        self._act(names.owner)
        self._connection.execute(queries("migrations")["grant_access"])
        self._act(None)
        self._join_catalog()
        self._set(place["database"], place["postgis"])
        return made

    def _made(self, role: str) -> bool:
        if self._connection.execute(self._sql["role"], {"role": role}).fetchone() is not None:
            return False
        self._run("create_role", role=sql.Identifier(role))
        return True

    def _restrain(self, role: str) -> None:
        """Of a role that was there: what would let it be more than it is to be."""
        found = self._row("powers", role=role, owner=self._names.owner)
        if found["is_superuser"]:
            raise RolesRefused(f"{role} is a superuser, whom nothing is refused: let another role do this")
        if found["is_owner"]:
            raise RolesRefused(f"{role} is a member of {self._names.owner}, as whom it could do everything")
        if found["makes_others"]:
            self._run("restrain", role=sql.Identifier(role))

    def _hold(self, role: str) -> None:
        """Make this user a member of a role, whom it acts as."""
        if not self._row("role", role=role)["held"]:
            self._run("hold", role=sql.Identifier(role))

    def _act(self, role: str | None) -> None:
        if role is None:
            self._connection.execute(self._sql["act_as_oneself"])
        else:
            self._run("act_as", role=sql.Identifier(role))

    def _layers(self) -> list[int]:
        """Tables that were loaded before."""
        if not self._row("has_layers")["present"]:
            return []
        return [row["oid"] for row in self._connection.execute(self._sql["layers"])]

    def _hand_over(self, layers: list[int]) -> None:
        """Give each what is there and another role's, and the app the schemas in which it makes tables."""
        names, roles = self._names, self._roles
        given = {"owner": names.owner, "app": names.app, "layers": layers}
        schemas = [*ENGINE, *names.layers]
        rows = self._connection.execute(self._sql["belongings"], {**given, "schemas": schemas}).fetchall()
        for had in {row["has"] for row in rows}:
            self._hold(had)
        self._give(row["statement"] for row in rows if row["gets"] == names.owner)
        self._act(names.owner)
        # Nobody can be given what is in a schema where he may make nothing.
        for schema in ("geo_staging", *names.layers):
            place = sql.Identifier(schema)
            self._run("grant_layer_schema", schema=place, app=roles["app"], reader=roles["reader"])
        self._act(None)
        self._give(row["statement"] for row in rows if row["gets"] == names.app)

    def _give(self, statements: Iterable[str]) -> None:
        for statement in statements:
            self._connection.execute(statement.encode())

    def _join_catalog(self) -> None:
        given = {"app": self._names.app, "reader": self._names.reader}
        for row in self._connection.execute(self._sql["catalog_roles"], given).fetchall():
            self._run("grant_role", role=sql.Identifier(row["role"]), member=sql.Identifier(row["member"]))

    def _set(self, database: str, postgis: str) -> None:
        for role, settings in _bounds(self._names, self._settings, postgis).items():
            for name, values in settings.items():
                self._run(
                    "setting",
                    role=sql.Identifier(role),
                    database=sql.Identifier(database),
                    name=sql.Identifier(name),
                    values=sql.SQL(", ").join(map(sql.Literal, values)),
                )

    def _run(self, query: str, **parts: sql.Composable) -> None:
        self._connection.execute(sql.SQL(self._sql[query]).format(**parts))

    def _run_made(self, query: str, **given: object) -> None:
        """Execute the statements that a query makes."""
        self._give(row["statement"] for row in self._connection.execute(self._sql[query], given).fetchall())

    def _row(self, query: str, **given: object) -> dict[str, Any]:
        row = self._connection.execute(self._sql[query], given).fetchone()
        assert row is not None, query
        return row


def _bounds(names: RoleNames, settings: Settings, postgis: str) -> dict[str, dict[str, list[str]]]:
    """What bounds the sessions of each role, whoever opened them. The app's own bounds are narrower."""
    # Nobody waits for a statement, or goes on with a transaction, longer than its process lives.
    longest = f"{settings.function_timeout.total_seconds():g}s"
    path = ["pg_catalog", postgis, "pg_temp"]
    return {
        # Migrations bound their waits themselves, and name everything with its schema.
        names.owner: {"search_path": ["pg_catalog", "pg_temp"]},
        names.app: {
            "statement_timeout": [longest],
            "lock_timeout": [f"{settings.database_long_seconds:g}s"],
            "idle_in_transaction_session_timeout": [longest],
            "search_path": path,
        },
        names.reader: {
            "default_transaction_read_only": ["on"],
            "statement_timeout": [f"{READER_SECONDS}s"],
            "lock_timeout": [f"{READER_LOCK_SECONDS}s"],
            "idle_in_transaction_session_timeout": [f"{READER_SECONDS}s"],
            "search_path": path,
        },
    }


@contextmanager
def _refusing() -> Iterator[None]:
    """What the database does not let be done is refused with its own words; what may pass is not caught."""
    try:
        yield
    except psycopg.OperationalError:
        raise
    except psycopg.Error as error:
        raise RolesRefused(str(error).partition("\n")[0]) from error


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m repositories.roles",
        description="Make the roles of the database that DATABASE_URL names, as an administrator of it.",
    )
    parser.add_argument("--owner", default="orchestrator_owner", help="whose the schema is")
    parser.add_argument("--app", default="orchestrator_app", help="as whom the app connects")
    parser.add_argument("--reader", default="orchestrator_reader", help="as whom dashboards connect")
    parser.add_argument(
        "--layers", nargs="*", default=["features"], metavar="SCHEMA", help="schemas of loaded tables"
    )
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Command line."""
    given = _arguments(sys.argv[1:] if words is None else words)
    settings = Settings()
    if not settings.database_url.get_secret_value():
        raise SystemExit("DATABASE_URL is not set")
    try:
        names = RoleNames(given.owner, given.app, given.reader, tuple(given.layers))
        token = database_token() if settings.database_identity else None
        database = Database(settings, token, connections=1)
        made = Roles(database, settings).make(names, settings.database_long_seconds)
        database.close()
    except OrchestratorError as error:
        raise SystemExit(error.detail) from None
    for role in made:
        sys.stdout.write(f"made {role}, which cannot log in yet\n")
    sys.stdout.write(f"{names.owner} owns, {names.app} works, {names.reader} reads\n")


if __name__ == "__main__":
    main()
