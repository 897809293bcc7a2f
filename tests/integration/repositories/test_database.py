"""The pool of connections: those that the server ended are replaced before anybody gets them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import psycopg
import pytest
from pydantic import SecretStr

from interfaces.settings import Settings
from repositories.database import Database

CONNECTIONS = 4
OURS = "datname = current_database() AND application_name = 'geospatial-orchestrator'"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(Settings(database_url=SecretStr(database_url), database_pool_size=CONNECTIONS))
    yield made
    made.close()


def fill(database: Database) -> None:
    """Use as many connections at once as the pool has."""
    together = Barrier(CONNECTIONS)

    def use(_: int) -> None:
        with database.connection() as connection:
            connection.execute("SELECT 1")
            together.wait(10)

    with ThreadPoolExecutor(CONNECTIONS) as threads:
        list(threads.map(use, range(CONNECTIONS)))


def test_nobody_notices_that_the_server_ended_all_idle_connections(
    database: Database, database_url: str
) -> None:
    with psycopg.connect(database_url, autocommit=True) as admin:
        for _ in range(3):
            fill(database)
            ended = admin.execute(
                f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {OURS}"
            ).fetchall()
            assert len(ended) == CONNECTIONS
            began = time.monotonic()
            for _ in range(CONNECTIONS + 1):
                with database.connection() as connection:
                    assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
            # One backs off from connections that are found dead one after the other, for 1, 2, 4 s.
            assert time.monotonic() - began < 1
