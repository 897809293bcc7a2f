"""A private PostgreSQL server: made, started, stopped; its data stay."""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg
from psycopg import sql

from .commands import run_logged
from .errors import StackError
from .packages import Installation
from .ports import LOOPBACK, accepts, free_ports
from .process import Account, Server, end_leftovers, processes_on

SUPERUSER = "postgres"
_START_ATTEMPTS = 3

DURABLE: Mapping[str, str] = {}
"""Settings of a server whose data must survive anything: PostgreSQL's own."""
THROW_AWAY: Mapping[str, str] = {"fsync": "off", "full_page_writes": "off"}
"""Settings of a server whose data survive a kill, as commits must, but not a power failure."""

_COMMON: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %d ",
    # Short transactions only; compiling queries costs more than it gains.
    "jit": "off",
}


def server_account() -> Account | None:
    """Whom the server runs as: None for this user; PostgreSQL refuses root, so for root another user."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(name, entry.pw_uid, entry.pw_gid)
    raise StackError("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody")


def home_for_data(wanted: Path, account: Account | None) -> Path:
    """A folder for the server's data: `wanted` if its user can get there, else one that is always the same.

    A checkout below /root, for example, cannot be entered by the user postgres.
    """
    if account is None or _can_enter(wanted.parent, account):
        return wanted
    key = hashlib.sha256(str(wanted).encode()).hexdigest()[:12]
    for base in (Path("/var/lib"), Path(tempfile.gettempdir()), Path("/tmp")):
        if base.is_dir() and os.access(base, os.W_OK) and _can_enter(base, account):
            return base / "geospatial-orchestrator" / key
    raise StackError(f"There is no folder that the user {account.name} could keep PostgreSQL's data in")


def _can_enter(folder: Path, account: Account) -> bool:
    """Whether the account may reach files below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)],
        cwd="/",
        stderr=subprocess.DEVNULL,
        user=account.uid,
        group=account.gid,
        extra_groups=[account.gid],
        check=False,
    )
    return done.returncode == 0


class PostgresServer:
    """A cluster in `home` (its `data`, `password` and `log`), served on one loopback port."""

    def __init__(
        self,
        installation: Installation,
        home: Path,
        settings: Mapping[str, str] = DURABLE,
        preferred_port: int | None = None,
        *,
        strategy: str = "",
    ) -> None:
        """`strategy`: how databases are copied, where CREATE DATABASE knows it (PostgreSQL 15)."""
        self.home = home
        self.log = home / "log"
        self._installation = installation
        self._settings = settings
        self._strategy = strategy
        self._data = home / "data"
        self._account = server_account()
        self._preferred = [preferred_port] if preferred_port else None
        self._server = Server("PostgreSQL", self.log, signal.SIGINT)  # SIGINT: fast shutdown
        self._password = ""
        self.port = 0

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._server.pid

    @property
    def running(self) -> bool:
        """Whether the postmaster lives."""
        return self._server.running

    def url(self, database: str = "postgres") -> str:
        """The connection string of one database, as the superuser."""
        return f"postgresql://{SUPERUSER}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def start(self) -> None:
        """Start the server, making the cluster first if there is none; return once it answers.

        Raises:
            StackError: it does not start; shows the end of its log.
        """
        self._clear_leftovers()
        if not (self._data / "PG_VERSION").exists():
            self._make_cluster()
        self._password = (self.home / "password").read_text().strip()
        for attempt in range(_START_ATTEMPTS):
            # After a crash, and in tests, the same server comes back on the port that its clients know.
            [self.port] = free_ports(1, [self.port] if self.port else self._preferred)
            try:
                self._launch()
                return
            except StackError:
                # Somebody may have taken the port since, or sessions of a killed server still be ending.
                self.stop()
                if attempt == _START_ATTEMPTS - 1:
                    raise
                time.sleep(0.5)

    def _launch(self) -> None:
        settings = {**_COMMON, **self._settings, "port": str(self.port)}
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        self._server.start(
            [str(self._installation.bin / "postgres"), "-D", str(self._data), *options],
            env=self._env(),
            cwd=Path("/"),
            account=self._account,
        )
        # A crashed cluster replays its log first.
        self._server.wait_until(self._answers, seconds=60)

    def stop(self, number: signal.Signals | None = None) -> None:
        """Stop the server: by a fast, clean shutdown, or by another signal of pg_ctl(1)."""
        self._server.stop(number=number)

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database, as a copy of the template; its URL."""
        names = (sql.Identifier(name), sql.Identifier(template))
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names)
        with psycopg.connect(self.url(), autocommit=True) as connection:
            if self._strategy and connection.info.server_version >= 150000:
                statement += sql.SQL(" STRATEGY {}").format(sql.Identifier(self._strategy.lower()))
            connection.execute(statement)
        return self.url(name)

    def ensure_database(self, name: str) -> str:
        """Create a database unless it exists; its URL."""
        with psycopg.connect(self.url()) as connection:
            known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
        return self.url(name) if known else self.create_database(name)

    def drop_database(self, name: str) -> None:
        """Drop a database and end its connections."""
        statement = sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)")
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.format(sql.Identifier(name)))

    def erase(self) -> None:
        """Remove the cluster and all its data."""
        self._clear_leftovers()
        shutil.rmtree(self.home, ignore_errors=True)

    def _answers(self) -> bool:
        if not accepts(self.port):
            return False
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _env(self) -> dict[str, str]:
        # Nothing of the person's own: PGDATA, PGOPTIONS and their like would lead the server astray.
        return {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", **self._installation.env}

    def _clear_leftovers(self) -> None:
        end_leftovers("postgres", str(self._data), signal.SIGINT)
        pid_file = self._data / "postmaster.pid"
        # The file of a killed server can name a process that is somebody else's by now, and PostgreSQL
        # would refuse to start. Nobody has this data directory open: that was looked up above.
        if pid_file.exists() and not processes_on("postgres", str(self._data)):
            pid_file.unlink()

    def _make_cluster(self) -> None:
        """Make the cluster beside its place and move it there, so that half a cluster is never found."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o755)
        if self._account:
            os.chown(self.home, self._account.uid, self._account.gid)
        self.home.chmod(0o700)
        making = self.home / "making"
        shutil.rmtree(making, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)
        password = self.home / "password"
        password.touch(0o600)
        password.write_text(secrets.token_urlsafe(24) + "\n")
        if self._account:
            os.chown(password, self._account.uid, self._account.gid)
        program = [str(self._installation.bin / "initdb"), "-D", str(making), "-U", SUPERUSER, "-E", "UTF8"]
        throw_away = self._settings.get("fsync") == "off"
        # SCRAM is made to cost milliseconds at each connection, and tests make ten thousand.
        program += ["--locale=C.UTF-8", "-A", "md5" if throw_away else "scram-sha-256"]
        program += [f"--pwfile={password}", *(["--no-sync"] if throw_away else [])]
        run_logged(program, self.log, env=self._env(), cwd=Path("/"), account=self._account)
        making.rename(self._data)
