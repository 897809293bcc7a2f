"""Doubles of the seams that handlers are given: a repository of blobs in memory, and a context."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from pydantic import JsonValue

from interfaces.blobs import BlobItem, BlobProperties
from interfaces.errors import BlobNotFound, ContainerNotFound, TaskCancelled

MODIFIED = datetime(2026, 3, 1, 12, tzinfo=UTC)


class MemoryBlobs:
    """A `BlobRepository` of one container, which knows names and sizes only."""

    container = "bronze"

    def __init__(self, blobs: Iterable[BlobItem] = ()) -> None:
        self.items = {blob.name: blob for blob in sorted(blobs, key=lambda blob: blob.name)}
        self.content: dict[str, bytes] = {}
        self.listed = 0

    @classmethod
    def named(cls, *names: str, size: int = 10) -> MemoryBlobs:
        """Blobs of these names, all equal otherwise."""
        return cls(BlobItem(name=name, size=size, last_modified=MODIFIED, tier="Hot") for name in names)

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[list[BlobItem]]:
        self._check(container)
        page: list[BlobItem] = []
        for name, item in self.items.items():
            if name.startswith(prefix):
                self.listed += 1
                page.append(item)
                if len(page) == page_size:
                    yield page
                    page = []
        if page:
            yield page

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobItem | str]:
        self._check(container)
        seen = ""
        for name, item in self.items.items():
            if not name.startswith(prefix):
                continue
            head, slash, _ = name[len(prefix) :].partition("/")
            if not slash:
                self.listed += 1
                yield item
            elif prefix + head + "/" != seen:
                seen = prefix + head + "/"
                self.listed += 1
                yield seen

    def properties(self, container: str, name: str) -> BlobProperties:
        self._check(container)
        if name not in self.items:
            raise BlobNotFound(f"blob {name!r} does not exist")
        return BlobProperties(**self.items[name].model_dump(), metadata={"owner": "me"})

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        data = self.content[name]
        return data[offset : None if length is None else offset + length]

    def write(
        self,
        container: str,
        name: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        raise NotImplementedError

    def write_stream(
        self,
        container: str,
        name: str,
        chunks: Iterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        raise NotImplementedError

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
        raise NotImplementedError

    def delete(self, container: str, names: Sequence[str]) -> int:
        raise NotImplementedError

    def ensure_container(self, container: str) -> None:
        raise NotImplementedError

    def url(self, container: str, name: str) -> str:
        return f"https://account.example/{container}/{name}"

    def ping(self) -> None:
        raise NotImplementedError

    def gdal_path(self, container: str, name: str) -> str:
        raise NotImplementedError

    def gdal_options(self) -> Mapping[str, str]:
        raise NotImplementedError

    def _check(self, container: str) -> None:
        if container != self.container:
            raise ContainerNotFound(f"container {container!r} does not exist")


class Context:
    """A `TaskContext` that keeps what was discovered; cancelled after so many questions."""

    job_id = "0" * 64
    run = 1
    stage = 1
    task_index = 0
    attempt = 1
    fence = 1
    correlation_id = "test"

    def __init__(self, *, cancelled_after: int | None = None) -> None:
        self.items: list[dict[str, JsonValue]] = []
        self.checks = 0
        self._cancelled_after = cancelled_after

    def discover(self, items: Iterable[Mapping[str, JsonValue]]) -> int:
        before = len(self.items)
        self.items.extend(dict(item) for item in items)
        return len(self.items) - before

    def scratch_name(self, suffix: str) -> str:
        return f"{self.job_id}/{self.run}/{self.stage}/{self.task_index}-{self.fence}{suffix}"

    def check(self) -> None:
        self.checks += 1
        if self._cancelled_after is not None and self.checks > self._cancelled_after:
            raise TaskCancelled("cancelled")
