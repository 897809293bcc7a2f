"""Applies `sql/`: numbered migrations once, functions and views whenever they changed.

Migrations are additive, so that the previous release goes on working beside the new schema
(docs/upgrading.md). All of a call happens in one transaction under an advisory lock: it is applied whole or
not at all, once.

Indexes of large tables (`sql/indexes`) are built afterwards, beside running work.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from interfaces.errors import MigrationError, OrchestratorError
from interfaces.settings import Settings

from .sql_files import ROOT, queries

Connection = psycopg.Connection[DictRow]

SCHEMA = "app"
COMMAND_SECONDS = 600.0
"""How long the command tries to get its locks, and waits for one file."""
_RELEASE = "release/"
_LOCK = 0x6F7263686D6967  # any number nobody else locks


@dataclass(frozen=True)
class SqlFile:
    """A file below `sql/` as the database records it."""

    name: str
    text: LiteralString
    sha256: str


@dataclass(frozen=True)
class Applied:
    """A file that the database has applied."""

    name: str
    sha256: str
    applied_at: datetime


def files(folder: str) -> list[SqlFile]:
    """The files of one folder below `sql/`, in the order they apply."""
    return [_read(path, folder) for path in sorted((ROOT / folder).glob("*.sql"))]


def migrate(connection: Connection) -> list[str]:
    """Bring the schema up to date; returns the names of the files that were applied.

    Raises `MigrationError` when an applied migration was edited, or the database is ahead of the files.
    """
    with connection.transaction():
        _begin(connection)
        connection.execute(_sql()["create_schema"])
        connection.execute(_sql()["create_history"])
        known = {row.name: row.sha256 for row in _history(connection)}
        _check_history(known)
        done = [
            file.name for file in files("migrations") if file.name not in known and _apply(connection, file)
        ]
        # A view may depend on a changed column or function: views are always made anew together.
        repeatable = _repeatable()
        if done or any(known.get(file.name) != file.sha256 for file in repeatable):
            _drop_views(connection)
            for file in repeatable:
                changed = known.get(file.name) != file.sha256
                _apply(connection, file)
                if changed:
                    done.append(file.name)
        connection.execute(_sql()["record_release"], {"name": f"{_RELEASE}{release()}"})
        if done:
            connection.execute(_sql()["grant_access"])
    return done


def build_indexes(connection: Connection) -> list[str]:
    """Build the indexes of `sql/indexes` that are missing; returns the names of their files.

    In no transaction, on a connection in autocommit mode: CREATE INDEX CONCURRENTLY keeps nobody from
    writing, however long it takes, while a migration would. Until then what they are for is slower. One
    whose builder died is built anew; where somebody else builds one, it is left to them with those after it,
    since two are never built of a table at once. Raises `MigrationError`.
    """
    done = []
    for file in files("indexes"):
        name = Path(file.name).stem
        state = connection.execute(_sql()["index_state"], {"name": name}).fetchone()
        if state is not None and state["state"] == "valid":
            continue
        if state is not None and state["state"] == "building":
            break
        try:
            if state is not None:
                drop = sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(SCHEMA, name))
                connection.execute(drop)
            connection.execute(file.text)
        except psycopg.Error as error:
            raise MigrationError(f"{file.name}: {error}") from error
        done.append(file.name)
    return done


def release() -> int:
    """The number of these files' release: `sql/release`. Those before had none, and count as 1."""
    file = ROOT / "release"
    return int(file.read_text()) if file.exists() else 1


def applied(connection: Connection) -> list[Applied]:
    """What the database has applied, in order of time; empty where there is no schema."""
    return [row for row in _history(connection) if not row.name.startswith(_RELEASE)]


def pending(connection: Connection) -> list[str]:
    """Files that the database lacks: none where it is of a later release, which goes on serving this one."""
    known = {row.name: row.sha256 for row in _history(connection)}
    if _newest_release(known) > release():
        return []
    versioned = [file.name for file in files("migrations") if file.name not in known]
    return versioned + [file.name for file in _repeatable() if known.get(file.name) != file.sha256]


def drop(connection: Connection) -> list[str]:
    """Drop the schema with everything in it, and the catalog's tables; answers them as `kind name`."""
    with connection.transaction():
        _begin(connection)
        objects = schema_objects(connection)
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA)))
        connection.execute(_sql()["drop_catalog"])
        connection.execute(_sql()["drop_staging"])
    return objects


