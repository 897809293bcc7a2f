"""Runs the STAC application on an event loop of its own, in a thread that the first request starts."""

from __future__ import annotations

import asyncio
import atexit
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from interfaces.catalog_requests import CatalogAnswer, CatalogRequest
from interfaces.settings import Settings
from repositories.database import Database, TokenProvider

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope

CLOSE_SECONDS = 5.0


class CatalogApi:
    """The process's STAC API.

    Neither its import, nor pages of items that become JSON, nor a client's large document may keep the
    worker's event loop from its other work, so all of that happens in one thread beside it. The first request
    starts the thread and waits for the application; others meanwhile wait with it. At exit the connections
    are closed.
    """

    def __init__(self, settings: Settings, token: TokenProvider | None = None) -> None:
        self._settings = settings
        self._database = Database(settings, token, connections=settings.catalog_connections)
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        # Touched by the thread alone.
        self._application: ASGIApp | None = None

    async def answer(self, request: CatalogRequest) -> CatalogAnswer:
        """The application's answer.

        Raises an `OrchestratorError` for everything that is not one: `CatalogMissing`, `ServiceUnavailable`,
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
        self._database.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = Thread(target=_run, args=(self._loop,), name="catalog", daemon=True)
                self._thread.start()
                atexit.register(self.close)
            return self._loop

    async def _answer(self, request: CatalogRequest) -> CatalogAnswer:
        if self._application is None:
            # Blocks this loop and no other.
            from .application import build

            self._application = build(self._settings, self._database)
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


async def call(application: ASGIApp, request: CatalogRequest) -> CatalogAnswer:
    """Call an ASGI application with a whole request (https://asgi.readthedocs.io/en/latest/specs/www.html)."""
    unread = [request.body]
    answered = asyncio.Event()
    started: dict[str, Any] = {}
    chunks: list[bytes] = []

    async def receive() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        # Nobody goes away before the answer is there: the host has the request, not the client.
        await answered.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            started.update(message)
        elif message["type"] == "http.response.body":
            chunks.append(message.get("body", b""))
            if not message.get("more_body", False):
                answered.set()

    await application(_scope(request), receive, send)
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in started["headers"])
    return CatalogAnswer(started["status"], headers, b"".join(chunks))


def _scope(request: CatalogRequest) -> Scope:
    path = request.root + request.path
    headers = [(name, value) for name, value in request.headers if name != "host"]
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": request.scheme,
        "path": path,
        "raw_path": quote(path).encode(),
        "root_path": request.root,
        "query_string": request.query.encode(),
        "headers": [
            (name.encode("latin-1", "replace"), value.encode("latin-1", "replace"))
            for name, value in [("host", request.host), *headers]
        ],
        "client": None,
        "server": None,
        "state": {},
    }
