"""One connection pool per process, and the heartbeat's connection beside it (docs/adr/0008).

Connections of the pool are taken per statement or per transaction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout
from pydantic import SecretStr

from interfaces.errors import DependencyUnavailable, ServiceUnavailable
from interfaces.settings import Settings

from . import tls
from .connection import Connection, Silence
from .turns import Turns

TokenProvider = Callable[[], str]
"""Returns a token for the database that is valid now, or raises `TokenUnavailable`. Asked at each new
connection; caches by itself."""

MAX_LIFETIME = 1800.0
"""Seconds after which a connection is made anew, as tokens and the servers behind a name change."""
TASK_WAIT = 60.0
"""Seconds that a task waits for its turn at a long connection: they are of the minutes that it may run."""
AFTER_NO_TURN = 15.0
"""Seconds after which it comes back."""
SPARE_WAIT = 3.0
"""Seconds until PgBouncer has a server's connection for whoever could do without one."""
LEAST_PATIENCE = 1.0
"""The heartbeat does not take a server for silent that is only busy."""


class TokenUnavailable(psycopg.OperationalError):
    """The identity provider gave no token: no connection can be made, and those that there are go on."""


@dataclass(frozen=True)
class PoolUse:
    """Connections of a pool, threads that wait for one now, and how often and how long any has waited."""

    most: int
    idle: int
    in_use: int
    waiting: int
    requests: int
    waited_seconds: float


