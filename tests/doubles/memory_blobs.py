"""A blob repository in memory: enough for results kept out of line."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import count

from interfaces.blobs import BlobItem, BlobProperties, BlobRepository
from interfaces.errors import BlobNotFound, Conflict


class MemoryBlobs(BlobRepository):
    """Containers of one test; every container exists."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}
        self._described: dict[tuple[str, str], BlobProperties] = {}
        # No other repository's: what was fetched is found by them, in other tests too.
        self._etags = count(int.from_bytes(os.urandom(6)))
        self._lock = threading.Lock()

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[list[BlobItem]]:
        names = sorted(n for c, n in self.blobs if c == container and n.startswith(prefix))
        for start in range(0, len(names), page_size):
            yield [
                BlobItem(name=n, size=len(self.blobs[container, n])) for n in names[start : start + page_size]
            ]

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobItem | str]:
        seen: set[str] = set()
        for page in self.list_pages(container, prefix):
            for item in page:
                head, slash, _ = item.name[len(prefix) :].partition("/")
                if not slash:
                    yield item
                elif head not in seen:
                    seen.add(head)
                    yield f"{prefix}{head}/"

    def properties(self, container: str, name: str) -> BlobProperties:
        data = self.read(container, name)
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        known = self._described.get((container, name))
        if known is None or known.content_md5 != md5:
            # A test put it there.
            return BlobProperties(name=name, size=len(data), etag=md5, content_md5=md5)
        return known

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        try:
            data = self.blobs[container, name]
        except KeyError:
            raise BlobNotFound(f"{container}/{name}") from None
        return data[offset:] if length is None else data[offset : offset + length]

    def write(
        self,
        container: str,
        name: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        self._put(container, name, data, content_type, metadata)
        return f"memory://{container}/{name}"

    def write_stream(
        self,
        container: str,
        name: str,
        chunks: Iterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        return self.write(container, name, b"".join(chunks), content_type=content_type, metadata=metadata)

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
        data = self.read(container, name)
        if source_etag not in (None, self.properties(container, name).etag):
            raise Conflict(f"blob {name!r} in container {container!r} is not the one that was asked for")
        with self._lock:
            there = (to_container, to_name) in self.blobs
            etag = self.properties(to_container, to_name).etag if there else None
            if etag != if_unchanged:
                raise Conflict(f"storage answered 412 for container {to_container!r}, blob {to_name!r}")
            return self._put(to_container, to_name, data, content_type, metadata)

    def delete(self, container: str, names: Sequence[str]) -> int:
        return sum(self.blobs.pop((container, name), None) is not None for name in names)

    def url(self, container: str, name: str) -> str:
        return f"https://account.example/{container}/{name}"

    def ping(self) -> None:
        return None

    def ensure_container(self, container: str) -> None:
        return None

    def _put(
        self, container: str, name: str, data: bytes, content_type: str, metadata: Mapping[str, str] | None
    ) -> BlobProperties:
        described = BlobProperties(
            name=name,
            size=len(data),
            last_modified=datetime.now(UTC),
            content_type=content_type,
            etag=f"0x{next(self._etags):X}",
            content_md5=hashlib.md5(data, usedforsecurity=False).hexdigest(),
            metadata=dict(metadata or {}),
        )
        self.blobs[container, name], self._described[container, name] = data, described
        return described

    def gdal_path(self, container: str, name: str) -> str:
        raise NotImplementedError("GDAL reads from a real account; these tests have none")

    def gdal_options(self) -> dict[str, str]:
        return {}
