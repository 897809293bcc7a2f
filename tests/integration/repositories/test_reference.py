"""The reference of tables is what the database's catalog says, and everything in it is described."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from local.reference import tables
from local.reference.pages import FOLDER, TABLES
from tests.fix_stack import CHECKOUT


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


def test_every_table_and_column_is_described(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    assert tables.undescribed(connection) == [], "say what it is for in sql/comments"


def test_the_page_of_tables_is_current(connection: psycopg.Connection[tuple[object, ...]]) -> None:
    written = (CHECKOUT / FOLDER / TABLES).read_text()
    assert written == tables.document(connection), "make it anew: .venv/bin/python -m local.reference"


def test_a_table_and_a_column_without_a_description_are_named(
    connection: psycopg.Connection[tuple[object, ...]],
) -> None:
    connection.execute("CREATE TABLE app.extra (a integer)")
    connection.execute("ALTER TABLE app.jobs ADD COLUMN b integer")
    connection.execute("ALTER TABLE audit.actions ADD COLUMN c integer")
    bare = ["app.extra", "app.extra.a", "app.jobs.b", "audit.actions.c"]
    assert tables.undescribed(connection) == bare
