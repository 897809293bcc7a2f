"""A peer: worker processes and one client, in the peer's own environment."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from .environments import HERE
from .servers import BenchServers
from .sides import LineClient, NotInTime, Submission, end, start


@dataclass
class PeerSide:
    """DBOS, Procrastinate or Celery with two worker processes; see `sides.Side`."""

    name: str
    python: Path
    servers: BenchServers
    logs: Path
    workers: int = 2
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _client: LineClient | None = None

    @property
    def database(self) -> str:
        """The name of its database; Celery has none."""
        return "" if self.name == "celery" else f"bench_{self.name}"

    def start(self) -> None:
        """See `sides.Side`."""
        env = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        if self.name == "celery":
            assert self.servers.redis is not None
            self.servers.redis.stop()
            self.servers.redis.start()
            env["BENCH_REDIS_URL"] = self.servers.redis.url
            # One command starts both worker processes, and the one that hands them their tasks.
            commands = [self._command("worker", str(self.workers))]
        else:
            env["BENCH_DATABASE_URL"] = self.servers.database(self.database)
            with self._log.open("ab") as log:
                subprocess.run(self._command("setup"), env=env, check=True, stdout=log, stderr=log)
            commands = [self._command("worker")] * self.workers
        self._processes = [start(command, env, self._log) for command in commands]
        self._client = LineClient(self._command("client"), env, self._log)
        time.sleep(1.0)
        self.run(10, 1, 60)

    def stop(self) -> None:
        """See `sides.Side`."""
        if self._client:
            self._client.stop()
        end(self._processes)
        self._client, self._processes = None, []

    def processes(self) -> dict[str, list[int]]:
        """See `sides.Side`."""
        workers = [process.pid for process in self._processes]
        if self.servers.redis and self.name == "celery":
            return {"workers": workers, "redis": [self.servers.redis.pid]}
        return {"workers": workers, "postgres": [self.servers.postgres.pid]}

    def run(self, n: int, jobs: int, limit: float) -> float:
        """See `sides.Side`."""
        assert self._client is not None
        answer = self._client.ask(limit + 10, command="run", n=n, jobs=jobs, seconds=limit)
        if not answer["finished"]:
            raise NotInTime
        return float(answer["seconds"])

    def submission(self, one_by_one: int, at_once: int, threads: int) -> Submission:
        """See `sides.Side`."""
        assert self._client is not None
        options = {"one_by_one": one_by_one, "at_once": at_once, "threads": threads}
        return Submission(**self._client.ask(120, command="enqueue", **options))

    @property
    def _log(self) -> Path:
        self.logs.mkdir(parents=True, exist_ok=True)
        return self.logs / f"{self.name}.log"

    def _command(self, *arguments: str) -> list[str]:
        return [str(self.python), str(HERE / "peers" / f"{self.name}_app.py"), *arguments]
