"""A private PostgreSQL: made once, found again, recovered."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from local.stack.packages import ensure_postgres
from local.stack.paths import Paths
from local.stack.postgres import THROW_AWAY, PostgresServer, home_for_data, server_account
from local.stack.process import processes_on
from local.stack.progress import Progress


@pytest.fixture
def home(server_folder: Path) -> Iterator[Path]:
    folder = home_for_data(server_folder / "another", server_account())
    yield folder
    new_server(folder).erase()
    assert not folder.exists()


def new_server(home: Path, port: int | None = None) -> PostgresServer:
    installation = ensure_postgres(Paths(), Progress(io.StringIO()))
    return PostgresServer(installation, home, THROW_AWAY, port)


def write_row(server: PostgresServer) -> None:
    with psycopg.connect(server.ensure_database("kept")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")


def read_row(server: PostgresServer) -> object:
    with psycopg.connect(server.ensure_database("kept")) as connection:
        return connection.execute("SELECT n FROM kept").fetchone()


def test_data_password_and_port_stay_over_a_restart(home: Path) -> None:
    first = new_server(home)
    first.start()
    write_row(first)
    url = first.url("kept")
    first.stop()
    second = new_server(home, first.port)
    second.start()
    assert second.url("kept") == url
    assert read_row(second) == (42,)
    second.stop()


def test_nobody_gets_in_without_the_password(home: Path) -> None:
    server = new_server(home)
    server.start()
    password = server.url().split(":")[2].partition("@")[0]
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(server.url().replace(password, "wrong"))
    server.stop()
    assert home.stat().st_mode & 0o077 == 0


def test_a_server_that_a_killed_run_left_behind_is_ended_and_its_data_kept(home: Path) -> None:
    left = new_server(home)
    left.start()
    write_row(left)
    found = new_server(home)
    found.start()
    assert processes_on("postgres", str(home / "data")) == [found.pid]
    assert read_row(found) == (42,)
    found.stop()


def test_a_pid_file_that_names_another_process_does_not_keep_the_server_from_starting(home: Path) -> None:
    killed = new_server(home)
    killed.start()
    write_row(killed)
    killed.stop(signal.SIGKILL)
    pid_file = home / "data/postmaster.pid"
    lines = pid_file.read_text().splitlines()
    # A process that lives and is not PostgreSQL, as after a reboot.
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
    again = new_server(home)
    again.start()
    assert read_row(again) == (42,)
    again.stop()


def test_half_a_cluster_is_made_anew(home: Path) -> None:
    (home / "making").mkdir(parents=True)
    (home / "making/PG_VERSION").write_text("15")
    (home / "data").mkdir()
    server = new_server(home)
    server.start()
    assert server.running
    server.stop()


def test_the_data_of_a_folder_that_the_servers_user_cannot_enter_are_kept_elsewhere(tmp_path: Path) -> None:
    account = server_account()
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    wanted = closed / ".local/postgres"
    home = home_for_data(wanted, account)
    if account is None:
        assert home == wanted
    else:
        assert home.parent.name == "geospatial-orchestrator"
        assert home == home_for_data(wanted, account)
        assert home != home_for_data(closed / "other/postgres", account)
