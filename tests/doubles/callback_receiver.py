"""Receivers of callbacks: one in memory, for the engine, and one on a socket, for the real sender."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext

from interfaces.callbacks import Delivery, DueCallback
from local.stack.ports import LOOPBACK

Answer = Callable[[DueCallback], Delivery]


class MemoryReceiver:
    """Takes what is sent, and answers as a test says. Hosts of `hanging` answer when `let_go` is set."""

    def __init__(self) -> None:
        self.received: list[DueCallback] = []
        self.answer: Answer = lambda callback: Delivery("delivered", 204)
        self.hanging: set[str] = set()
        self.at_once = 0
        self._under_way = 0
        self.let_go: Callable[[], bool] = lambda: True

    @asynccontextmanager
    async def session(self) -> AsyncIterator[MemoryReceiver]:
        """This receiver itself."""
        yield self

    async def send(self, callback: DueCallback) -> Delivery:
        """Note it, and answer."""
        self._under_way += 1
        self.at_once = max(self.at_once, self._under_way)
        try:
            while callback.host in self.hanging and not self.let_go():  # noqa: ASYNC110 - the test says when
                await asyncio.sleep(0.01)
            self.received.append(callback)
            return self.answer(callback)
        finally:
            self._under_way -= 1


@dataclass
class Request:
    """What a receiver on a socket was sent."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class SocketReceiver:
    """An HTTP server that answers every request with the same bytes."""

    port: int = 0
    requests: list[Request] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def receiving(
    answer: bytes = b"HTTP/1.1 204 No Content\r\n\r\n", *, then: bytes = b"", tls: SSLContext | None = None
) -> AsyncIterator[SocketReceiver]:
    """A receiver until the block ends; `then` is sent after the answer, again and again."""
    receiver = SocketReceiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        receiver.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            line, *lines = head.strip().split("\r\n")
            headers = {name.lower(): value for name, _, value in (text.partition(": ") for text in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            receiver.requests.append(Request(line, headers, body))
            writer.write(answer)
            while then:
                await writer.drain()
                writer.write(then)
                await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, LOOPBACK, 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
