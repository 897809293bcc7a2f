"""Child processes that end with the process that started them, and traces of those that did not."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .errors import StackError

_PR_SET_PDEATHSIG = 1
_LONGEST_LOG = 10 * 1024 * 1024
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Account:
    """A user of this machine that a server runs as."""

    name: str
    uid: int
    gid: int


def end_with_parent(number: signal.Signals) -> Callable[[], None]:
    """Code for a child, between fork and exec, that has the kernel send it a signal when its parent dies.

    prctl(2), PR_SET_PDEATHSIG. The parent is the *thread* that forked: start children from a thread that
    lives as long as they should. It survives exec, and must come after the change of user, which clears it;
    subprocess calls it then.
    """
    parent = os.getpid()

    def arm() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os.kill(os.getpid(), number)

    return arm


class Server:
    """A server process: started, watched, stopped."""

    def __init__(self, name: str, log: Path, stop_signal: signal.Signals) -> None:
        self.name = name
        self.log = log
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process.

        Raises:
            StackError: the server does not run.
        """
        if self._process is None:
            raise StackError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(
        self, command: Sequence[str], env: Mapping[str, str], cwd: Path, account: Account | None = None
    ) -> None:
        """Start the process in a session of its own, so that a Ctrl-C reaches only who started it."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LONGEST_LOG:
            self.log.replace(self.log.with_name(f"{self.log.name}.old"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # Whatever a dead parent's children get here, they end cleanly by it.
                preexec_fn=end_with_parent(self._stop_signal),
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[account.gid] if account else None,
            )

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return as soon as `ready` says so.

        Raises:
            StackError: the process ended, or was not ready in time; shows the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.running:
                raise StackError(f"{self.name} ended while starting:\n{tail(self.log)}")
            if time.monotonic() > deadline:
                raise StackError(f"{self.name} was not ready after {seconds:.0f} s:\n{tail(self.log)}")
            time.sleep(0.02)

    def stop(self, seconds: float = 20, number: signal.Signals | None = None) -> None:
        """End the process cleanly; kill it if it has not ended after `seconds`."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number or self._stop_signal)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, indented, or where to find it when it cannot be read."""
    try:
        text = log.read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return f"    (see {log})"
    return "\n".join(f"    {line}" for line in text)


def processes_on(program: str, argument: str) -> list[int]:
    """Ids of the processes of this program that have exactly this argument, such as a data directory."""
    wanted = argument.encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command, *arguments = (process / "cmdline").read_bytes().split(b"\0")
            if wanted in arguments and os.path.basename(command) == program.encode():
                found.append(int(process.name))
    return found


def end_leftovers(program: str, argument: str, number: signal.Signals, seconds: float = 10) -> list[int]:
    """End what an earlier, killed run left behind on this data directory; the ids of what was there."""
    left = processes_on(program, argument)
    for pid in left:
        _send(pid, number)
    deadline = time.monotonic() + seconds
    while remaining := processes_on(program, argument):
        if time.monotonic() > deadline:
            for pid in remaining:
                _send(pid, signal.SIGKILL)
        time.sleep(0.05)
    return left


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
    except PermissionError as error:
        raise StackError(
            f"Process {pid} uses this checkout's data and belongs to another user; end it first."
        ) from error
