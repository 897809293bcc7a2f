"""Handlers of checksum_blobs: find the blobs, and read one of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from pydantic import JsonValue

from interfaces.blobs import BlobRepository
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.workflows import TaskContext

PART = 4 * 1024 * 1024
"""Bytes in memory at a time; the job's cancellation is noticed between two parts."""


class FindBlobsParameters(TaskParameters):
    """Where to look."""

    container: str
    prefix: str


class Found(Contract):
    """How many blobs there are."""

    blobs: int


class FindBlobs:
    """Hands every blob to the next stage; none of them is in memory or in a message with all the others."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: FindBlobsParameters, context: TaskContext) -> Found:
        """Raises `ContainerNotFound`, which no retry mends."""
        pages = self._blobs.list_pages(parameters.container, parameters.prefix)
        found: Iterator[dict[str, JsonValue]] = (
            {"name": blob.name, "size": blob.size} for page in pages for blob in page
        )
        return Found(blobs=context.discover(found))


class ChecksumBlobParameters(TaskParameters):
    """One blob, as it was found; `container` is what all tasks of the stage have in common."""

    container: str
    name: str
    size: int


class Checksum(Contract):
    """The sum of what was read."""

    name: str
    bytes: int
    sha256: str


class ChecksumBlob:
    """Reads a blob in parts. It writes nothing, so that a second attempt after a crash does no harm."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: ChecksumBlobParameters, context: TaskContext) -> Checksum:
        """Raises `BlobNotFound` and `PermanentTaskError`, which no retry mends."""
        digest, done = hashlib.sha256(), 0
        while done < parameters.size:
            context.check()
            part = self._blobs.read(parameters.container, parameters.name, done, PART)
            if not part:
                raise PermanentTaskError(f"{parameters.name}: ends after {done} of {parameters.size} bytes")
            digest.update(part)
            done += len(part)
        return Checksum(name=parameters.name, bytes=done, sha256=digest.hexdigest())
