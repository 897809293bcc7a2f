"""The servers of one benchmark: one PostgreSQL for everybody, Azurite for us, Redis for Celery."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from local.stack.azurite import AzuriteServer
from local.stack.install import azurite_programs, postgres_programs
from local.stack.paths import Paths
from local.stack.ports import LOOPBACK, accepts, free_ports
from local.stack.postgres import DURABLE, PostgresServer, home_for_data, server_account
from local.stack.process import Server
from local.stack.progress import Progress

from .environments import folder, redis_server


class RedisServer:
    """A private Redis that appends to its log and syncs it every second, as Redis advises."""

    def __init__(self, program: str, home: Path) -> None:
        self._program = program
        self._home = home
        self._server = Server("Redis", home / "log", signal.SIGTERM)
        self._port = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._server.pid

    @property
    def url(self) -> str:
        """What a client needs."""
        return f"redis://{LOOPBACK}:{self._port}/0"

    def start(self) -> None:
        """Start it empty; return once it takes connections."""
        shutil.rmtree(self._home, ignore_errors=True)
        self._home.mkdir(parents=True)
        [self._port] = free_ports(1)
        options = {"port": str(self._port), "bind": LOOPBACK, "dir": str(self._home), "save": ""}
        options |= {"appendonly": "yes", "appendfsync": "everysec"}
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._server.start([self._program, *words], env={"PATH": "/usr/bin:/bin"}, cwd=self._home)
        self._server.wait_until(lambda: accepts(self._port), seconds=20)

    def stop(self) -> None:
        """Stop it."""
        self._server.stop()


class BenchServers:
    """All three, started."""

    def __init__(self, postgres: PostgresServer, azurite: AzuriteServer, redis: RedisServer | None) -> None:
        self.postgres = postgres
        self.azurite = azurite
        self.redis = redis

    def database(self, name: str, template: str = "template1") -> str:
        """A new database in place of an older one of the same name; its URL."""
        self.postgres.drop_database(name)
        url = self.postgres.create_database(name, template)
        # Copying a template leaves dirty pages that whoever is measured next would have to write.
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
        return url


@contextmanager
def bench_servers(
    paths: Paths, progress: Progress, *, with_redis: bool, profiling: bool
) -> Iterator[BenchServers]:
    """Start the servers with empty data; stop them at the end and remove the data."""
    installation = postgres_programs(paths, progress)
    node, script = azurite_programs(paths, progress)
    redis_program = redis_server(paths, progress) if with_redis else ""
    settings = dict(DURABLE)
    if profiling:
        settings |= {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all"}
    account = server_account()
    postgres = PostgresServer(installation, home_for_data(folder(paths) / "postgres", account), settings)
    data = Path(tempfile.mkdtemp(prefix="bench-", dir=folder(paths)))
    azurite = AzuriteServer(node, script, data / "azurite", data / "azurite.log")
    redis = RedisServer(redis_program, data / "redis") if with_redis else None
    try:
        postgres.erase()
        with progress.step("Starting PostgreSQL and Azurite" + (" and Redis" if redis else "")):
            postgres.start()
            azurite.start()
            if redis:
                redis.start()
        yield BenchServers(postgres, azurite, redis)
    finally:
        for server in (redis, azurite, postgres):
            if server:
                server.stop()
        postgres.erase()
        shutil.rmtree(data, ignore_errors=True)
