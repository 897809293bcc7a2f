"""Blob storage through azure-storage-blob."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from typing import IO, TYPE_CHECKING, Any, cast

from interfaces.blobs import BlobItem, BlobProperties
from interfaces.errors import Conflict
from interfaces.settings import Settings

from .blob_blocks import BLOCK_BYTES, Blocks, cut
from .blob_copies import BlobCopies
from .storage_account import StorageAccount
from .storage_errors import refused, storage_errors
from .traffic import BLOB_TRAFFIC

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient
    from azure.storage.blob import BlobProperties as SdkBlobProperties


BATCH_REQUESTS = 256
"""https://learn.microsoft.com/rest/api/storageservices/blob-batch"""


class _Whole(io.RawIOBase):
    """Keeps what is written: what comes in one piece is not copied, as the SDK's `readall` does twice."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(data)
        return len(data)

    @property
    def content(self) -> bytes:
        return b"".join(self._pieces)


class AzureBlobRepository:
    """`BlobRepository` on an Azure storage account or Azurite. Thread-safe."""

    def __init__(
        self, account: StorageAccount, copies: BlobCopies | None = None, asked_for: str = "job-results"
    ) -> None:
        self._account = account
        self._asked_for = asked_for
        self._copies = copies or BlobCopies(account)

    @classmethod
    def from_settings(cls, settings: Settings) -> AzureBlobRepository:
        """For the account that the settings name."""
        return cls(storage_account(settings), asked_for=settings.results_container)

    def list_pages(self, container: str, prefix: str = "", page_size: int = 5000) -> Iterator[list[BlobItem]]:
        """All blobs below `prefix`, in name order, a page of at most 5,000 at a time."""
        with storage_errors(container):
            client = self._account.blob_service().get_container_client(container)
            pages = client.list_blobs(name_starts_with=prefix or None, results_per_page=page_size).by_page()
            for page in pages:
                yield [_item(blob) for blob in page]

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobItem | str]:
        """One level below `prefix`: blobs as items, sub-prefixes (ending in "/") as text."""
        with storage_errors(container):
            from azure.storage.blob import BlobPrefix

            client = self._account.blob_service().get_container_client(container)
            for entry in client.walk_blobs(name_starts_with=prefix or None, delimiter="/"):
                yield str(entry.name) if isinstance(entry, BlobPrefix) else _item(entry)

    def properties(self, container: str, name: str) -> BlobProperties:
        """The blob's properties and user metadata."""
        with storage_errors(container, name):
            blob = self._account.blob_service().get_blob_client(container, name).get_blob_properties()
        content = blob.content_settings
        return BlobProperties(
            **_item(blob).model_dump(),
            content_encoding=content.content_encoding,
            content_language=content.content_language,
            cache_control=content.cache_control,
            content_md5=bytes(content.content_md5).hex() if content.content_md5 else None,
            blob_type=_text(blob.blob_type),
            lease_status=_text(blob.lease.status),
            metadata=dict(blob.metadata or {}),
        )

    def read(self, container: str, name: str, offset: int = 0, length: int | None = None) -> bytes:
        """`length` bytes from `offset`, or all that follows; fewer where the blob ends."""
        from azure.core.exceptions import HttpResponseError

        if length == 0:
            return b""
        with storage_errors(container, name):
            client = self._account.blob_service().get_blob_client(container, name)
            try:
                whole = _Whole()
                client.download_blob(offset=offset, length=length).readinto(cast(IO[bytes], whole))
                data = whole.content
            except HttpResponseError as error:
                if error.status_code == 416:  # the range starts behind the end of the blob
                    return b""
                raise
        BLOB_TRAFFIC.add(read=len(data))
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
        with storage_errors(container, name):
            from azure.storage.blob import ContentSettings

            client = self._account.blob_service().get_blob_client(container, name)
            client.upload_blob(
                data,
                overwrite=True,
                content_settings=ContentSettings(content_type=content_type),
                metadata=dict(metadata) if metadata else None,
            )
            BLOB_TRAFFIC.add(written=len(data))
            return str(client.url).split("?", 1)[0]

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

        The pieces are uploaded as blocks, some at once, each with its MD5, which make a blob only when they
        are committed at the end. When `chunks` raises, that never happens.
        """
        with storage_errors(container, name):
            client = self._account.blob_service().get_blob_client(container, name)
            pieces = cut(chunks)
            first = next(pieces, b"")
            if len(first) < BLOCK_BYTES:
                _put(client, first, content_type, metadata)
            else:
                blocks = Blocks(client)
                blocks.stage(chain([first], pieces))
                blocks.commit(content_type=content_type, md5=blocks.md5, metadata=metadata)
            return str(client.url).split("?", 1)[0]

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
        """Copy a blob inside the account, whole and at once, if the target is as it was seen."""
        source = self.properties(container, name)
        if source_etag not in (None, source.etag):
            raise Conflict(f"blob {name!r} in container {container!r} is not the one that was asked for")
        with storage_errors(to_container, to_name):
            target = self._account.blob_service().get_blob_client(to_container, to_name)
            answer = self._copies.copy(
                source,
                container,
                target,
                content_type=content_type,
                metadata=metadata,
                if_unchanged=if_unchanged,
            )
        return BlobProperties(
            name=to_name,
            size=source.size,
            last_modified=answer["last_modified"],
            content_type=content_type,
            etag=str(answer["etag"]).strip('"'),
            content_md5=source.content_md5,
            metadata=dict(metadata),
        )

    def delete(self, container: str, names: Sequence[str]) -> int:
        """Delete blobs, 256 a request; answers how many were there.

        Of those that cannot be deleted, as when somebody holds a lease, the first is raised after all others
        are gone.
        """
        deleted, refusal = 0, None
        with storage_errors(container):
            client = self._account.blob_service().get_container_client(container)
            for start in range(0, len(names), BATCH_REQUESTS):
                batch = names[start : start + BATCH_REQUESTS]
                answers = client.delete_blobs(*batch, raise_on_any_failure=False)
                for name, answer in zip(batch, answers, strict=True):
                    if answer.status_code == 202:
                        deleted += 1
                    elif answer.status_code != 404:
                        refusal = refusal or refused(answer.status_code, f"container {container!r}", name)
        if refusal is not None:
            raise refusal
        return deleted

    def ensure_container(self, container: str) -> None:
        """Create the container unless it exists."""
        with storage_errors(container):
            from azure.core.exceptions import ResourceExistsError

            with suppress(ResourceExistsError):
                self._account.blob_service().create_container(container)

    def url(self, container: str, name: str) -> str:
        """Where the blob is, without any signature."""
        with storage_errors(container, name):
            client = self._account.blob_service().get_blob_client(container, name)
            return str(client.url).split("?", 1)[0]

    def ping(self) -> None:
        """Raise unless the account answers; whether the container that it is asked for is there, or not."""
        with storage_errors():
            # What is known of the account itself, roles for data do not let an identity ask for.
            self._account.blob_service().get_container_client(self._asked_for).exists()

    def gdal_path(self, container: str, name: str) -> str:
        """The path under which GDAL reads this blob by ranges."""
        return f"/vsiaz/{container}/{name}"

    def gdal_options(self) -> dict[str, str]:
        """GDAL configuration options that let /vsiaz/ reach the account. They hold a secret."""
        return self._account.gdal_options()


def storage_account(settings: Settings) -> StorageAccount:
    """The account that the settings name; call once per process and share it."""
    return StorageAccount(
        settings.storage_connection_string.get_secret_value(), settings.storage_account_name
    )


def _put(client: BlobClient, data: bytes, content_type: str, metadata: Mapping[str, str] | None) -> None:
    """Write a small blob in one request, of which the service checks the MD5."""
    from azure.storage.blob import ContentSettings

    md5 = bytearray(hashlib.md5(data, usedforsecurity=False).digest())
    client.upload_blob(
        data,
        overwrite=True,
        validate_content=True,
        content_settings=ContentSettings(content_type=content_type, content_md5=md5),
        metadata=dict(metadata) if metadata else None,
    )
    BLOB_TRAFFIC.add(written=len(data))


def _item(blob: SdkBlobProperties) -> BlobItem:
    return BlobItem(
        name=blob.name,
        size=blob.size,
        last_modified=blob.last_modified,
        created_at=blob.creation_time,
        content_type=blob.content_settings.content_type,
        etag=(blob.etag or "").strip('"') or None,
        tier=_text(blob.blob_tier),
    )


def _text(value: Any) -> str | None:
    """The SDK's enums, or the text they stand for, as text."""
    return None if value is None else str(getattr(value, "value", value))
