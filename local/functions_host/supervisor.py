"""Starts worker processes as Azure starts instances, and starts one again that died.

All workers accept on one listening socket, which the supervisor keeps open: a worker that is killed leaves
neither a dead port nor connections that hang in a queue of its own.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from local.functions_host.errors import FunctionAppError, HostConfigurationError
from local.functions_host.keys import load_keys
from local.functions_host.worker import EXIT_NOT_STARTED, READY, WorkerArguments

DEFAULT_PORT = 7071
DEFAULT_WORKERS = 2

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_BACKLOG = 2048
_POLL_SECONDS = 0.05
_STABLE_SECONDS = 5.0
_LONGEST_RESTART_DELAY = 10.0
_KILL_AFTER_DRAIN_SECONDS = 3.0

WorkersChanged = Callable[[list[int]], None]

logger = logging.getLogger("Host.Supervisor")


@dataclass(frozen=True)
class ServeOptions:
    """What to serve and where.

    `app` is `module:attribute`, imported with `app_root` on the path. `auth` asks for the keys in `keys`,
    which are made when missing. `drain_seconds` is how long a stop waits for what is in flight.
    """

    app: str = "function_app:app"
    app_root: Path = Path()
    host_json: Path = Path("host.json")
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    workers: int = DEFAULT_WORKERS
    auth: bool = False
    keys: Path = Path(".local/keys.json")
    pid_file: Path | None = None
    drain_seconds: float = 5.0


def serve(
    options: ServeOptions,
    *,
    on_workers_changed: WorkersChanged | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> int:
    """Serve the function app until SIGINT, SIGTERM or SIGHUP; return the exit code of the process.

    Call it from the main thread. `on_workers_changed` gets the process ids of the workers each time one is
    started or has ended; `on_ready` gets the base URL once, when all workers serve.

    Raises:
        HostConfigurationError: the port is taken, or the keys file is not valid.
        FunctionAppError: the app cannot be started; the message is what the worker said.
    """
    if options.auth:
        load_keys(options.keys)
    with _listen(options.host, options.port) as listening:
        supervisor = Supervisor(options, listening, on_workers_changed, on_ready)
        with _stop_on_signals(supervisor):
            supervisor.run()
    return 0


class Supervisor:
    """The loop over the workers."""

    def __init__(
        self,
        options: ServeOptions,
        listening: socket.socket,
        on_workers_changed: WorkersChanged | None,
        on_ready: Callable[[str], None] | None,
    ) -> None:
        self._options = options
        self._listening = listening
        self._on_workers_changed = on_workers_changed
        self._on_ready = on_ready
        self._workers: list[_Worker] = []
        self._stop_requests = 0
        self._restart_delay = 0.0
        self._restart_at = 0.0
        self._ever_ready = False

    def request_stop(self) -> None:
        """Stop gracefully; the second time, at once."""
        self._stop_requests += 1

    def run(self) -> None:
        """Keep the workers running until a stop is requested.

        Raises:
            FunctionAppError: the app could not be started the first time.
        """
        try:
            for number in range(self._options.workers):
                self._start_worker(first=number == 0)
            while not self._stop_requests:
                self._notice_ready()
                self._reap()
                self._start_missing()
                time.sleep(_POLL_SECONDS)
        finally:
            self._stop_workers()
            if self._options.pid_file is not None:
                self._options.pid_file.unlink(missing_ok=True)

    def _start_worker(self, *, first: bool = False) -> None:
        self._workers.append(_Worker(self._options, self._listening, announce=first))
        self._changed()

    def _reap(self) -> None:
        """Report workers that ended."""
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            self._workers.remove(worker)
            code = worker.process.returncode
            failure = worker.failure()
            worker.close()
            if code == EXIT_NOT_STARTED and not self._ever_ready:
                raise FunctionAppError(failure)
            logger.error("Worker %d %s. %s", worker.process.pid, _describe_exit(code), failure)
            stable = time.monotonic() - worker.started_at > _STABLE_SECONDS
            longer = min(_LONGEST_RESTART_DELAY, 2 * self._restart_delay + 0.25)
            self._restart_delay = 0.0 if stable else longer
            self._restart_at = time.monotonic() + self._restart_delay
            self._changed()

    def _start_missing(self) -> None:
        while len(self._workers) < self._options.workers and time.monotonic() >= self._restart_at:
            self._start_worker()
            logger.warning("Worker %d started in its place.", self._workers[-1].process.pid)

    def _notice_ready(self) -> None:
        ready = [worker.is_ready() for worker in self._workers]
        if self._ever_ready or not all(ready) or len(ready) < self._options.workers:
            return
        self._ever_ready = True
        if self._on_ready is not None:
            self._on_ready(base_url(self._listening))

    def _changed(self) -> None:
        pids = [worker.process.pid for worker in self._workers]
        if self._options.pid_file is not None:
            _write_atomically(self._options.pid_file, {"host": os.getpid(), "workers": pids})
        if self._on_workers_changed is not None:
            self._on_workers_changed(pids)

    def _stop_workers(self) -> None:
        for worker in self._workers:
            worker.process.terminate()
        deadline = time.monotonic() + self._options.drain_seconds + _KILL_AFTER_DRAIN_SECONDS
        while self._workers:
            if time.monotonic() > deadline or self._stop_requests > 1:
                for worker in self._workers:
                    worker.process.kill()
            ended = [worker for worker in self._workers if worker.process.poll() is not None]
            for worker in ended:
                self._workers.remove(worker)
                worker.close()
            if ended:
                self._changed()
            time.sleep(_POLL_SECONDS)


class _Worker:
    """One worker process and the pipe on which it says that it serves."""

    def __init__(self, options: ServeOptions, listening: socket.socket, *, announce: bool) -> None:
        self._ready_fd, write_fd = os.pipe()
        os.set_blocking(self._ready_fd, False)
        arguments = WorkerArguments(
            app=options.app,
            app_root=options.app_root.resolve(),
            host_json=options.host_json.resolve(),
            keys=options.keys.resolve() if options.auth else None,
            socket_fd=listening.fileno(),
            ready_fd=write_fd,
            parent=os.getpid(),
            drain_seconds=options.drain_seconds,
            first=announce,
        )
        self.started_at = time.monotonic()
        self._said = b""
        try:
            with _interrupt_held_back():
                self.process = subprocess.Popen(
                    arguments.command_line(),
                    pass_fds=(listening.fileno(), write_fd),
                    stdin=subprocess.DEVNULL,
                    cwd=options.app_root,
                    env=_worker_environment(),
                )
        finally:
            os.close(write_fd)

    def is_ready(self) -> bool:
        """Tell whether the worker has said that it serves."""
        self._said += self._read()
        return self._said == READY

    def failure(self) -> str:
        """Return why an ended worker could not start; empty when it did."""
        self._said += self._read()
        return self._said.removeprefix(READY).decode(errors="replace")

    def _read(self) -> bytes:
        try:
            return os.read(self._ready_fd, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._ready_fd)


@contextmanager
def _interrupt_held_back() -> Iterator[None]:
    """Block SIGINT for a moment; a process started meanwhile has it blocked from its first instruction.

    Ctrl-C reaches the whole terminal group, and the worker needs some tenths of a second until it ignores it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def base_url(listening: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _worker_environment() -> dict[str, str]:
    """The worker must find this package, wherever the app is."""
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"}


@contextmanager
def _listen(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((host, port))
        except OSError as error:
            raise HostConfigurationError(
                f"port {port} on {host} cannot be used ({error.strerror}): choose another with --port"
            ) from error
        listening.listen(_BACKLOG)
        yield listening


@contextmanager
def _stop_on_signals(supervisor: Supervisor) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.request_stop()

    previous = {number: signal.signal(number, stop) for number in _STOP_SIGNALS}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _write_atomically(path: Path, document: dict[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(document), encoding="utf-8")
    temporary.replace(path)


def _describe_exit(code: int) -> str:
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
