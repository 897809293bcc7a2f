"""A worker process: one instance of the app, started by the supervisor.

It serves HTTP on a listening socket that it inherits, ends with its parent, and on SIGTERM finishes what is
in flight for a few seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import ctypes
import faulthandler
import logging
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import uvicorn

from local.functions_host.app_settings import AppSettings
from local.functions_host.errors import HostError
from local.functions_host.function_app import HTTP_TRIGGER, FunctionDefinition, load_function_app
from local.functions_host.host_json import HostOptions, load_host_json
from local.functions_host.http_server import describe_routes
from local.functions_host.instance import Instance
from local.functions_host.keys import load_keys
from local.functions_host.log import set_up_logging

EXIT_STOPPED = 0
EXIT_NOT_STARTED = 3
EXIT_FAILED = 70

# What a worker writes to the supervisor's pipe once it serves; one that cannot start writes why.
READY = b"ready\n"

_PIPE_BYTES = 32_768
_PR_SET_PDEATHSIG = 1
# Kestrel's default, so that a client which keeps its connection for a while may use it again.
_KEEP_ALIVE_SECONDS = 130
_SETTLE_SECONDS = 3.0
_WATCHDOG_GRACE_SECONDS = 2.0

logger = logging.getLogger("Host.Worker")


@dataclass(frozen=True)
class WorkerArguments:
    """What the supervisor tells a worker."""

    app: str
    app_root: Path
    host_json: Path
    keys: Path | None
    socket_fd: int
    ready_fd: int
    parent: int
    drain_seconds: float
    first: bool

    def command_line(self) -> list[str]:
        """Return the command that starts a worker with these arguments."""
        command = [sys.executable, "-m", "local.functions_host.worker"]
        for name, value in vars(self).items():
            if value is not None and value is not False:
                command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        return command

    @classmethod
    def parse(cls, argv: Sequence[str]) -> WorkerArguments:
        """Read what `command_line` made."""
        parser = argparse.ArgumentParser()
        parser.add_argument("--app", required=True)
        parser.add_argument("--app-root", required=True, type=Path)
        parser.add_argument("--host-json", required=True, type=Path)
        parser.add_argument("--keys", type=Path)
        parser.add_argument("--socket-fd", required=True, type=int)
        parser.add_argument("--ready-fd", required=True, type=int)
        parser.add_argument("--parent", required=True, type=int)
        parser.add_argument("--drain-seconds", required=True, type=float)
        parser.add_argument("--first", action="store_true")
        return cls(**vars(parser.parse_args(argv)))


def main(argv: Sequence[str]) -> int:
    """Run a worker until it is told to stop; return its exit code."""
    # Ctrl-C reaches the whole terminal group; when to stop is the supervisor's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # The supervisor started this process with it blocked; what the app starts is to have it as usual.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    arguments = WorkerArguments.parse(argv)
    if not die_with_parent(arguments.parent):
        return EXIT_STOPPED
    try:
        options = load_host_json(arguments.host_json)
        set_up_logging(options.log_levels)
        functions = load_function_app(arguments.app, arguments.app_root)
        asyncio.run(_serve_and_exit(arguments, options, functions))
        return EXIT_STOPPED
    except HostError as error:
        os.write(arguments.ready_fd, _explain(error).encode()[:_PIPE_BYTES])
        return EXIT_NOT_STARTED


async def _serve_and_exit(
    arguments: WorkerArguments, options: HostOptions, functions: tuple[FunctionDefinition, ...]
) -> None:
    """Serve, then end the process without waiting for threads that still run a function."""
    code = await _serve(arguments, options, functions)
    logging.shutdown()
    sys.stdout.flush()
    os._exit(code)


async def _serve(
    arguments: WorkerArguments, options: HostOptions, functions: tuple[FunctionDefinition, ...]
) -> int:
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    keys = load_keys(arguments.keys) if arguments.keys is not None else None
    settings = AppSettings(os.environ)
    instance = Instance(functions, options, settings, app_root=arguments.app_root, keys=keys)
    listening = socket.socket(fileno=arguments.socket_fd)
    server = _http_server(instance, arguments)
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    watchdog = asyncio.create_task(_watch_event_loop(options.function_timeout))
    instance.start()
    if arguments.first:
        _announce(instance, listening)
    exiting = asyncio.create_task(instance.invoker.exiting.wait())
    stop = asyncio.create_task(stopping.wait())
    await asyncio.wait({exiting, stop, serving}, return_when=asyncio.FIRST_COMPLETED)
    instance.stop()
    server.should_exit = True
    # After a function timeout all that runs here dies with the process. The real host outlives its Python
    # worker, answers 500 and settles the failed messages; so does this process in its last moments.
    seconds = _SETTLE_SECONDS if exiting.done() else arguments.drain_seconds
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.gather(serving, instance.drain()), seconds)
    watchdog.cancel()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(instance.close(), 1.0)
    return EXIT_FAILED if exiting.done() else EXIT_STOPPED


class _Server(uvicorn.Server):
    """uvicorn that tells when it serves, without signal handlers: the worker has its own."""

    def __init__(self, config: uvicorn.Config, ready_fd: int) -> None:
        super().__init__(config)
        self._ready_fd = ready_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, then write a byte to the supervisor's pipe."""
        await super().startup(sockets)
        with contextlib.suppress(BrokenPipeError):
            os.write(self._ready_fd, READY)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
        yield


def _http_server(instance: Instance, arguments: WorkerArguments) -> _Server:
    config = uvicorn.Config(
        instance.application,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        server_header=False,
        timeout_graceful_shutdown=max(1, int(arguments.drain_seconds)),
    )
    return _Server(config, arguments.ready_fd)


def _announce(instance: Instance, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    lines = describe_routes(instance.routes.routes, f"http://{host}:{port}")
    lines += [f"{f.name}: {f.trigger.type}" for f in instance.functions if f.trigger.type != HTTP_TRIGGER]
    logging.getLogger("Host.Startup").info("Functions:\n    %s", "\n    ".join(lines) or "none")


def _explain(error: HostError) -> str:
    """Return the message, with the trace when the app's own code failed."""
    cause = error.__cause__
    if cause is None or isinstance(cause, HostError | OSError | ValueError):
        return str(error)
    return f"{error}\n{''.join(traceback.format_exception(cause))}"


async def _watch_event_loop(function_timeout: timedelta | None) -> None:
    """End the process when the event loop itself is blocked for longer than a function may run.

    An `async` function that blocks, or code that keeps the interpreter lock, would otherwise stop the timeout
    from being noticed. The alarm is a thread in C that needs neither.
    """
    if function_timeout is None:
        return
    seconds = function_timeout.total_seconds()
    while True:
        faulthandler.dump_traceback_later(seconds + _WATCHDOG_GRACE_SECONDS, exit=True)
        await asyncio.sleep(min(seconds / 4, 10.0))


def die_with_parent(parent: int) -> bool:
    """Let this process die at once when its parent does; False when the parent is already gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    else:
        threading.Thread(target=_watch_parent, args=(parent,), daemon=True).start()
    return os.getppid() == parent


def _watch_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(EXIT_STOPPED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
