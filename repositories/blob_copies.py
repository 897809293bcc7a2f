"""Copies inside the storage account, which readers of the target see whole or not at all.

Up to 256 MiB the service copies in one request (Copy Blob From URL). Larger blobs, and those that are to
have another content type or no metadata, which that request cannot say, are put together of blocks that the
service takes from the source (Put Block From URL), and of which one Put Block List makes the blob. The
condition on the target goes with the one request that makes it.

Azurite 3.35 answers 501 to Put Block From URL, and copies blobs of any size in one request. What that request
cannot say passes through this process there, in blocks.

https://learn.microsoft.com/rest/api/storageservices/copy-blob-from-url
https://learn.microsoft.com/rest/api/storageservices/put-block-from-url
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from interfaces.blobs import BlobProperties

from .ahead import ahead
from .blob_blocks import BLOCK_BYTES, Blocks, UrlBlock
from .storage_account import StorageAccount
from .storage_errors import error_code, translate

if TYPE_CHECKING:
    from azure.storage.blob import BlobClient

ONE_REQUEST_BYTES = 256 * 1024**2
"""Largest source of Copy Blob From URL."""
URL_BLOCK_BYTES = 100 * 1024**2
"""Of at most 4,000 MiB that Put Block From URL allows: a few seconds each."""


class BlobCopies:
    """Copies blobs of one account."""

    def __init__(
        self,
        account: StorageAccount,
        one_request_bytes: int = ONE_REQUEST_BYTES,
        url_block_bytes: int = URL_BLOCK_BYTES,
    ) -> None:
        self._account = account
        self._one_request_bytes = one_request_bytes
        self._url_block_bytes = url_block_bytes

    def copy(
        self,
        source: BlobProperties,
        container: str,
        target: BlobClient,
        *,
        content_type: str,
        metadata: Mapping[str, str],
        if_unchanged: str | None,
    ) -> dict[str, Any]:
        """Copy a blob as `source` describes it; answers the headers of the response that made the target."""
        from azure.core import MatchConditions

        conditions: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
        if if_unchanged is not None:
            conditions = {"match_condition": MatchConditions.IfNotModified, "etag": f'"{if_unchanged}"'}
        # A request that names no metadata takes the source's along.
        says_all = source.content_type == content_type and (metadata or not source.metadata)
        if source.size <= self._one_request_bytes and says_all:
            return self._at_once(source, container, target, metadata, conditions)
        blocks = self._staged(source, container, target)
        if blocks is None and says_all:
            return self._at_once(source, container, target, metadata, conditions)
        if blocks is None:
            blocks = self._passed_through(source, container, target)
        md5 = bytes.fromhex(source.content_md5) if source.content_md5 else None
        return blocks.commit(content_type=content_type, md5=md5, metadata=metadata, **conditions)

    def _at_once(
        self,
        source: BlobProperties,
        container: str,
        target: BlobClient,
        metadata: Mapping[str, str],
        conditions: Mapping[str, Any],
    ) -> dict[str, Any]:
        from azure.core import MatchConditions

        url, authorization = self._account.copy_source(container, source.name)
        with _source_errors(container, source.name):
            answer: dict[str, Any] = target.start_copy_from_url(
                url,
                metadata=dict(metadata),
                requires_sync=True,
                source_authorization=authorization,
                source_match_condition=MatchConditions.IfNotModified,
                source_etag=f'"{source.etag}"',
                **conditions,
            )
        return answer

    def _staged(self, source: BlobProperties, container: str, target: BlobClient) -> Blocks | None:
        """None where the service takes no blocks from a URL."""
        from azure.core.exceptions import HttpResponseError

        def block(offset: int) -> UrlBlock:
            # Asked for each block, because a signature and a token end.
            url, authorization = self._account.copy_source(container, source.name)
            options = {
                "source_authorization": authorization,
                "headers": {"x-ms-source-if-match": f'"{source.etag}"'},
            }
            return UrlBlock(url, offset, min(self._url_block_bytes, source.size - offset), options)

        blocks = Blocks(target)
        try:
            with _source_errors(container, source.name):
                offsets = range(0, source.size, self._url_block_bytes)
                blocks.stage_from_url(partial(block, offset) for offset in offsets)
        except HttpResponseError as error:
            if error.status_code != 501:
                raise
            return None
        return blocks

    def _passed_through(self, source: BlobProperties, container: str, target: BlobClient) -> Blocks:
        from azure.core import MatchConditions
        from azure.core.exceptions import HttpResponseError

        client = self._account.blob_service().get_blob_client(container, source.name)

        def read(offset: int) -> bytes:
            try:
                data: bytes = client.download_blob(
                    offset=offset,
                    length=min(BLOCK_BYTES, source.size - offset),
                    etag=f'"{source.etag}"',
                    match_condition=MatchConditions.IfNotModified,
                    validate_content=True,
                ).readall()
            except HttpResponseError as error:
                raise translate(error, container=container, name=source.name, queue="") from None
            return data

        blocks = Blocks(target)
        offsets = range(0, source.size, BLOCK_BYTES)
        with closing(ahead(partial(read, offset) for offset in offsets)) as pieces:
            blocks.stage(pieces)
        return blocks


@contextmanager
def _source_errors(container: str, name: str) -> Iterator[None]:
    """Errors about the source name the source; others are about the target."""
    from azure.core.exceptions import HttpResponseError

    try:
        yield
    except HttpResponseError as error:
        if error_code(error) in ("CannotVerifyCopySource", "SourceConditionNotMet"):
            raise translate(error, container=container, name=name, queue="") from None
        raise
