"""Runs instances of small apps in this process, and the whole host as a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import httpx
from azure.storage.queue import QueueClient

from local.functions_host.app_settings import AppSettings
from local.functions_host.function_app import read_functions
from local.functions_host.host_json import HostOptions, QueueOptions, SingletonOptions
from local.functions_host.instance import Instance

ROOT = Path(__file__).parents[3]
APPS = Path(__file__).parent / "apps"

FAST_QUEUES = QueueOptions(
    max_polling_interval=timedelta(milliseconds=100), visibility_timeout=timedelta(0), max_dequeue_count=3
)


@contextlib.asynccontextmanager
async def running(
    app: func.FunctionRegister,
    storage: str,
    *,
    queues: QueueOptions = FAST_QUEUES,
    singleton: SingletonOptions | None = None,
    function_timeout: timedelta | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Instance]:
    """Serve the app's queues and timers until the block ends, then drain."""
    options = HostOptions(
        queues=queues, singleton=singleton or SingletonOptions(), function_timeout=function_timeout
    )
    environment = {"AzureWebJobsStorage": storage, **(settings or {})}
    instance = Instance(read_functions(app), options, AppSettings(environment), app_root=ROOT, keys=None)
    instance.start()
    try:
        yield instance
    finally:
        instance.stop()
        await instance.drain()
        await instance.close()


async def until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until the condition holds; it may block shortly."""
    deadline = time.monotonic() + seconds
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until the condition holds."""
    asyncio.run(until(condition, seconds))


def put(queue: QueueClient, *bodies: str | bytes) -> None:
    """Put messages into the queue, as Base64."""
    for body in bodies:
        queue.send_message(b64encode(body.encode() if isinstance(body, str) else body).decode())


def visible(queue: QueueClient) -> list[str]:
    """Return the texts of the visible messages, as they are in the queue."""
    return [str(message.content) for message in queue.peek_messages(32)]


def decoded(queue: QueueClient) -> list[bytes]:
    """Return the bodies of the visible messages."""
    return [b64decode(text) for text in visible(queue)]


def count(queue: QueueClient) -> int:
    """Return the number of messages in the queue, visible or not."""
    return int(queue.get_queue_properties().approximate_message_count or 0)


@dataclass
class HostProcess:
    """`python -m local.host` and what it said."""

    process: subprocess.Popen[bytes]
    url: str
    pid_file: Path
    log: Path

    def workers(self) -> list[int]:
        """Return the process ids of the workers."""
        document = json.loads(self.pid_file.read_text())
        assert document["host"] == self.process.pid
        return [int(pid) for pid in document["workers"]]

    def get(self, path: str, **how: Any) -> httpx.Response:
        """Ask on a new connection."""
        return httpx.get(self.url + path, timeout=10, **how)


@contextlib.contextmanager
def host_process(
    app: str,
    folder: Path,
    port: int,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    host_json: Mapping[str, object] | None = None,
) -> Iterator[HostProcess]:
    """Run the host with an app of the folder `apps` until the block ends."""
    path, pid_file, log = folder / "host.json", folder / "pids.json", folder / "host.log"
    path.write_text(json.dumps({"version": "2.0", **(host_json or {})}))
    command = [sys.executable, "-m", "local.host", "--app", f"{app}:app", "--host-json", str(path)]
    command += ["--port", str(port), "--pid-file", str(pid_file), *arguments]
    python_path = os.pathsep.join([str(APPS), str(ROOT), *sys.path])
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, "PYTHONPATH": python_path, **(environment or {})},
            stdout=output,
            stderr=output,
        )
    try:
        yield HostProcess(process, f"http://127.0.0.1:{port}", pid_file, log)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(20)


def wait_until_ready(host: HostProcess) -> None:
    """Wait until all workers serve."""
    wait_until(lambda: b"Serving on" in host.log.read_bytes() or host.process.poll() is not None, 20)
    assert host.process.poll() is None, host.log.read_text()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
