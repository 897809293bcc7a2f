"""What is compared: ours and each peer, all driven in the same way."""

from __future__ import annotations

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from local.stack.process import end_with_parent, tail


class NotInTime(Exception):
    """A run was not over within its limit; the side has to be started anew."""


@dataclass(frozen=True)
class Run:
    """One measured run: wall time, and seconds of CPU by who used them."""

    seconds: float
    cpu: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """Latency of single submissions; latency and how many a second from several threads."""

    p50_ms: float
    p95_ms: float
    loaded_p50_ms: float
    rate: float


class Side(Protocol):
    """One of those compared. `start` gives it an empty database and fresh processes."""

    @property
    def name(self) -> str:
        """What tables and charts call it."""

    @property
    def database(self) -> str:
        """The name of its database; empty when it has none."""

    def start(self) -> None:
        """Start it and return once it can work."""

    def stop(self) -> None:
        """End its processes."""

    def processes(self) -> dict[str, list[int]]:
        """Roots of the process trees that do the work, by what they are."""

    def run(self, n: int, jobs: int, limit: float) -> float:
        """Seconds from the submission of `jobs` jobs of two stages of n tasks to the end of the last.

        Raises `NotInTime`.
        """

    def submission(self, one_by_one: int, at_once: int, threads: int) -> Submission:
        """Measure submissions."""


class LineClient:
    """A child process that answers each JSON line with one."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._process = start(command, env, log, pipes=True)
        self._answers: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()
        self._answer(60)

    def ask(self, seconds: float, /, **command: object) -> dict[str, Any]:
        """Send a command and return what comes back. Raises `NotInTime`."""
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(command) + "\n").encode())
        self._process.stdin.flush()
        return self._answer(seconds)

    def stop(self) -> None:
        """End the process."""
        end([self._process])

    def _answer(self, seconds: float) -> dict[str, Any]:
        try:
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            raise NotInTime from None
        if not line:
            raise RuntimeError(f"the client ended:\n{tail(self._log)}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith(b"{"):
                self._answers.put(line.decode())
        self._answers.put("")


def start(
    command: Sequence[str], env: Mapping[str, str], log: Path, *, cwd: Path | None = None, pipes: bool = False
) -> subprocess.Popen[bytes]:
    """Start a process that ends with this one, in a session of its own, with what it says in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipes else output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )


def end(processes: Sequence[subprocess.Popen[bytes]], seconds: float = 10) -> None:
    """End these processes, politely at first."""
    for process in processes:
        with suppress(ProcessLookupError):
            process.terminate()
    for process in processes:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
