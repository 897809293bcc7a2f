"""Runs a web application on an event loop of its own, in a thread that the first request starts."""

from __future__ import annotations

import asyncio
import atexit
from collections.abc import Callable
from threading import Lock, Thread
from typing import TYPE_CHECKING

from interfaces.web_requests import WebAnswer, WebRequest

from .calling import call

if TYPE_CHECKING:
    from starlette.types import ASGIApp

CLOSE_SECONDS = 5.0


class ApplicationThread:
    """An application of this process, which nobody may have asked for yet.

    Neither its import, nor large answers that become JSON, nor a client's large document may keep the
    worker's event loop from its other work, so all of that happens in one thread beside it. The first request
    starts the thread and waits for the application; others meanwhile wait with it. At exit the connections
    are closed.

    `name` is the thread's. `build` makes the application, in the thread: what it imports is loaded there.
    `close_connections` closes what the application keeps open; it is used again afterwards if need be.
    """

    def __init__(
        self, name: str, build: Callable[[], ASGIApp], close_connections: Callable[[], None]
    ) -> None:
        self._name = name
        self._build = build
        self._close_connections = close_connections
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        # Touched by the thread alone.
        self._application: ASGIApp | None = None

    async def answer(self, request: WebRequest) -> WebAnswer:
        """The application's answer.

        Raises an `OrchestratorError` for everything that is not one, such as `ServiceUnavailable`,
        `InvalidRequest`, `NotFound`, `Conflict`, `MethodNotAllowed`.
        """
        work = asyncio.run_coroutine_threadsafe(self._answer(request), self._running())
        return await asyncio.wrap_future(work)

    def close(self) -> None:
        """End the thread and close the connections; both come again when next needed."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(_end, loop)
            thread.join(CLOSE_SECONDS)
        self._close_connections()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = Thread(target=_run, args=(self._loop,), name=self._name, daemon=True)
                self._thread.start()
                atexit.register(self.close)
            return self._loop

    async def _answer(self, request: WebRequest) -> WebAnswer:
        if self._application is None:
            # Blocks this loop and no other.
            self._application = self._build()
        return await call(self._application, request)


def _end(loop: asyncio.AbstractEventLoop) -> None:
    """Give up what is being answered, so that nobody waits for it, and stop."""
    for task in asyncio.all_tasks(loop):
        task.cancel()
    # Behind what the cancelled tasks still do.
    loop.call_soon(loop.call_soon, loop.stop)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
