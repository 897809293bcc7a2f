"""A blob made of blocks: staged one by one, seen by nobody until they are committed in one request."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .ahead import ahead
from .traffic import BLOB_TRAFFIC

if TYPE_CHECKING:
    from azure.storage.blob import BlobBlock, BlobClient

BLOCK_BYTES = 4 * 1024**2
"""At most 50,000 blocks make a blob: 200 GB.
https://learn.microsoft.com/azure/storage/blobs/scalability-targets"""


@dataclass(frozen=True)
class UrlBlock:
    """Bytes of another blob."""

    url: str
    offset: int
    length: int
    options: Mapping[str, Any]
    """Of the request: whose right it is to read them, and in which state."""


class Blocks:
    """The blocks that one writer stages for a blob.

    Their ids are this writer's own, so that two who write the same blob never commit each other's blocks.
    What is not committed is forgotten by the service after a week.
    """

    def __init__(self, client: BlobClient) -> None:
        self._client = client
        self._prefix = uuid.uuid4().hex
        self._ids: list[str] = []
        self._md5 = hashlib.md5(usedforsecurity=False)

    def stage(self, pieces: Iterable[bytes]) -> None:
        """Upload blocks, some at once, with their MD5: the service refuses what was damaged on the way."""
        for _ in ahead(map(self._staging, pieces)):
            pass

    def stage_from_url(self, sources: Iterable[Callable[[], UrlBlock]]) -> None:
        """Let the service take blocks from another blob, some of them at once.

        Each of `sources` is asked, by any thread, just before its block is taken: signatures end.
        """
        for _ in ahead(partial(self._take, self._next_id(), source) for source in sources):
            pass

    @property
    def md5(self) -> bytes:
        """Of all that `stage` was given."""
        return self._md5.digest()

    def commit(
        self, *, content_type: str, md5: bytes | None, metadata: Mapping[str, str] | None, **conditions: Any
    ) -> dict[str, Any]:
        """Make the blob of these blocks, whole and at once; answers the headers of the response."""
        from azure.storage.blob import BlobBlock, ContentSettings

        blocks: list[BlobBlock] = [BlobBlock(block_id=block) for block in self._ids]
        answer: dict[str, Any] = self._client.commit_block_list(
            blocks,
            content_settings=ContentSettings(
                content_type=content_type, content_md5=bytearray(md5) if md5 else None
            ),
            metadata=dict(metadata) if metadata else None,
            **conditions,
        )
        return answer

    def _staging(self, data: bytes) -> Callable[[], None]:
        """In the order of the pieces; what it answers, in any."""
        self._md5.update(data)
        return partial(self._send, self._next_id(), data)

    def _send(self, block: str, data: bytes) -> None:
        self._client.stage_block(block, data, length=len(data), validate_content=True)
        BLOB_TRAFFIC.add(written=len(data))

    def _take(self, block: str, source: Callable[[], UrlBlock]) -> None:
        found = source()
        self._client.stage_block_from_url(block, found.url, found.offset, found.length, **found.options)

    def _next_id(self) -> str:
        # All ids of a blob have the same length.
        self._ids.append(f"{self._prefix}-{len(self._ids):05}")
        return self._ids[-1]


def cut(chunks: Iterable[bytes], size: int = BLOCK_BYTES) -> Iterator[bytes]:
    """The same bytes in pieces of `size`, the last one shorter; in the memory of two pieces."""
    pending = bytearray()
    for chunk in chunks:
        if len(chunk) == size and not pending:
            yield chunk
            continue
        for start in range(0, len(chunk), size):
            pending += chunk[start : start + size]
            if len(pending) >= size:
                yield bytes(pending[:size])
                del pending[:size]
    if pending:
        yield bytes(pending)
