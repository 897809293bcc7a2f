"""The fixtures that every integration test rests on."""

from __future__ import annotations

import signal
from collections.abc import Callable

import psycopg
from azure.storage.blob import ContainerClient
from azure.storage.queue import QueueClient

from local.stack.azurite import AzuriteServer
from local.stack.postgres import PostgresServer
from tests.fix_stack import QueueNames


def test_the_server_has_postgis(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("with_postgis")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE EXTENSION postgis")
        row = connection.execute("SELECT ST_AsText(ST_Point(1, 2)), current_setting('TimeZone')").fetchone()
    postgres_server.drop_database("with_postgis")
    assert row == ("POINT(1 2)", "UTC")


def test_an_empty_database_is_empty(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        tables = connection.execute("SELECT FROM pg_tables WHERE schemaname = 'public'").fetchall()
        connection.execute("CREATE TABLE left_behind ()")
    assert tables == []


def test_the_next_test_has_a_database_of_its_own(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT to_regclass('left_behind')").fetchone() == (None,)


def test_a_killed_server_comes_back_on_the_same_port(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_database("survivor")
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    postgres_server.stop(signal.SIGKILL)
    postgres_server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT n FROM kept").fetchone() == (1,)
    postgres_server.drop_database("survivor")


def test_queues_carry_messages(storage_connection_string: str, queue_names: QueueNames) -> None:
    for name in (queue_names.jobs, queue_names.tasks, *queue_names.poison):
        with QueueClient.from_connection_string(storage_connection_string, name) as queue:
            queue.send_message("hello")
            assert [message.content for message in queue.peek_messages()] == ["hello"]


def test_containers_are_new_and_empty(container: Callable[[], ContainerClient]) -> None:
    first, second = container(), container()
    first.upload_blob("a.txt", b"a")
    assert [blob.name for blob in first.list_blobs()] == ["a.txt"]
    assert list(second.list_blobs()) == []


def test_azurite_keeps_its_blobs_over_a_restart(
    azurite: AzuriteServer, container: Callable[[], ContainerClient]
) -> None:
    client = container()
    client.upload_blob("a.txt", b"kept")
    azurite.stop()
    azurite.start()
    assert client.download_blob("a.txt").readall() == b"kept"
