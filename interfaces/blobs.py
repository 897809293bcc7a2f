"""The port to blob storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from pydantic import Field

from .contracts import Contract


class BlobItem(Contract):
    """A blob as a listing shows it. `size` in bytes; times are UTC."""

    name: str
    size: int
    last_modified: datetime | None = None
    created_at: datetime | None = None
    content_type: str | None = None
    etag: str | None = None
    tier: str | None = None


class BlobProperties(BlobItem):
    """A blob's own properties, which a listing does not show in full."""

    content_encoding: str | None = None
    content_language: str | None = None
    cache_control: str | None = None
    content_md5: str | None = None
    blob_type: str | None = None
    lease_status: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)


class BlobRepository(Protocol):
    """Reads and writes blobs.

    Every method raises `ContainerNotFound`, `BlobNotFound`, `AccessDenied` or `ServiceUnavailable`;
    none of their messages holds a key, a token or a signature. Only the last may pass by itself: the
    engine runs a task again that raises it, and fails one that raises any of the others.
    """

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[list[BlobItem]]:
        """All blobs below `prefix`, in name order, a page at a time."""
        ...

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobItem | str]:
        """One level of the hierarchy below `prefix`: blobs as items, sub-prefixes (ending in "/") as text.

        Blobs come in name order and so do sub-prefixes, but the two may be interleaved in any way.
        """
        ...

    def properties(self, container: str, name: str) -> BlobProperties:
        """The blob's properties and user metadata."""
        ...

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset`, or all that follows."""
        ...

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
        ...

    def write_stream(
        self,
        container: str,
        name: str,
        chunks: Iterable[bytes],
        *,
        content_type: str = "application/octet-stream",
    ) -> str:
        """Write a blob from pieces in bounded memory, replacing what is there; returns its URL.

        It is there whole once the last piece was taken. When `chunks` raises, nothing is changed.
        """
        ...

    def delete(self, container: str, names: Sequence[str]) -> int:
        """Delete blobs; answers how many were there, for it is no error when one is not."""
        ...

    def ensure_container(self, container: str) -> None:
        """Create the container unless it exists."""
        ...

    def ping(self) -> None:
        """Raise unless the account answers."""
        ...

    def gdal_path(self, container: str, name: str) -> str:
        """The path under which GDAL reads this blob by ranges."""
        ...

    def gdal_options(self) -> Mapping[str, str]:
        """GDAL configuration options with which `gdal_path` can be opened. They hold a secret."""
        ...
