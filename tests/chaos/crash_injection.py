"""Lets a worker process end itself with SIGKILL at a named moment. Runs inside the worker.

What is to happen lies in a file, `armed`, in the folder that CRASH_FOLDER names: a list of steps. Whoever
comes to the first of them takes the file away, leaves the rest of the list in its place, notes in
`fired.jsonl` when it died, and dies. So a step is taken once, by one process, and the next worker lives.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import psycopg

from tests.chaos.crash_steps import OPERATION

ARMED = "armed"
FIRED = "fired.jsonl"
WRITES = (
    "azure.storage.queue:QueueClient.send_message",
    "azure.storage.queue.aio:QueueClient.send_message",
    "azure.storage.queue.aio:QueueClient.delete_message",
    "azure.storage.queue.aio:QueueClient.update_message",
    "azure.storage.blob:BlobClient.upload_blob",
)


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


def _wrap(place: str, name: str, trap: Trap) -> None:
    module, _, path = place.partition(":")
    owner: Any = importlib.import_module(module)
    *outer, attribute = path.split(".")
    for part in outer:
        owner = getattr(owner, part)
    setattr(owner, attribute, _watched(getattr(owner, attribute), name, trap))


def _watched(function: Callable[..., Any], place: str, trap: Trap) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(inspect.unwrap(function)):

        @functools.wraps(function)
        async def asynchronous(*arguments: Any, **named: Any) -> Any:
            trap.reach(place, "before")
            answer = await function(*arguments, **named)
            trap.reach(place, "after", moved=bool(answer))
            return answer

        return asynchronous

    @functools.wraps(function)
    def synchronous(*arguments: Any, **named: Any) -> Any:
        trap.reach(place, "before")
        answer = function(*arguments, **named)
        trap.reach(place, "after", moved=bool(answer))
        return answer

    return synchronous


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
        return wait(self, generator, *arguments, **named)

    psycopg.Connection.wait = watched  # type: ignore[method-assign,assignment]
