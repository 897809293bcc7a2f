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
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write a blob from pieces in bounded memory, replacing what is there; returns its URL.

        It is there whole once the last piece was taken. When `chunks` raises, nothing is changed. Storage
        refuses what was damaged on its way (`ServiceUnavailable`), and keeps the blob's `content_md5`.
        """
        ...

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
        """Copy a blob inside the account; answers the target with its new `etag`.

        Whoever reads the target finds what was there before, or the whole copy. It is made only if the target
        still has the etag `if_unchanged`, or with None only where there is none. `metadata` is the target's
        own, whatever the source has; `content_md5` is the source's.

        Raises `Conflict` when the source has not the `source_etag` that is asked for, or the target is not as
        it was seen; the latter also if this very copy was made by a request
        whose answer was lost: whoever must know that tells by the metadata. `BlobNotFound` names the source.
        """
        ...

    def delete(self, container: str, names: Sequence[str]) -> int:
        """Delete blobs; answers how many were there, for it is no error when one is not."""
        ...

    def ensure_container(self, container: str) -> None:
        """Create the container unless it exists."""
        ...

    def url(self, container: str, name: str) -> str:
        """Where the blob is, without any signature; nothing is asked of storage."""
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
