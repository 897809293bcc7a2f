"""A file that several tasks read is fetched once, and its room given back to whoever needs it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from interfaces.errors import ServiceUnavailable, TaskCancelled
from services.scratch import ScratchSpace
from services.vector.copies import LocalCopies


class Fetching:
    """Writes a file, and counts how often; the next times may be made to wait or to fail."""

    def __init__(self, tmp_path: Path, limit: int = 1000) -> None:
        self.scratch = ScratchSpace(limit, tmp_path)
        self.copies: LocalCopies[Path] = LocalCopies(self.scratch)
        self.fetched = 0
        self.begun, self.go_on = Event(), Event()
        self.go_on.set()
        self.failures: list[Exception] = []

    def make(self, folder: Path) -> Path:
        self.fetched += 1
        self.begun.set()
        assert self.go_on.wait(10)
        if self.failures:
            raise self.failures.pop(0)
        path = folder / "data"
        path.write_text("content")
        return path

    def read(self, key: str | None, size: int = 400) -> str:
        with self.copies.use(key, size, self.make, lambda: None) as path:
            return path.read_text()

    def folders(self) -> int:
        return len(list(self.scratch.folder.iterdir()))


@pytest.fixture
def fetching(tmp_path: Path) -> Fetching:
    return Fetching(tmp_path)


def test_the_same_version_is_fetched_once(fetching: Fetching) -> None:
    assert [fetching.read("a"), fetching.read("a")] == ["content"] * 2
    assert (fetching.fetched, fetching.folders()) == (1, 1)
    # Another version of it.
    fetching.read("b")
    assert (fetching.fetched, fetching.folders()) == (2, 1)


def test_without_a_key_nothing_is_kept(fetching: Fetching) -> None:
    fetching.read(None)
    fetching.read(None)
    assert (fetching.fetched, fetching.folders()) == (2, 0)


def test_who_comes_while_it_is_fetched_waits_for_it(fetching: Fetching) -> None:
    fetching.go_on.clear()
    with ThreadPoolExecutor(3) as pool:
        reading = [pool.submit(fetching.read, "a") for _ in range(3)]
        assert fetching.begun.wait(10)
        fetching.go_on.set()
        assert [one.result(10) for one in reading] == ["content"] * 3
    assert fetching.fetched == 1


def test_who_waited_for_one_that_failed_tries_for_itself(fetching: Fetching) -> None:
    fetching.go_on.clear()
    fetching.failures = [ServiceUnavailable("gone")]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(fetching.read, "a")
        assert fetching.begun.wait(10)
        second = pool.submit(fetching.read, "a")
        fetching.go_on.set()
        with pytest.raises(ServiceUnavailable):
            first.result(10)
        assert second.result(10) == "content"
    assert fetching.folders() == 1


def test_who_waits_can_be_cancelled(fetching: Fetching) -> None:
    def cancelled() -> None:
        raise TaskCancelled("cancelled")

    fetching.go_on.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(fetching.read, "a")
        assert fetching.begun.wait(10)
        with pytest.raises(TaskCancelled), fetching.copies.use("a", 400, fetching.make, cancelled):
            raise AssertionError("it is not there")
        fetching.go_on.set()
        assert first.result(10) == "content"


def test_room_that_is_only_kept_is_given_to_who_needs_it(fetching: Fetching) -> None:
    fetching.read("a")
    with fetching.scratch.directory(700, lambda: None):
        assert fetching.folders() == 1
    assert fetching.read("a") == "content"
    assert fetching.fetched == 2


def test_a_copy_in_use_keeps_its_room(fetching: Fetching) -> None:
    looked = Event()
    with ThreadPoolExecutor(1) as pool:
        with fetching.copies.use("a", 400, fetching.make, lambda: None) as path:

            def other() -> bool:
                with fetching.scratch.directory(700, looked.set):
                    return path.exists()

            waiting = pool.submit(other)
            assert looked.wait(10)
            assert path.exists()
            assert not waiting.done()
        assert waiting.result(10) is False
