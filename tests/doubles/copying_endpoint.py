"""Azurite with the one request it lacks, Put Block From URL; and what was asked of it."""

from __future__ import annotations

import http.client
from urllib.parse import parse_qs, unquote, urlsplit

from azure.storage.blob import BlobClient

from .faulty_endpoint import FaultyEndpoint


class CopyingEndpoint(FaultyEndpoint):
    """Takes blocks from URLs as the service does: reads the range there, with what the URL alone allows.

    Keeps the method, path and headers of each request, those of the SDK's client too. While `damages` is not
    0, so many uploads lose a bit on their way.
    """

    def __init__(self, connection_string: str) -> None:
        super().__init__(connection_string)
        self._real = connection_string
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.damages = 0

    def copied_from(self) -> list[str]:
        """The URLs from which something was copied, in order."""
        found = ({name.lower(): value for name, value in headers.items()} for _, _, headers in self.seen)
        return [headers["x-ms-copy-source"] for headers in found if "x-ms-copy-source" in headers]

    def forward(
        self, method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        """Azurite's answer, or that of what it lacks."""
        self.seen.append((method, path, headers))
        query = parse_qs(urlsplit(path).query)
        asked = {name.lower(): value for name, value in headers.items()}
        if query.get("comp") == ["block"] and "x-ms-copy-source" in asked:
            return self._put_block_from_url(path, query["blockid"][0], asked)
        if body and self.damages:
            self.damages -= 1
            body = bytes([body[0] ^ 1]) + body[1:]
        return super().forward(method, path, headers, body)

    def _put_block_from_url(
        self, path: str, block_id: str, headers: dict[str, str]
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        source = urlsplit(headers["x-ms-copy-source"])
        connection = http.client.HTTPConnection(*self._service, timeout=10)
        try:
            connection.request(
                "GET",
                f"{source.path}?{source.query}",
                headers={
                    "Range": headers["x-ms-source-range"],
                    "If-Match": headers["x-ms-source-if-match"],
                },
            )
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        if answer.status != 206:
            return answer.status, [("x-ms-error-code", "CannotVerifyCopySource")], b""
        _, container, name = unquote(urlsplit(path).path).lstrip("/").split("/", 2)
        with BlobClient.from_connection_string(self._real, container, name) as client:
            client._client.block_blob.stage_block(block_id=block_id, content_length=len(data), body=data)
        return 201, [("ETag", '"0x1"'), ("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT")], b""
