"""Making a server of Azure's ready, as far as a server that is none of Azure's lets it be done."""

from __future__ import annotations

import uuid

import psycopg
import pytest
from pydantic import SecretStr

from interfaces.settings import Settings
from repositories import entra_roles
from repositories.database import Database
from repositories.pgstac_schema import EXTENSIONS


def test_extensions_are_created_once_and_a_role_must_be_there(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    words = ["--role", f"missing-{uuid.uuid4().hex}", "--object-id", str(uuid.uuid4())]
    for _ in range(2):
        with pytest.raises(SystemExit, match="there is no role missing-"):
            entra_roles.main(words)
    with psycopg.connect(empty_database_url) as connection:
        found = {row[0] for row in connection.execute("SELECT extname FROM pg_extension")}
    assert found >= {*EXTENSIONS}


def test_a_server_that_knows_no_identities_leaves_the_role_as_it_was(empty_database_url: str) -> None:
    database = Database(Settings(database_url=SecretStr(empty_database_url)))
    role = f"id-{uuid.uuid4().hex}"
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(f'CREATE ROLE "{role}"'.encode())
        try:
            # What there is to know of Azure's own provider is that it is not loaded here.
            with pytest.raises(entra_roles.EntraRefused, match='provider "pgaadauth" is not loaded'):
                entra_roles.let_log_in(database, role, uuid.uuid4())
            row = connection.execute(
                "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", (role,)
            ).fetchone()
            assert row == (False,)
        finally:
            connection.execute(f'DROP ROLE "{role}"'.encode())
            database.close()
