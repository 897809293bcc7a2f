"""A blob repository in memory: enough for results kept out of line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from interfaces.blobs import BlobItem, BlobProperties, BlobRepository
from interfaces.errors import BlobNotFound


class MemoryBlobs(BlobRepository):
    """Containers of one test; every container exists."""

    def __init__(self) -> None:
        self.blobs: dict[tuple[str, str], bytes] = {}

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
        return BlobProperties(name=name, size=len(self.read(container, name)))

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
        self.blobs[container, name] = data
        return f"memory://{container}/{name}"

    def write_stream(
        self,
        container: str,
        name: str,
        chunks: Iterable[bytes],
        *,
        content_type: str = "application/octet-stream",
    ) -> str:
        return self.write(container, name, b"".join(chunks), content_type=content_type)

    def delete(self, container: str, names: Sequence[str]) -> int:
        return sum(self.blobs.pop((container, name), None) is not None for name in names)

    def ping(self) -> None:
        return None

    def ensure_container(self, container: str) -> None:
        return None

    def gdal_path(self, container: str, name: str) -> str:
        raise NotImplementedError("GDAL reads from a real account; these tests have none")

    def gdal_options(self) -> dict[str, str]:
        return {}
