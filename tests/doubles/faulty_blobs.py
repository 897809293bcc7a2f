"""Blobs in memory of a service that a test takes down and brings back."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence

from interfaces.blobs import BlobItem, BlobProperties
from interfaces.errors import ServiceUnavailable

from .memory_blobs import MemoryBlobs


class FaultyBlobs(MemoryBlobs):
    """While `down`, nothing is answered; while a name is in `broken`, that blob alone cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.broken: set[str] = set()
        self.calls = 0
        self.asked = 0
        self._lock = threading.Lock()

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[list[BlobItem]]:
        self._call()
        for page in super().list_pages(container, prefix, page_size):
            self._answer()
            yield page

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobItem | str]:
        self._call()
        yield from super().list_level(container, prefix)

    def properties(self, container: str, name: str) -> BlobProperties:
        self._call()
        return super().properties(container, name)

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        self._call()
        if name in self.broken:
            raise ServiceUnavailable("storage answered 500 InternalError")
        return super().read(container, name, offset, length)

    def write(
        self,
        container: str,
        name: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        self._call()
        return super().write(container, name, data, content_type=content_type, metadata=metadata)

    def write_stream(
        self,
        container: str,
        name: str,
        chunks: Iterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        self._call()
        return super().write_stream(container, name, chunks, content_type=content_type, metadata=metadata)

    def copy(
        self,
        container: str,
        name: str,
        to_container: str,
        to_name: str,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        if_unchanged: str | None,
        source_etag: str | None = None,
    ) -> BlobProperties:
        self._call()
        return super().copy(
            container,
            name,
            to_container,
            to_name,
            content_type=content_type,
            metadata=metadata,
            if_unchanged=if_unchanged,
            source_etag=source_etag,
        )

    def delete(self, container: str, names: Sequence[str]) -> int:
        self._call()
        return super().delete(container, names)

    def ensure_container(self, container: str) -> None:
        self._call()

    def url(self, container: str, name: str) -> str:
        return f"https://account.example/{container}/{name}"

    def ping(self) -> None:
        self.asked += 1
        self._answer()

    def _call(self) -> None:
        with self._lock:
            self.calls += 1
        self._answer()

    def _answer(self) -> None:
        if self.down:
            raise ServiceUnavailable("storage cannot be reached: ServiceRequestError")
