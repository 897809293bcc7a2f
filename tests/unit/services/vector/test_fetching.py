"""Blobs become files, piece by piece."""

from __future__ import annotations

from pathlib import Path

import pytest

from interfaces.errors import ServiceUnavailable
from services.vector import fetching


def nothing() -> None: ...


@pytest.mark.parametrize("size", [0, 1, 10, 11, 95, 100])
def test_the_file_has_all_bytes_in_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(fetching, "PIECE", 10)
    content = bytes(range(size))
    fetching.fetch(lambda offset, length: content[offset : offset + length], size, tmp_path / "a", nothing)
    assert (tmp_path / "a").read_bytes() == content


def test_what_reading_raises_or_whoever_looks_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PIECE", 10)
    asked: list[int] = []

    def read(offset: int, length: int) -> bytes:
        asked.append(offset)
        if offset == 20:
            raise OSError("gone")
        return bytes(length)

    with pytest.raises(OSError, match="gone"):
        fetching.fetch(read, 10_000, tmp_path / "a", nothing)

    def stop() -> None:
        raise KeyError("cancelled")

    with pytest.raises(KeyError, match="cancelled"):
        fetching.fetch(read, 10_000, tmp_path / "b", stop)
    assert len(asked) < 30


@pytest.mark.parametrize(("now", "before"), [(42, 50), (40, 50), (5, 9)])
def test_a_blob_that_is_shorter_now_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: int, before: int
) -> None:
    monkeypatch.setattr(fetching, "PIECE", 10)
    content = bytes(range(now))
    with pytest.raises(ServiceUnavailable, match=f"ends at {now} bytes, and had {before}"):
        fetching.fetch(
            lambda offset, length: content[offset : offset + length], before, tmp_path / "a", nothing
        )
