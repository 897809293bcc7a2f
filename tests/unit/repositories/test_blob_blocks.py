"""Blocks are uploaded some at once, and become a blob in the order of what they were made of."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
from azure.storage.blob import BlobClient

from repositories.ahead import AHEAD
from repositories.blob_blocks import Blocks, UrlBlock


class Service:
    """What blob storage keeps of one blob; requests wait until as many are there as may be."""

    def __init__(self) -> None:
        self.staged: dict[str, Any] = {}
        self.committed: list[Any] = []
        self.broken = False
        self._together = threading.Barrier(AHEAD, timeout=10)

    def stage_block(self, block_id: str, data: bytes, **_: object) -> None:
        self._together.wait()
        if self.broken:
            raise OSError("reset")
        self.staged[block_id] = data

    def stage_block_from_url(self, block_id: str, url: str, offset: int, length: int, **options: Any) -> None:
        self._together.wait()
        self.staged[block_id] = (url, offset, length, options)

    def commit_block_list(self, blocks: list[Any], *, content_settings: Any, **_: object) -> dict[str, Any]:
        self.committed = [self.staged[block.id] for block in blocks]
        return {"md5": bytes(content_settings.content_md5 or b"")}


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def blocks(service: Service) -> Blocks:
    return Blocks(cast(BlobClient, service))


def test_blocks_are_sent_some_at_once_and_committed_in_order(service: Service, blocks: Blocks) -> None:
    pieces = [bytes([number]) * 10 for number in range(4 * AHEAD)]
    blocks.stage(pieces)
    answer = blocks.commit(content_type="x/y", md5=blocks.md5, metadata=None)
    assert service.committed == pieces
    assert answer["md5"] == hashlib.md5(b"".join(pieces)).digest()


def test_those_that_the_service_takes_itself_too(service: Service, blocks: Blocks) -> None:
    options = {"source_authorization": "x"}
    sources = [UrlBlock("https://a/b", 100 * number, 100, options) for number in range(2 * AHEAD)]
    blocks.stage_from_url(partial(replace, one) for one in sources)
    blocks.commit(content_type="x/y", md5=None, metadata=None)
    assert service.committed == [("https://a/b", 100 * number, 100, options) for number in range(2 * AHEAD)]


def test_a_block_that_is_not_taken_ends_all(service: Service, blocks: Blocks) -> None:
    service.broken = True
    with pytest.raises(OSError, match="reset"):
        blocks.stage([b"x"] * 100 * AHEAD)
    assert service.staged == {}
