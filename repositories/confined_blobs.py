"""Blob storage as jobs' handlers get it: the containers that jobs may use, and their scratch space.

The second wall behind the check of parameters (docs/adr/0023): whatever a handler was made to believe, by a
file or by a row of an older release, it reaches no other container. That a *parameter* names the scratch
container is refused before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from interfaces.blobs import BlobItem, BlobProperties, BlobRepository
from interfaces.container_access import ContainerAccess
from interfaces.errors import AccessDenied
from interfaces.settings import Settings


class ConfinedBlobRepository(BlobRepository):
    """A `BlobRepository` that raises `AccessDenied` for containers that jobs have no business with.

    What may be written may be looked at as well: targets are compared before they are replaced.
    """

    def __init__(self, blobs: BlobRepository, settings: Settings) -> None:
        self._blobs = blobs
        self._access = ContainerAccess(settings)
        self._scratch = settings.scratch_container

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[list[BlobItem]]:
        """All blobs below `prefix`, in name order, a page at a time."""
        self._seen(container)
        return self._blobs.list_pages(container, prefix, page_size)

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobItem | str]:
        """One level below `prefix`: blobs as items, sub-prefixes (ending in "/") as text."""
        self._seen(container)
        return self._blobs.list_level(container, prefix)

    def properties(self, container: str, name: str) -> BlobProperties:
        """The blob's properties and user metadata."""
        self._seen(container)
        return self._blobs.properties(container, name)

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset`, or all that follows."""
        self._seen(container)
        return self._blobs.read(container, name, offset, length)

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
        self._written(container)
        return self._blobs.write(container, name, data, content_type=content_type, metadata=metadata)

    def write_stream(
        self,
        container: str,
        name: str,
        chunks: Iterable[bytes],
        *,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Write a blob from pieces, replacing what is there; returns its URL."""
        self._written(container)
        return self._blobs.write_stream(container, name, chunks, content_type=content_type, metadata=metadata)

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
        self._seen(container)
        self._written(to_container)
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
        self._written(container)
        return self._blobs.delete(container, names)

    def ensure_container(self, container: str) -> None:
        """Create the container unless it exists."""
        self._written(container)
        self._blobs.ensure_container(container)

    def url(self, container: str, name: str) -> str:
        """Where the blob is, without any signature; it says nothing of what is there."""
        return self._blobs.url(container, name)

    def ping(self) -> None:
        """Raise unless the account answers."""
        self._blobs.ping()

    def gdal_path(self, container: str, name: str) -> str:
        """The path under which GDAL reads this blob by ranges."""
        self._seen(container)
        return self._blobs.gdal_path(container, name)

    def gdal_options(self) -> Mapping[str, str]:
        """GDAL configuration options with which `gdal_path` can be opened. They hold a secret."""
        return self._blobs.gdal_options()

    def _seen(self, container: str) -> None:
        reason = None if container == self._scratch else self._access.why_not_seen(container)
        if reason:
            raise AccessDenied(f"container: {reason}")

    def _written(self, container: str) -> None:
        reason = None if container == self._scratch else self._access.why_not_written(container)
        if reason:
            raise AccessDenied(f"container: {reason}")
