"""One connection pool per process. Connections are taken per statement or per transaction."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from interfaces.errors import ServiceUnavailable
from interfaces.settings import Settings

Connection = psycopg.Connection[DictRow]

TokenProvider = Callable[[], str]
"""Returns a fresh Entra token for the database; asked at each new connection, caches by itself."""


class Database:
    """The process's connection pool.

    Suited to PgBouncer in transaction mode: no prepared statements, no session state. Connections are
    in autocommit mode; `transaction` groups statements. Threads wait for a free connection rather than
    fail, up to `database_timeout_seconds`.
    """

    def __init__(self, settings: Settings, token: TokenProvider | None = None) -> None:
        self._settings = settings
        self._token = token
        self._listens = bool(settings.database_direct_url.get_secret_value())
        self._lock = Lock()
        self._pool: ConnectionPool[Connection] | None = None

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one statement or a few, each committed by itself.

        Raises `ServiceUnavailable` when none can be had, or when it breaks while in use.
        """
        try:
            with self._opened().connection() as connection:
                yield connection
        except (PoolTimeout, PoolClosed, psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise ServiceUnavailable(f"database: {_reason(error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside a transaction, committed at the end and rolled back on an error."""
        with self.connection() as connection, connection.transaction():
            yield connection

    def session(self) -> Connection:
        """A connection of its own past PgBouncer, outside the pool: for LISTEN. The caller closes it."""
        url = self._settings.database_direct_url.get_secret_value()
        return psycopg.Connection[DictRow].connect(url, **self._connect_arguments())

    def close(self) -> None:
        """Close the pool; it opens again when next used."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()

    def _opened(self) -> ConnectionPool[Connection]:
        with self._lock:
            if self._pool is None:
                url = self._settings.database_url.get_secret_value()
                if not url:
                    raise ServiceUnavailable("database: DATABASE_URL is not set")
                self._pool = ConnectionPool(
                    url,
                    connection_class=psycopg.Connection[DictRow],
                    kwargs=self._connect_arguments,
                    min_size=0,
                    # One is kept for the session that listens: a process has so many in all.
                    max_size=max(1, self._settings.database_pool_size - self._listens),
                    timeout=self._settings.database_timeout_seconds,
                    max_idle=120,
                    check=self._check_open,
                    max_lifetime=1800,
                    # Retried by whoever needs the connection, not in the background for minutes.
                    reconnect_timeout=self._settings.database_timeout_seconds,
                    open=True,
                    name="database",
                )
            return self._pool

    def _check_open(self, connection: Connection) -> None:
        """Raise when the server has ended the connection, so that the pool makes another one.

        Costs no round trip: nothing comes by itself on an idle connection, except for the server's farewell.
        """
        waiting = select.poll()
        waiting.register(connection.fileno(), select.POLLIN)
        if not waiting.poll(0):
            return
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.OperationalError:
            # The others have most likely been ended too: looked at at once, they are replaced at once.
            if self._pool is not None:
                self._pool.check()
            raise

    def _connect_arguments(self) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "autocommit": True,
            "prepare_threshold": None,
            "row_factory": dict_row,
            "connect_timeout": 10,
            "application_name": "geospatial-orchestrator",
            # A server that vanished is noticed within half a minute, not after two hours.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
        if self._token is not None:
            arguments["password"] = self._token()
        return arguments


def _reason(error: Exception) -> str:
    """What went wrong, without the host, user or password that libpq likes to quote."""
    if isinstance(error, PoolTimeout):
        return "no connection became free in time"
    if isinstance(error, PoolClosed):
        return "the connection pool is closed"
    sqlstate = getattr(error, "sqlstate", None)
    return f"connection failed ({type(error).__name__}{f', SQLSTATE {sqlstate}' if sqlstate else ''})"
