"""A server on the loopback interface that notes who connects to it, whatever they want."""

from __future__ import annotations

import socket
import threading
from types import TracebackType
from typing import Self

NOTHING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Listener:
    """Accepts connections, keeps what was asked first, and answers that there is nothing."""

    def __init__(self) -> None:
        self.connections: list[str] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.getsockname()[1])

    def url(self, path: str) -> str:
        """An address that leads here."""
        return f"http://127.0.0.1:{self.port}/{path}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(2)
                try:
                    asked = connection.recv(2000).decode("latin-1").partition("\r\n")[0]
                except TimeoutError:
                    asked = ""
                self.connections.append(asked)
                connection.sendall(NOTHING)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Waking `accept` needs more than closing it.
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(5)
