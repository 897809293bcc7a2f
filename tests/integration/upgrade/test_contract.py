"""What the previous release asks of the database is there after an upgrade, and answers what it did."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import pq
from psycopg.rows import dict_row

from local.stack.postgres import PostgresServer
from repositories.migrations import drop, migrate

from .previous_release import Connection, build, statements

Shape = list[tuple[str, int]] | str
"""Names and built-in types of the columns of an answer; or why the statement is none."""
FIRST_OID_OF_ITS_OWN = 16_384
UNDEFINED = {"42P01", "42703", "42883", "42704", "3F000"}


def numbered(query: str) -> str:
    """With parameters as the server wants them, in the way of the driver."""
    names: list[str] = []

    def number(found: re.Match[str]) -> str:
        if found.group(0) == "%%":
            return "%"
        if found.group(1) not in names:
            names.append(found.group(1))
        return f"${names.index(found.group(1)) + 1}"

    return re.sub(r"%%|%\((\w+)\)s", number, query)


def as_question(query: str) -> str:
    """A COPY cannot be described; a question for its columns can."""
    body = re.sub(r"^--.*$", "", query, flags=re.MULTILINE).strip()
    into = re.fullmatch(r"COPY ([\w.]+) \(([^)]+)\) FROM STDIN", body)
    return f"SELECT {into[2]} FROM {into[1]}" if into else body


def shape(connection: Connection, query: str) -> Shape:
    prepared = connection.pgconn.prepare(b"", numbered(as_question(query)).encode())
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        return (prepared.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    described = connection.pgconn.describe_prepared(b"")
    columns = []
    for n in range(described.nfields):
        kind = described.ftype(n)
        columns.append(((described.fname(n) or b"").decode(), kind if kind < FIRST_OID_OF_ITS_OWN else 0))
    return columns


def shapes(connection: Connection, folder: Path) -> dict[str, Shape]:
    """Of all its queries that are whole; those with identifiers to be put in are about tables of others."""
    return {
        f"{file.stem}.{name}": shape(connection, query)
        for file in sorted((folder / "queries").glob("*.sql"))
        # Those are called below; nobody reads what they answer.
        if file.stem != "function_calls"
        for name, query in statements(folder, file.stem).items()
        if "{" not in re.sub(r"'[^']*'", "", query)
    }


@pytest.fixture(scope="module")
def asked(
    postgres_server: PostgresServer, catalog_template: str, previous: Path
) -> Iterator[tuple[Connection, dict[str, Shape]]]:
    """An upgraded database, and what the previous release's queries were before that."""
    name = f"contract_{uuid.uuid4().hex[:8]}"
    url = postgres_server.create_database(name, catalog_template)
    with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
        drop(connection)
        build(connection, previous)
        before = shapes(connection, previous)
        migrate(connection)
        yield connection, before
    postgres_server.drop_database(name)


def test_every_query_of_the_previous_release_has_the_same_answer(
    asked: tuple[Connection, dict[str, Shape]], previous: Path
) -> None:
    connection, before = asked
    after = shapes(connection, previous)
    assert after == before
    assert len([one for one in before.values() if isinstance(one, list)]) > 150
    # What needs another search path, or is no question, is the same failure before and after.
    undefined = {name for name, one in before.items() if isinstance(one, str) and one in UNDEFINED}
    assert not {name for name in undefined if name.startswith("engine")}


def test_every_function_of_the_previous_release_works_as_it_is_called(
    asked: tuple[Connection, dict[str, Shape]], previous: Path
) -> None:
    connection, _ = asked
    calls = statements(previous, "function_calls")
    given: dict[str, Any] = {"job_id": "f" * 64}
    for query in calls.values():
        with connection.transaction(force_rollback=True):
            connection.execute(query.encode(), given)
    assert len(calls) > 80


def test_a_query_that_the_new_schema_does_not_know_is_noticed(
    asked: tuple[Connection, dict[str, Shape]],
) -> None:
    connection, _ = asked
    known = "SELECT run FROM app.jobs WHERE job_id = %(job_id)s AND job_type LIKE '%%x'"
    assert shape(connection, known) == [("run", 23)]
    assert shape(connection, "COPY app.tasks (job_id, gone) FROM STDIN") == "42703"
    assert shape(connection, "SELECT app.lock_job(%(job_id)s, %(run)s)") == "42883"
