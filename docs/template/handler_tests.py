"""Handlers of checksum_blobs, on blobs in memory."""

from __future__ import annotations

import hashlib

import pytest

from interfaces.errors import PermanentTaskError, TaskCancelled
from services.checksums import ChecksumBlob, ChecksumBlobParameters, FindBlobs, FindBlobsParameters

from .doubles import Context, MemoryBlobs


def test_every_blob_below_the_prefix_is_found_with_its_size() -> None:
    context = Context()

    found = FindBlobs(MemoryBlobs.named("a/1", "a/2", "b/3", size=7))(
        FindBlobsParameters(container="bronze", prefix="a/"), context
    )

    assert found.blobs == 2
    assert context.items == [{"name": "a/1", "size": 7}, {"name": "a/2", "size": 7}]


def read(content: bytes, size: int, context: Context) -> str:
    blobs = MemoryBlobs()
    blobs.content["a"] = content
    parameters = ChecksumBlobParameters(container="bronze", name="a", size=size)
    checksum: str = ChecksumBlob(blobs)(parameters, context).sha256
    return checksum


def test_the_sum_is_that_of_the_whole_blob() -> None:
    content = b"x" * 5_000_000
    assert read(content, len(content), Context()) == hashlib.sha256(content).hexdigest()


def test_a_blob_that_became_shorter_fails_at_once() -> None:
    with pytest.raises(PermanentTaskError, match="ends after 3 of 10 bytes"):
        read(b"abc", 10, Context())


def test_a_cancelled_job_is_noticed_between_two_parts() -> None:
    with pytest.raises(TaskCancelled):
        read(b"x" * 5_000_000, 5_000_000, Context(cancelled_after=1))
