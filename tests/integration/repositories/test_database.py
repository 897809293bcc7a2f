"""The pool of connections: how many there are, who waits for whom, and what becomes of broken ones."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event

import psycopg
import pytest
from pydantic import SecretStr

from interfaces.errors import DependencyUnavailable, ServiceUnavailable
from interfaces.settings import Settings
from repositories.database import Database
from tests.fix_app import until

CONNECTIONS = 3
"""Of the pool: one more is the heartbeat's."""
OURS = "datname = current_database() AND application_name = 'geospatial-orchestrator'"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(Settings(database_url=SecretStr(database_url), database_pool_size=CONNECTIONS + 1))
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


def test_a_process_has_no_more_connections_than_it_may(database_url: str) -> None:
    """With one to be notified with, and the heartbeat's, two are left for the pool."""
    url = SecretStr(database_url)
    made = Database(Settings(database_url=url, database_direct_url=url, database_pool_size=4))
    gate, threads = Event(), ThreadPoolExecutor(8)

    def use(_: int) -> None:
        with made.connection() as connection:
            connection.execute("SELECT 1")
            gate.wait(10)

    with made.session() as listener, made.reserved().connection() as heartbeat, threads:
        listener.execute("SELECT 1")
        running = threads.map(use, range(8))
        time.sleep(1)
        [found] = heartbeat.execute(f"SELECT count(*) AS n FROM pg_stat_activity WHERE {OURS}").fetchall()
        gate.set()
        list(running)
    made.close()
    assert found == {"n": 4}


def test_the_connection_that_nobody_is_notified_with_is_lent_to_one_at_a_time(database_url: str) -> None:
    url = SecretStr(database_url)
    made = Database(Settings(database_url=url, database_direct_url=url, database_pool_size=4))
    with made.long_transaction(), made.spare_transaction() as first:
        assert first.patience > made.patience(0)
        with pytest.raises(DependencyUnavailable), made.spare_transaction():
            pass
        with made.connection() as short:
            assert short.execute("SELECT 1 AS one").fetchone() == {"one": 1}
    assert first.closed
    with suppress(ZeroDivisionError), made.spare_transaction() as undone:
        undone.execute("CREATE TABLE undone ()")
        raise ZeroDivisionError
    lent = pytest.raises(DependencyUnavailable)
    with made.session(), made.long_transaction(), lent, made.spare_transaction():
        pass
    # One of the pool's is left.
    with made.session(), made.spare_transaction() as pooled:
        assert pooled.execute("SELECT to_regclass('undone') AS found").fetchone() == {"found": None}
        with pytest.raises(ServiceUnavailable, match="database"), made.spare_transaction() as again:
            again.execute("SELECT 1")
    with made.spare_transaction() as back, made.session() as listener:
        assert back.execute("SELECT 1 AS one").fetchone() == listener.execute("SELECT 1 AS one").fetchone()
    made.close()


def test_long_transactions_wait_for_each_other_and_leave_a_connection(database: Database) -> None:
    inside, gate = Counter[str](), Event()

    def take_long(_: int) -> None:
        with database.long_transaction() as connection:
            connection.execute("SELECT 1")
            inside["now"] += 1
            gate.wait(10)

    with ThreadPoolExecutor(5) as threads:
        running = threads.map(take_long, range(5))
        time.sleep(0.5)
        assert inside["now"] == CONNECTIONS - 1
        began = time.monotonic()
        with database.connection() as connection:
            connection.execute("SELECT 1")
        assert time.monotonic() - began < 1
        gate.set()
        list(running)
    assert inside["now"] == 5


def test_a_statement_may_take_its_time_while_rows_come(database_url: str) -> None:
    database = Database(Settings(database_url=SecretStr(database_url), database_answer_seconds=0.5))
    slowly = "SELECT repeat('x', 10000) AS row, pg_sleep(0.05) FROM generate_series(1, 40)"
    with database.connection() as connection:
        assert len(connection.execute(slowly).fetchall()) == 40
    database.close()


def test_a_statement_without_a_word_is_given_up_and_its_connection_replaced(database_url: str) -> None:
    settings = Settings(
        database_url=SecretStr(database_url), database_answer_seconds=0.5, database_long_seconds=30
    )
    database = Database(settings)
    began = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="no word from the database"):  # noqa: SIM117
        with database.transaction() as connection:
            connection.execute("SELECT pg_sleep(20)")
    assert time.monotonic() - began < 5
    with database.long_transaction() as connection:
        connection.execute("SELECT pg_sleep(1)")
    with pytest.raises(ServiceUnavailable), database.connection() as connection:
        connection.execute("SELECT pg_sleep(20)")
    database.close()


def test_the_heartbeat_is_more_patient_with_a_server_that_stalls(database_url: str) -> None:
    """Else it would leave it a session a second, each still at work on what nobody waits for."""
    settings = Settings(database_url=SecretStr(database_url), lease_seconds=4, heartbeat_seconds=2)
    database = Database(settings)
    heartbeat, took = database.reserved(), []
    for _ in range(3):
        began = time.monotonic()
        with pytest.raises(ServiceUnavailable, match="no word"), heartbeat.connection() as connection:
            connection.execute("SELECT pg_sleep(20)")
        took.append(time.monotonic() - began)
    assert took == [pytest.approx(seconds, abs=0.9) for seconds in (1, 2, 4)]
    with heartbeat.connection() as connection:
        connection.execute("SELECT pg_sleep(2)")
    with pytest.raises(ServiceUnavailable, match="no word"), heartbeat.connection() as again:
        again.execute("SELECT pg_sleep(2)")
    database.close()


def test_the_heartbeats_connection_is_made_again_when_it_breaks(
    database: Database, database_url: str
) -> None:
    heartbeat = database.reserved()
    with psycopg.connect(database_url, autocommit=True) as admin:
        for _ in range(2):
            with heartbeat.connection() as connection:
                pid = connection.info.backend_pid
                assert connection.execute("SELECT 1 AS one").fetchone() == {"one": 1}
            admin.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(ServiceUnavailable), heartbeat.connection() as connection:
            connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        with heartbeat.connection() as connection:
            assert connection.info.backend_pid != pid
        heartbeat.close()
        left = f"SELECT count(*) FROM pg_stat_activity WHERE {OURS}"
        until(lambda: admin.execute(left).fetchone() == (0,), 10)