class Database:
    """The process's connection pool.

    Suited to PgBouncer in transaction mode: no prepared statements, no session state. Connections are
    in autocommit mode; `transaction` groups statements. Threads wait for a free connection rather than
    fail, up to `database_timeout_seconds`. `connections`: how many, where it is not the process's own pool.
    Raises `UnsafeConnection` where a setting names a server that would not be verified.
    """

    def __init__(
        self, settings: Settings, token: TokenProvider | None = None, *, connections: int | None = None
    ) -> None:
        tls.check(settings)
        self._settings = settings
        self._token = token
        self._refused_token: TokenUnavailable | None = None
        self._listens = bool(settings.database_direct_url.get_secret_value())
        # One is the heartbeat's and one is kept for the session that listens: a process has so many in all.
        self._size = connections or max(1, settings.database_pool_size - 1 - self._listens)
        self._turns = Turns(max(1, self._size - 1))
        self._lock = Lock()
        self._pool: ConnectionPool[Connection] | None = None
        self._reserved: list[ReservedConnection] = []
        self._listener: Connection | None = None
        self._lent = Lock()
        """While somebody else has the listener's connection."""

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection for one statement or a few, each committed by itself.

        Raises `ServiceUnavailable` when none can be had, or when it breaks while in use.
        """
        try:
            with self._opened().connection() as connection:
                yield connection
        except (PoolTimeout, PoolClosed, psycopg.OperationalError, psycopg.InterfaceError) as error:
            told = isinstance(error, PoolTimeout) and self._refused_token
            raise ServiceUnavailable(f"database: {_reason(told or error)}") from error

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside a transaction, committed at the end and rolled back on an error."""
        with self.connection() as connection, connection.transaction():
            yield connection

    @contextmanager
    def long_connection(self, share: float = 1.0, *, wait: float | None = None) -> Iterator[Connection]:
        """A connection that may be held for minutes, by statements that work for long before they answer.

        `share`, in 0…1, is how much of the longest patience they need. All connections of the pool but one
        may be held so; who comes then waits for a turn, in order, for at most `wait` seconds (else as long as
        the longest patience). So short statements, which are all that running tasks need, find one. Raises
        `DependencyUnavailable` when no turn comes: a task is then put off, which costs no attempt.
        """
        if not self._turns.take(self._settings.database_long_seconds if wait is None else wait):
            raise DependencyUnavailable(
                "database: others hold the connections that may be held for minutes",
                dependency="database",
                retry_after=AFTER_NO_TURN,
            )
        try:
            with self.connection() as connection:
                usual, connection.patience = connection.patience, self.patience(share)
                try:
                    yield connection
                finally:
                    connection.patience = usual
        finally:
            self._turns.give_back()

    @contextmanager
    def long_transaction(self, share: float = 1.0, *, wait: float | None = None) -> Iterator[Connection]:
        """As `transaction`, on a connection that may be held for minutes."""
        with self.long_connection(share, wait=wait) as connection, connection.transaction():
            yield connection

    @contextmanager
    def spare_transaction(self) -> Iterator[Connection]:
        """As `long_transaction`, for who has one and could use another.

        On the one connection that a process may have to be notified with, while nobody listens; else on one
        of the pool, if a turn comes at once. Raises `DependencyUnavailable` where there is none to spare, and
        `ServiceUnavailable` where it does not begin soon: whoever asks holds a server's connection meanwhile,
        of which PgBouncer may have no more.
        """
        silent = self._listens and (self._listener is None or bool(self._listener.closed))
        if not (silent and self._lent.acquire(blocking=False)):
            with self.long_connection(wait=0) as connection, self._soon(connection):
                yield connection
            return
        try:
            with self._connect(self._url()) as connection, self._soon(connection):
                yield connection
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            raise ServiceUnavailable(f"database: {_reason(error)}") from error
        finally:
            self._lent.release()

    @contextmanager
    def _soon(self, connection: Connection) -> Iterator[None]:
        """A transaction that begins soon or not at all, and may last."""
        connection.patience = SPARE_WAIT
        with connection.transaction():
            connection.patience = self.patience(1.0)
            yield

    def patience(self, share: float) -> float:
        """Seconds of silence between those that any statement is granted and the longest."""
        usual, longest = self._settings.database_answer_seconds, self._settings.database_long_seconds
        return usual + min(1.0, share) * max(0.0, longest - usual)

    def session(self) -> Connection:
        """A connection of its own past PgBouncer, outside the pool: for LISTEN. The caller closes it."""
        url = self._settings.database_direct_url.get_secret_value()
        self._listener = self._connect(url)
        return self._listener

    def reserved(self) -> ReservedConnection:
        """A connection beside the pool, for one thread that must not wait for others."""
        made = ReservedConnection(self._settings, self._token)
        self._reserved.append(made)
        return made

    def use(self) -> PoolUse:
        """How the pool is used now; all zero while it is closed. Asks nobody."""
        with self._lock:
            stats = self._pool.get_stats() if self._pool is not None else {}
        size, idle = stats.get("pool_size", 0), stats.get("pool_available", 0)
        return PoolUse(
            most=self._size,
            idle=idle,
            in_use=max(size - idle, 0),
            waiting=stats.get("requests_waiting", 0),
            requests=stats.get("requests_num", 0),
            waited_seconds=stats.get("requests_wait_ms", 0) / 1000,
        )

    def close(self) -> None:
        """Close the pool; it opens again when next used."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.close()
        for reserved in self._reserved:
            reserved.close()

    def _url(self) -> str:
        url = self._settings.database_url.get_secret_value()
        if not url:
            raise ServiceUnavailable("database: DATABASE_URL is not set")
        return url

    def _connect(self, url: str) -> Connection:
        connection = Connection.connect(url, **self._connect_arguments(url))
        self._configure(connection)
        return connection

    def _configure(self, connection: Connection) -> None:
        connection.patience = self._settings.database_answer_seconds

    def _opened(self) -> ConnectionPool[Connection]:
        with self._lock:
            if self._pool is None:
                url = self._url()
                self._pool = ConnectionPool(
                    url,
                    connection_class=Connection,
                    # Asked for each connection: tokens expire.
                    kwargs=lambda: self._connect_arguments(url),
                    configure=self._configure,
                    min_size=0,
                    max_size=self._size,
                    timeout=self._settings.database_timeout_seconds,
                    max_idle=120,
                    check=self._check_open,
                    max_lifetime=MAX_LIFETIME,
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
        if not connection.has_word():
            return
        try:
            ConnectionPool.check_connection(connection)
        except psycopg.OperationalError:
            # The others have most likely been ended too: looked at at once, they are replaced at once.
            if self._pool is not None:
                self._pool.check()
            raise

    def _connect_arguments(self, url: str) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            **tls.root_certificates(url),
            "autocommit": True,
            "prepare_threshold": None,
            "row_factory": dict_row,
            "connect_timeout": 10,
            "application_name": "geospatial-orchestrator",
            # A server that vanished is noticed within half a minute, not after two hours. Behind a proxy,
            # which acknowledges for it, only `Connection.patience` notices.
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,
        }
        if self._token is not None:
            try:
                arguments["password"] = self._token()
            except TokenUnavailable as error:
                # Who waits for a connection of the pool is told why there is none.
                self._refused_token = error
                raise
            self._refused_token = None
        return arguments


class ReservedConnection(Database):
    """One connection, opened when it is needed and again whenever it breaks. It belongs to one thread.

    It gives up so early that an attempt on a connection that fell silent, and another one on a new
    connection, fit between a renewal that is due and the end of the lease. Each time that this did not help,
    it has twice the patience: a server that stalls is not to be left with ever more abandoned sessions.
    """

    def __init__(self, settings: Settings, token: TokenProvider | None = None) -> None:
        super().__init__(settings, token)
        spare = settings.lease_seconds - settings.heartbeat_seconds
        self._first_patience = self._patience = max(LEAST_PATIENCE, spare / 4)
        self._connection: Connection | None = None
        self._made_at = 0.0

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """As `Database.connection`, without a wait for others."""
        try:
            yield self._open()
            self._patience = self._first_patience
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            self.close()
            if isinstance(error, Silence):
                self._patience = min(2 * self._patience, self._settings.database_answer_seconds)
            raise ServiceUnavailable(f"database: {_reason(error)}") from error

    def close(self) -> None:
        """Close it; it opens again when next used."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _open(self) -> Connection:
        old = self._connection is not None and monotonic() - self._made_at > MAX_LIFETIME
        if self._connection is None or self._connection.closed or old or self._connection.has_word():
            self.close()
            self._connection, self._made_at = self._connect(self._url()), monotonic()
        self._connection.patience = self._patience
        return self._connection

    def _connect_arguments(self, url: str) -> dict[str, Any]:
        # Two seconds are the least that libpq takes for a timeout.
        return {**super()._connect_arguments(url), "connect_timeout": max(2, math.ceil(self._first_patience))}


def owner_database(settings: Settings, token: TokenProvider | None = None) -> Database:
    """The database as its schema's owner: one connection, made when it is needed (docs/database-roles.md)."""
    tls.check(settings)
    url = settings.database_owner_url.get_secret_value() or settings.database_url.get_secret_value()
    own = {"database_url": SecretStr(url), "database_direct_url": SecretStr("")}
    return Database(settings.model_copy(update=own), token, connections=1)


def _reason(error: Exception) -> str:
    """What went wrong, without the host, user or password that libpq likes to quote."""
    if isinstance(error, PoolTimeout):
        return "no connection became free in time"
    if isinstance(error, PoolClosed):
        return "the connection pool is closed"
    if isinstance(error, Silence | TokenUnavailable):
        return str(error)
    sqlstate = getattr(error, "sqlstate", None)
    return f"connection failed ({type(error).__name__}{f', SQLSTATE {sqlstate}' if sqlstate else ''})"
