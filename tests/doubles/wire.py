"""A wire to a server on the loopback interface that keeps what clients send: counted, whatever sends it."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from local.stack.ports import LOOPBACK

CHUNK = 65_536
SIMPLE_QUERY, PARSE = b"Q", b"P"
"""The messages of PostgreSQL's protocol that carry a statement's text (manual, section 55.7)."""


class Wire:
    """Forwards connections to a port, and keeps what each client sends."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._lock = threading.Lock()
        self._sent: list[bytearray] = []
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server((LOOPBACK, 0))
        self.port = int(self._server.getsockname()[1])

    @property
    def connections(self) -> int:
        """How many were opened so far."""
        with self._lock:
            return len(self._sent)

    def statements(self) -> list[list[str]]:
        """The statements of each connection to PostgreSQL, in their order; BEGIN, COPY and COMMIT too."""
        with self._lock:
            return [_statements(bytes(sent)) for sent in self._sent]

    @contextmanager
    def serving(self) -> Iterator[Wire]:
        """Take connections until the block ends."""
        thread = threading.Thread(target=self._accept, name="wire", daemon=True)
        thread.start()
        try:
            yield self
        finally:
            # Closing alone does not wake who waits in accept.
            self._server.shutdown(socket.SHUT_RDWR)
            self._server.close()
            thread.join(10)
            for end in self._sockets:
                _close(end)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection((LOOPBACK, self._target))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sent = bytearray()
                with self._lock:
                    self._sent.append(sent)
                    self._sockets += [client, server]
                for source, sink, kept in ((client, server, sent), (server, client, None)):
                    threading.Thread(target=self._forward, args=(source, sink, kept), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, kept: bytearray | None) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if kept is not None:
                    # Before it goes on: whoever has the answer finds the request here.
                    with self._lock:
                        kept += data
                sink.sendall(data)
        _close(sink)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


def _statements(sent: bytes) -> list[str]:
    """What a client of PostgreSQL asked for, in a session without TLS."""
    found: list[str] = []
    if len(sent) < 4:
        return found
    # The first message, with the user and the database, has no type.
    at = _length(sent, 0)
    while at + 5 <= len(sent):
        kind, end = sent[at : at + 1], at + 1 + _length(sent, at + 1)
        body = sent[at + 5 : end]
        if kind == SIMPLE_QUERY:
            found.append(body.split(b"\0", 1)[0].decode())
        elif kind == PARSE:
            # The statement's name comes first; unnamed ones have an empty one.
            found.append(body.split(b"\0", 2)[1].decode())
        at = end
    return found


def _length(sent: bytes, at: int) -> int:
    return int(struct.unpack_from("!i", sent, at)[0])
