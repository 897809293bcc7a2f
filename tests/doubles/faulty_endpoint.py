"""An HTTP server in front of the blob service that answers as a test says, and else what the service does."""

from __future__ import annotations

import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

HANGS_SECONDS = 2.0
CONTAINER = re.compile(r"/[^/?]+/[^/?]+\?restype=container$")
"""Whether a container is there, by which the app asks whether the account answers, which is never faulty."""


class FaultyEndpoint:
    """`faults` are used up, one a request: a status, `closed` or `hangs`. While `down`, all are closed."""

    def __init__(self, connection_string: str) -> None:
        parts = dict(part.split("=", 1) for part in connection_string.strip(";").split(";"))
        real = urlsplit(parts["BlobEndpoint"])
        assert real.hostname is not None
        self._service = (real.hostname, real.port or 80)
        self.faults: list[str] = []
        self.down = False
        self.requests = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        here = f"http://127.0.0.1:{self._server.server_port}{real.path}"
        self.connection_string = (
            f"AccountName={parts['AccountName']};AccountKey={parts['AccountKey']};BlobEndpoint={here}"
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def next_fault(self, path: str) -> str | None:
        self.requests += 1
        if self.down:
            return "closed"
        return self.faults.pop(0) if self.faults and not CONTAINER.fullmatch(path) else None

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """The service's own answer."""
        connection = http.client.HTTPConnection(*self._service, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()


def _handler_of(endpoint: FaultyEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.close_connection = True
            fault = endpoint.next_fault(self.path)
            if fault is None:
                self._forward(body)
            elif fault == "hangs":
                threading.Event().wait(HANGS_SECONDS)
            elif fault != "closed":
                self.wfile.write(
                    f"HTTP/1.1 {fault} Fault\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
                )

        do_GET = do_PUT = do_HEAD = answer  # noqa: N815 - names that http.server asks for

        def _forward(self, body: bytes) -> None:
            # The signature covers the path and these headers, and not the host.
            status, headers, data = endpoint.forward(self.command, self.path, dict(self.headers), body)
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in ("connection", "keep-alive", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            length = next((v for n, v in headers if n.lower() == "content-length"), str(len(data)))
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            return None

    return Handler
