"""The private servers of one checkout, or those that the environment names instead."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
from azure.core.exceptions import AzureError

from .azurite import AzuriteServer, connection_string
from .errors import StackError
from .install import azurite_programs, postgres_programs
from .paths import Paths
from .postgres import PostgresServer, home_for_data, server_account
from .progress import Progress
from .run_file import RunFile

DATABASE = "geospatial"
_LOOK_EVERY = 1.0


class Servers:
    """PostgreSQL and Azurite: private ones, except where a URL from outside is given."""

    def __init__(self, paths: Paths, progress: Progress, database_url: str, storage: str) -> None:
        self.database_url = database_url
        self.storage = connection_string() if storage == "UseDevelopmentStorage=true" else storage
        self._paths = paths
        self._progress = progress
        self._postgres = None if database_url else self._private_postgres()
        self._azurite = None if storage else self._private_azurite()
        self._ending = threading.Event()
        self._watcher: threading.Thread | None = None

    def erase(self) -> None:
        """Remove all data of the private servers."""
        for server in (self._postgres, self._azurite):
            if server:
                server.erase()

    def start(self) -> None:
        """Start both; returns once both answer.

        Raises:
            StackError: one does not start; shows the end of its log.
        """
        if self._azurite:
            self._azurite.launch()
        if self._postgres:
            with self._progress.step("Starting PostgreSQL"):
                self._postgres.start()
                self.database_url = self._ensure_database(self._postgres)
        if self._azurite:
            with self._progress.step("Starting Azurite"):
                self._azurite.wait()
            self.storage = self._azurite.connection_string
        self._remember_ports()

    def pids(self) -> dict[str, int | None]:
        """Process ids for the run file; None where the server is not ours."""
        return {
            "postgres": self._postgres.pid if self._postgres else None,
            "azurite": self._azurite.pid if self._azurite else None,
        }

    def watch(self, run_file: RunFile, refill: Callable[[], object]) -> None:
        """From now on, start a server again that ended by itself, on the same port, and note its process.

        `refill` is called after that: an Azurite that was killed forgets what it was told last.
        """
        self._watcher = threading.Thread(target=self._watch, args=(run_file, refill), daemon=True)
        self._watcher.start()

    def stop(self) -> None:
        """Stop the private servers cleanly; their data stay."""
        self._ending.set()
        if self._watcher:
            self._watcher.join()
        for server in (self._postgres, self._azurite):
            if server:
                server.stop()

    def _watch(self, run_file: RunFile, refill: Callable[[], object]) -> None:
        # A server started from here ends when this thread does, which is when all are stopped.
        while not self._ending.wait(_LOOK_EVERY):
            for name, server in (("PostgreSQL", self._postgres), ("Azurite", self._azurite)):
                if server and not server.running:
                    self._progress.say(f"{name} ended; starting it again")
                    try:
                        server.start()
                        refill()
                    except (StackError, AzureError) as error:
                        self._progress.say(str(error))
                    else:
                        run_file.update(**self.pids())

    def _private_postgres(self) -> PostgresServer:
        installation = postgres_programs(self._paths, self._progress)
        home = home_for_data(self._paths.postgres, server_account())
        if home != self._paths.postgres:
            self._progress.say(f"PostgreSQL's user cannot enter {self._paths.local}; its data are in {home}")
        ports = self._ports_of_last_start()
        return PostgresServer(installation, home, preferred_port=ports.get("postgres", [0])[0])

    def _private_azurite(self) -> AzuriteServer:
        node, script = azurite_programs(self._paths, self._progress)
        log = self._paths.logs / "azurite.log"
        ports = self._ports_of_last_start().get("azurite")
        return AzuriteServer(node, script, self._paths.azurite, log, ports)

    def _ensure_database(self, postgres: PostgresServer) -> str:
        url = postgres.ensure_database(DATABASE)
        with psycopg.connect(url) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        return url

    def _ports_of_last_start(self) -> dict[str, list[int]]:
        ports: dict[str, list[int]] = {}
        with suppress(OSError, ValueError):
            ports = json.loads(self._paths.ports_file.read_text())
        return ports

    def _remember_ports(self) -> None:
        """Note the ports for the next start: the database may hold URLs of blobs."""
        ports = self._ports_of_last_start()
        if self._postgres:
            ports["postgres"] = [self._postgres.port]
        if self._azurite:
            ports["azurite"] = self._azurite.ports
        self._paths.ports_file.write_text(json.dumps(ports))
