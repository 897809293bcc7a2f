"""Lets a worker process end itself with SIGKILL at a named moment, or lose a connection. Runs inside it.

What is to happen lies in a file, `armed`, in the folder that CRASH_FOLDER names: a list of steps. Whoever
comes to the first of them takes the file away, leaves the rest of the list in its place, notes in
`fired.jsonl` when it died, and dies. So a step is taken once, by one process, and the next worker lives.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import inspect
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import psycopg
from urllib3.connection import HTTPConnection

from tests.chaos.crash_steps import OPERATION

ARMED = "armed"
DURING_SECONDS = 0.1
"""So long after its call a function is in the middle of its work, if it is one that takes long."""
FIRED = "fired.jsonl"
AWAY = "away"
"""While this file is in the folder, blob storage is away for the workers."""
WRITES = (
    "azure.storage.queue:QueueClient.send_message",
    "azure.storage.queue:QueueClient.create_queue",
    "azure.storage.queue.aio:QueueClient.send_message",
    "azure.storage.queue.aio:QueueClient.delete_message",
    "azure.storage.queue.aio:QueueClient.update_message",
    "azure.storage.blob:BlobClient.upload_blob",
    "azure.storage.blob:BlobServiceClient.create_container",
    "azure.storage.blob:ContainerClient.delete_blobs",
)
FLUSHED_SECONDS = 0.02
"""In this time a request is on its way that the event loop has been given to write."""

_unanswered: ContextVar[str] = ContextVar("unanswered", default="")
"""Within a request of whose answer the process is not to learn: `during` or `cut`."""


class Trap:
    """What this process is to die of, read again whenever the file was changed."""

    def __init__(self, folder: Path) -> None:
        self._armed = folder / ARMED
        self._fired = folder / FIRED
        self._lock = threading.Lock()
        self._version: tuple[int, int] | None = None
        self._steps: list[dict[str, Any]] = []
        self._count = 0

    def reach(self, place: str, moment: str, *, moved: bool = True) -> None:
        """Die here, if this is the place and the time."""
        if self.springs(place, moment, moved=moved):
            die()

    def springs(self, place: str, moment: str, *, moved: bool = True) -> bool:
        """Whether the process is to die at this moment; true once, and then it has been noted already."""
        try:
            stat = self._armed.stat()
        except FileNotFoundError:
            return False
        with self._lock:
            version = (stat.st_ino, stat.st_mtime_ns)
            if version != self._version:
                with suppress(FileNotFoundError):
                    self._steps = json.loads(self._armed.read_text())
                    self._version, self._count = version, 0
            if self._version != version or not self._steps:
                return False
            step = self._steps[0]
            if (step["place"], step["moment"]) != (place, moment) or (step["moved"] and not moved):
                return False
            self._count += 1
            return self._count >= step["nth"] and self._take(place, moment)

    def _take(self, place: str, moment: str) -> bool:
        mine = self._armed.with_name(f"taken-{os.getpid()}")
        try:
            self._armed.rename(mine)
        except FileNotFoundError:
            return False
        note = {"place": place, "moment": moment, "pid": os.getpid(), "at": time.time()}
        with self._fired.open("a") as fired:
            fired.write(json.dumps(note) + "\n")
        if rest := self._steps[1:]:
            mine.write_text(json.dumps(rest))
            mine.rename(self._armed)
        return True


def die() -> NoReturn:
    """End this process as the kernel would: nothing is flushed, closed or rolled back."""
    os.kill(os.getpid(), signal.SIGKILL)
    while True:
        time.sleep(60)


def install(trap: Trap, places: Iterable[str]) -> None:
    """Watch these functions, and every operation. Raises where a place does not exist."""
    for place in sorted({*places} - {OPERATION}):
        _wrap(place, place, trap)
    for place in WRITES:
        _wrap(place, OPERATION, trap)
    _watch_round_trips(trap)
    _watch_answers()


def _wrap(place: str, name: str, trap: Trap) -> None:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, attribute = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, attribute, _watched(getattr(owner, attribute), name, trap))


def _watched(function: Callable[..., Any], place: str, trap: Trap) -> Callable[..., Any]:
    unwrapped = inspect.unwrap(function)
    if inspect.iscoroutinefunction(unwrapped):

        @functools.wraps(function)
        async def asynchronous(*arguments: Any, **named: Any) -> Any:
            trap.reach(place, "before")
            _leave_unanswered(place, trap)
            answer = await function(*arguments, **named)
            trap.reach(place, "after", moved=bool(answer))
            return answer

        return asynchronous

    if inspect.isgeneratorfunction(unwrapped):

        @functools.wraps(function)
        def by_steps(*arguments: Any, **named: Any) -> Any:
            trap.reach(place, "before")
            for answer in function(*arguments, **named):
                trap.reach(place, "after", moved=bool(answer))
                yield answer

        return by_steps

    @functools.wraps(function)
    def synchronous(*arguments: Any, **named: Any) -> Any:
        trap.reach(place, "before")
        _leave_unanswered(place, trap)
        if trap.springs(place, "within"):
            threading.Timer(DURING_SECONDS, die).start()
        answer = function(*arguments, **named)
        trap.reach(place, "after", moved=bool(answer))
        return answer

    return synchronous


def _leave_unanswered(place: str, trap: Trap) -> None:
    for moment in ("during", "cut"):
        if trap.springs(place, moment):
            _unanswered.set(moment)


def _watch_round_trips(trap: Trap) -> None:
    """Each round trip of psycopg is one call of `Connection.wait`."""
    wait = psycopg.Connection.wait

    @functools.wraps(wait)
    def watched(self: Any, generator: Any, *arguments: Any, **named: Any) -> Any:
        trap.reach(OPERATION, "before")
        if trap.springs(OPERATION, "during"):
            # The statement is sent; nobody will read the answer.
            with suppress(StopIteration):
                next(generator)
            die()
        if trap.springs(OPERATION, "cut"):
            try:
                next(generator)
            except StopIteration as done:
                # It needs no answer; the next statement will find out.
                return done.value
            finally:
                _cut(self.pgconn.socket)
        return wait(self, generator, *arguments, **named)

    psycopg.Connection.wait = watched  # type: ignore[method-assign,assignment]


def _watch_answers() -> None:
    """A request to storage has been sent when its answer is waited for, by either client of the SDK."""
    getresponse, start = HTTPConnection.getresponse, aiohttp.ClientResponse.start

    @functools.wraps(getresponse)
    def answered(self: HTTPConnection) -> Any:
        moment = _unanswered.get()
        _unanswered.set("")
        if moment == "during":
            die()
        if moment == "cut":
            _cut(self.sock.fileno())
        return getresponse(self)

    @functools.wraps(start)
    async def started(self: aiohttp.ClientResponse, connection: Any) -> Any:
        moment = _unanswered.get()
        _unanswered.set("")
        if moment:
            await asyncio.sleep(FLUSHED_SECONDS)
        if moment == "during":
            die()
        if moment == "cut":
            _cut(connection.transport.get_extra_info("socket").fileno())
        return await start(self, connection)

    HTTPConnection.getresponse = answered  # type: ignore[method-assign]
    aiohttp.ClientResponse.start = started  # type: ignore[method-assign]


def _cut(socket_number: int) -> None:
    """What was sent has been sent; what is answered will not arrive."""
    with socket.socket(fileno=os.dup(socket_number)) as other:
        other.shutdown(socket.SHUT_RDWR)
