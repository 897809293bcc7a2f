"""Calls an ASGI application with a whole request, and gathers its whole answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from interfaces.web_requests import WebAnswer, WebRequest

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Scope


async def call(application: ASGIApp, request: WebRequest) -> WebAnswer:
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
    return WebAnswer(started["status"], headers, b"".join(chunks))


def _scope(request: WebRequest) -> Scope:
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
