"""A database with its roles."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row
from pydantic import SecretStr

from interfaces.settings import Settings
from repositories.database import Database
from repositories.roles import RoleNames, Roles

PASSWORD = "of-a-test"
REFUSED = psycopg.errors.InsufficientPrivilege


@dataclass
class Office:
    """A database with its roles, all of which may log in here."""

    url: str
    names: RoleNames

    def as_(self, role: str) -> str:
        return make_conninfo(self.url, user=role, password=PASSWORD)

    def connect(self, role: str | None = None) -> psycopg.Connection[dict[str, Any]]:
        url = self.as_(role) if role else self.url
        return psycopg.connect(url, autocommit=True, row_factory=dict_row)

    def database(self, role: str) -> Database:
        return Database(Settings(database_url=SecretStr(self.as_(role))), connections=1)


def named() -> RoleNames:
    key = uuid.uuid4().hex[:8]
    return RoleNames(f"owner-{key}", f"app-{key}", f"reader-{key}", ("features", "more layers"))


def make(url: str, names: RoleNames) -> list[str]:
    settings = Settings(database_url=SecretStr(url))
    database = Database(settings, connections=1)
    try:
        return Roles(database, settings).make(names, 5)
    finally:
        database.close()


def let_in(admin: psycopg.Connection[Any], *names: str) -> None:
    for name in names:
        admin.execute(f"ALTER ROLE \"{name}\" LOGIN PASSWORD '{PASSWORD}'")


def remove(admin: psycopg.Connection[Any], *names: str) -> None:
    for name in names:
        found = admin.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [name]).fetchone()
        if found:
            admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
    for name in names:
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