def schema_objects(connection: Connection) -> list[str]:
    """Tables, views, functions and types of the schema, as `kind name`."""
    rows = connection.execute(_sql()["schema_objects"])
    return [f"{row['kind']} {row['name']}" for row in rows]


def _repeatable() -> list[SqlFile]:
    return [*files("functions"), *files("views"), *files("comments")]


def _sql() -> dict[str, LiteralString]:
    return queries("migrations")


def _begin(connection: Connection) -> None:
    """One at a time, and as the schema's owner: whatever is made is to be the owner's too."""
    connection.execute(_sql()["lock"], {"key": _LOCK})
    owner = connection.execute(_sql()["owner"]).fetchone()
    if owner is None or owner["is_current"]:
        return
    if not owner["held"]:
        raise MigrationError(
            f"the schema {SCHEMA} is changed by its owner {owner['name']} alone, or by a member of that role;"
            " DATABASE_OWNER_URL says how to connect as such (docs/database-roles.md)"
        )
    connection.execute(sql.SQL(_sql()["act_as"]).format(role=sql.Identifier(owner["name"])))


def _history(connection: Connection) -> list[Applied]:
    """What was applied, and the releases that the database was brought to."""
    found = connection.execute(_sql()["has_history"]).fetchone()
    if found is None or not found["present"]:
        return []
    return [Applied(**row) for row in connection.execute(_sql()["history"])]


def _newest_release(known: Iterable[str]) -> int:
    """The newest release whose files were applied; those before 2 left no row."""
    numbers = (int(name.removeprefix(_RELEASE)) for name in known if name.startswith(_RELEASE))
    return max(numbers, default=1)


def _check_history(known: dict[str, str]) -> None:
    migrations = {file.name: file.sha256 for file in files("migrations")}
    for name, sha256 in known.items():
        if not name.startswith("migrations/"):
            continue
        if name not in migrations:
            raise MigrationError(f"the database has {name}, which this release does not know: it is older")
        if migrations[name] != sha256:
            raise MigrationError(f"{name} was changed after it was applied; add a new migration instead")
    of_database = _newest_release(known)
    if of_database > release():
        raise MigrationError(f"the database is of release {of_database}, this is {release()}: it is older")


def _drop_views(connection: Connection) -> None:
    for row in connection.execute(_sql()["views"]).fetchall():
        connection.execute(
            sql.SQL("DROP VIEW IF EXISTS {} CASCADE").format(sql.Identifier(SCHEMA, row["viewname"]))
        )


def _apply(connection: Connection, file: SqlFile) -> bool:
    try:
        connection.execute(file.text)
    except psycopg.OperationalError:
        # A lock that others hold, or a server that ends: nothing is wrong with the file.
        raise
    except psycopg.Error as error:
        raise MigrationError(f"{file.name}: {error}") from error
    connection.execute(_sql()["record"], {"name": file.name, "sha256": file.sha256})
    return True


def _read(path: Path, folder: str) -> SqlFile:
    text = path.read_text(encoding="utf-8")
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    return SqlFile(f"{folder}/{path.name}", text, sha256)


def _lines(names: list[str]) -> Iterator[str]:
    yield from (f"applied {name}" for name in names) if names else ["nothing to apply"]


def main() -> None:
    """Command line: migrate the database that `DATABASE_OWNER_URL` names, or else `DATABASE_URL`."""
    from .credentials import database_token
    from .database import owner_database
    from .schema import Schema

    settings = Settings()
    if not (settings.database_owner_url or settings.database_url).get_secret_value():
        raise SystemExit("DATABASE_URL is not set")
    try:
        # Somebody looks on here, and no function's timeout ends it.
        owner = owner_database(
            settings.model_copy(update={"database_long_seconds": COMMAND_SECONDS}),
            database_token() if settings.database_identity else None,
        )
        made = Schema(owner, patience=COMMAND_SECONDS).migrate()["made"]
        assert isinstance(made, list)
        owner.close()
    except OrchestratorError as error:
        raise SystemExit(error.detail) from None
    for line in _lines(made):
        sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main()
