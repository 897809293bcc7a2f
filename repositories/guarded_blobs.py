"""Blob storage behind a circuit breaker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from interfaces.blobs import BlobItem, BlobProperties, BlobRepository

from .blob_blocks import BLOCK_BYTES
from .breakers import Breaker, Breakers
from .usage import count

DEPENDENCY = "blob"

T = TypeVar("T")


class GuardedBlobRepository(BlobRepository):
    """A `BlobRepository` whose calls raise `DependencyUnavailable` while blob storage keeps failing."""

    def __init__(self, blobs: BlobRepository, breakers: Breakers) -> None:
        self._blobs = blobs
        self._breaker: Breaker = breakers.guard(DEPENDENCY, self.ping)

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[list[BlobItem]]:
        """All blobs below `prefix`, in name order, a page at a time."""
        for page in self._each(self._blobs.list_pages(container, prefix, page_size)):
            count(operations=1)
            yield page

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobItem | str]:
        """One level below `prefix`: blobs as items, sub-prefixes (ending in "/") as text."""
        # How many requests its pages took is not seen here.
        count(operations=1)
        return self._each(self._blobs.list_level(container, prefix))

    def properties(self, container: str, name: str) -> BlobProperties:
        """The blob's properties and user metadata."""
        with self._breaker.calling():
            count(operations=1)
            return self._blobs.properties(container, name)

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset`, or all that follows."""
        with self._breaker.calling():
            data = self._blobs.read(container, name, offset, length)
        count(operations=1, read=len(data))
        return data

    def write(
        self,
        container: str,
        name: str,
        data: bytes,
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write a whole blob, replacing what is there; returns its URL without any signature."""
        with self._breaker.calling():
            url = self._blobs.write(container, name, data, content_type=content_type, metadata=metadata)
        count(operations=1, written=len(data))
        return url

    def write_stream(
        self,
        container: str,
        name: str,
        chunks: Iterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write a blob from pieces, unless the breaker is open.

        What fails may be whoever makes the pieces, so that the outcome says nothing about the dependency.
        """
        self._breaker.check()
        return self._blobs.write_stream(
            container, name, _counted(chunks), content_type=content_type, metadata=metadata
        )

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
        """Copy a blob inside the account, if the target is as it was seen."""
        with self._breaker.calling():
            count(operations=1)
            return self._blobs.copy(
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
        """Delete blobs; answers how many were there."""
        with self._breaker.calling():
            count(operations=len(names))
            return self._blobs.delete(container, names)

    def ensure_container(self, container: str) -> None:
        """Create the container unless it exists."""
        with self._breaker.calling():
            count(operations=1)
            self._blobs.ensure_container(container)

    def url(self, container: str, name: str) -> str:
        """Where the blob is, without any signature."""
        return self._blobs.url(container, name)

    def ping(self) -> None:
        """Raise unless the account answers, whatever the breaker's state, which stays as it is."""
        self._blobs.ping()

    def gdal_path(self, container: str, name: str) -> str:
        """The path under which GDAL reads this blob by ranges."""
        return self._blobs.gdal_path(container, name)

    def gdal_options(self) -> Mapping[str, str]:
        """GDAL configuration options with which `gdal_path` can be opened. They hold a secret.

        Refused while the breaker is open. What GDAL makes of them is not seen here: whoever finds that it
        cannot read asks for the blob's properties, and that counts.
        """
        self._breaker.check()
        return self._blobs.gdal_options()

    def _each(self, items: Iterator[T]) -> Iterator[T]:
        """The items; each step is a call, and what is done with an item in between is not."""
        while True:
            with self._breaker.calling():
                try:
                    item = next(items)
                except StopIteration:
                    return
            yield item


def _counted(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces: a request for each block, and one for the list of them where they are several."""
    written = 0
    try:
        for chunk in chunks:
            written += len(chunk)
            yield chunk
    finally:
        blocks = -(-written // BLOCK_BYTES)
        count(operations=blocks + 1 if blocks > 1 else 1, written=written)
