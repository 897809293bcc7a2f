"""A database server of Azure's: the extensions that the app needs, and the identity that a role stands for.

`python -m repositories.entra_roles --role NAME --object-id ID` runs as an Entra administrator of the server,
who is no superuser, against the database that `DATABASE_URL` names. It can be run again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from pydantic import SecretStr

from interfaces.errors import OrchestratorError
from interfaces.settings import Settings

from .credentials import database_token
from .database import Database
from .pgstac_schema import EXTENSIONS
from .sql_files import queries


class EntraRefused(OrchestratorError):
    """The server does not let itself be made ready; nothing was changed."""

    status = 409
    title = "Server refused"


def create_extensions(database: Database) -> None:
    """Create what PostGIS and pgstac need; raises `EntraRefused` where the server does not allow it.

    In Azure the parameter `azure.extensions` has to list them.
    """
    query = queries("entra")["create_extension"]
    try:
        with database.transaction() as connection:
            for name in EXTENSIONS:
                connection.execute(sql.SQL(query).format(extension=sql.Identifier(name)))
    except psycopg.Error as error:
        raise EntraRefused(_first_line(error)) from error


def let_log_in(database: Database, role: str, identity: UUID) -> bool:
    """Let an identity log in as a role, by its object id; False where it already may.

    Raises `EntraRefused` where there is no such role, or the server is none of Azure's.
    """
    label = f"aadauth,oid={identity},type=service"
    try:
        with database.transaction() as connection:
            row = connection.execute(queries("entra")["label"], {"role": role}).fetchone()
            if row is None:
                raise EntraRefused(f"there is no role {role}: python -m repositories.roles makes it")
            if row["logs_in"] and row["label"] == label:
                return False
            query = sql.SQL(queries("entra")["let_log_in"])
            connection.execute(query.format(role=sql.Identifier(role), label=sql.Literal(label)))
            return True
    except psycopg.Error as error:
        raise EntraRefused(_first_line(error)) from error


def _of(settings: Settings, name: str) -> Settings:
    """For another database of the same server."""
    url = make_conninfo(settings.database_url.get_secret_value(), dbname=name)
    return settings.model_copy(update={"database_url": SecretStr(url)})


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    database = Database(settings, database_token() if settings.database_identity else None, connections=1)
    try:
        yield database
    finally:
        database.close()


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m repositories.entra_roles",
        description="Make a server of Azure's ready for the app, as an Entra administrator of it.",
    )
    parser.add_argument("--role", required=True, help="the app's role in the database")
    parser.add_argument("--object-id", required=True, type=UUID, help="object id of the app's identity")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Command line."""
    given = _arguments(sys.argv[1:] if words is None else words)
    settings = Settings()
    if not settings.database_url.get_secret_value():
        raise SystemExit("DATABASE_URL is not set")
    try:
        with _opened(settings) as database:
            create_extensions(database)
        # Roles are the server's; only in this database may they be labelled.
        with _opened(_of(settings, "postgres")) as database:
            made = let_log_in(database, given.role, given.object_id)
    except OrchestratorError as error:
        raise SystemExit(error.detail) from None
    already = "" if made else "already "
    sys.stdout.write(f"{', '.join(EXTENSIONS)} are there; {given.role} {already}logs in by Entra\n")


if __name__ == "__main__":
    main()
