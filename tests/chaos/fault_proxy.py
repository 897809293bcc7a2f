"""A TCP proxy that breaks connections on command: at random, or at one statement, before or after it."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from local.stack.ports import LOOPBACK

CHUNK = 65_536
LONGEST_DELAY = 1.0
LONGEST_MARK = 16
"""So many last bytes of an answer tell whether it has ended."""
HANGS_SECONDS = 3.0
"""How long a dropped connection stays open without a sound, unless it does for good. Beyond a proxy nobody's
keep-alives fail, so no end comes but from here, or from a client that gives up."""


class Fault(StrEnum):
    """What may happen to a chunk of bytes, in either direction."""

    DELAY = "delay"
    """It arrives late."""
    HALVE = "halve"
    """Half of it arrives; then the connection is closed."""
    RESET = "reset"
    """It does not arrive, and both sides see a reset (SO_LINGER 0)."""
    DROP = "drop"
    """Neither it nor anything after it arrives; for a while, or for good, both sides only see silence."""


Moment = Literal["before", "after", "silence"]


@dataclass
class Cut:
    """What happens to a connection at the next request that holds these bytes.

    `before`: it is reset, and the request does not reach the server. `after`: it is reset when the server has
    answered, and the answer does not reach the client, who cannot know what became of its request.
    `silence`: it stays open, and nothing arrives on it any more, in either direction.
    """

    containing: bytes
    moment: Moment
    happened: threading.Event = field(default_factory=threading.Event)


def answered_query(data: bytes) -> bool:
    """Whether this ends PostgreSQL's answer: ReadyForQuery, after the commit (manual, section 54.7)."""
    return data[-6:-1] == b"Z\x00\x00\x00\x05"


def answered_at_all(data: bytes) -> bool:
    """Whether this belongs to an answer: for HTTP, whose servers answer when they are done."""
    return bool(data)


class FaultProxy:
    """Stands before a server on the loopback interface, with an event loop and a thread of its own."""

    def __init__(
        self,
        target: int,
        *,
        answered: Callable[[bytes], bool] = answered_query,
        seed: int = 0,
        hangs_seconds: float | None = HANGS_SECONDS,
    ) -> None:
        """`hangs_seconds` None: a dropped connection stays open until its client gives it up."""
        self.port = 0
        self.done: Counter[str] = Counter()
        self._target = target
        self._answered = answered
        self._hangs_seconds = hangs_seconds
        self._random = random.Random(seed)
        self._faults: Sequence[Fault] = ()
        self._probability = 0.0
        self._cuts: list[Cut] = []
        self._links: set[_Link] = set()
        self._loop = asyncio.new_event_loop()

    @contextmanager
    def serving(self) -> Iterator[FaultProxy]:
        """Take connections until the block ends."""
        thread = threading.Thread(target=self._loop.run_forever, name="fault-proxy", daemon=True)
        thread.start()
        server: asyncio.Server = asyncio.run_coroutine_threadsafe(
            asyncio.start_server(self._serve, LOOPBACK, 0), self._loop
        ).result(10)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._end(server), self._loop).result(20)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(10)
            self._loop.close()

    @contextmanager
    def faulty(self, probability: float, faults: Sequence[Fault] = tuple(Fault)) -> Iterator[None]:
        """Until the block ends, this share of all chunks suffers one of these faults."""
        self._probability, self._faults = probability, faults
        try:
            yield
        finally:
            self._probability = 0.0

    def cut_next(self, containing: bytes, moment: Moment) -> Cut:
        """Break the connection of the next request that holds these bytes, once."""
        cut = Cut(containing, moment)
        self._cuts.append(cut)
        return cut

    def reset_all(self) -> None:
        """Reset every connection that is open now."""
        asyncio.run_coroutine_threadsafe(self._reset_all(), self._loop).result(10)

    async def _reset_all(self) -> None:
        for link in list(self._links):
            link.reset()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        while self._links:
            await self._reset_all()
            await asyncio.sleep(0.05)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            from_server, to_server = await asyncio.open_connection(LOOPBACK, self._target)
        except OSError:
            _reset(writer)
            return
        link = _Link(writer, to_server)
        self._links.add(link)
        try:
            await asyncio.gather(
                self._forward(link, reader, to_server, outgoing=True),
                self._forward(link, from_server, writer, outgoing=False),
            )
        finally:
            link.close()
            self._links.discard(link)

    async def _forward(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, outgoing: bool
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                if link.silent or self._cut(link, data, outgoing=outgoing):
                    # Read on, so that the end is seen: a proxy acknowledges what goes nowhere.
                    continue
                if link.cut is not None and not outgoing:
                    # The rest of an answer that must not arrive.
                    continue
                data = await self._suffer(link, data)
                writer.write(data)
                await writer.drain()
                if link.over:
                    break
        link.close()

    def _cut(self, link: _Link, data: bytes, *, outgoing: bool) -> bool:
        """Reset the connection if it is time; note it if it will be when the server has answered."""
        if not outgoing:
            if link.cut is None:
                return False
            link.heard = (link.heard + data)[-LONGEST_MARK:]
            if not self._answered(link.heard):
                return False
            self._cut_now(link, link.cut)
            return True
        cut = next((cut for cut in self._cuts if cut.containing in data), None)
        if cut is None:
            return False
        self._cuts.remove(cut)
        if cut.moment == "after":
            link.cut = cut
            return False
        self._cut_now(link, cut)
        return True

    def _cut_now(self, link: _Link, cut: Cut) -> None:
        self.done[f"cut {cut.moment}"] += 1
        if cut.moment == "silence":
            link.silent = True
        else:
            link.reset()
        cut.happened.set()

    async def _suffer(self, link: _Link, data: bytes) -> bytes:
        """The bytes that go on, after the fault that befell them, if one did."""
        if link.over or self._random.random() >= self._probability:
            return data
        fault = self._random.choice(self._faults)
        self.done[fault] += 1
        if fault is Fault.DELAY:
            await asyncio.sleep(self._random.uniform(0, LONGEST_DELAY))
            return data
        if fault is Fault.HALVE:
            link.over = True
            return data[: len(data) // 2]
        if fault is Fault.DROP:
            link.silent = True
            if self._hangs_seconds is None:
                return b""
            await asyncio.sleep(self._hangs_seconds)
        link.reset()
        return b""


class _Link:
    """A connection through the proxy: its two sockets."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        self._writers = writers
        self.cut: Cut | None = None
        """Carried out when the server has answered what it was about."""
        self.heard = b""
        """The end of that answer so far: its last bytes may come in two chunks."""
        self.over = False
        """Nothing more is forwarded."""
        self.silent = False
        """Nothing more is forwarded, and nobody is told."""

    def reset(self) -> None:
        self.over = True
        for writer in self._writers:
            _reset(writer)

    def close(self) -> None:
        for writer in self._writers:
            writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    # Lingering for no time sends RST in place of FIN (socket(7)).
    raw: Any = writer.get_extra_info("socket")
    with suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
