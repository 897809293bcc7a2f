"""Files that are kept in scratch space for whoever opens the same version of them next.

The chunks of a file are tasks of their own, most of which one process runs: it fetches the file once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from services.scratch import ScratchSpace

T = TypeVar("T")
LOOK_SECONDS = 0.25
"""Between two looks whether there is still a point in waiting for another who fetches the file."""


@dataclass
class _Copy(Generic[T]):
    users: int = 0
    made: threading.Event = field(default_factory=threading.Event)
    value: T | None = None
    failed: bool = False
    space: ExitStack = field(default_factory=ExitStack)


class LocalCopies(Generic[T]):
    """Copies by their key. Thread-safe.

    A copy that nobody uses stays until another file is fetched, or anybody in the process lacks the room.
    """

    def __init__(self, scratch: ScratchSpace) -> None:
        self._scratch = scratch
        self._lock = threading.Lock()
        self._copies: dict[Hashable, _Copy[T]] = {}
        scratch.when_room_is_short(self.drop_unused)

    @contextmanager
    def use(
        self, key: Hashable | None, size: int, make: Callable[[Path], T], check: Callable[[], None]
    ) -> Iterator[T]:
        """What `make` made of an empty folder for `size` bytes, by this call or an earlier one of this key.

        The folder stays while the block runs. Without a key it is this call's own, and removed afterwards;
        one that is shared must not be written into. Raises what `make` raises.
        """
        if key is None:
            with self._scratch.directory(size, check) as folder:
                yield make(folder)
            return
        while True:
            copy, mine = self._join(key)
            try:
                if mine:
                    self._make(key, copy, size, make, check)
                else:
                    while not copy.made.wait(LOOK_SECONDS):
                        check()
                if copy.failed:
                    continue
                assert copy.value is not None
                yield copy.value
                return
            finally:
                with self._lock:
                    copy.users -= 1

    def drop_unused(self) -> None:
        """Give back the room of copies that nobody uses."""
        with self._lock:
            unused = [key for key, copy in self._copies.items() if not copy.users]
            dropped = [self._copies.pop(key) for key in unused]
        for copy in dropped:
            copy.space.close()

    def _join(self, key: Hashable) -> tuple[_Copy[T], bool]:
        with self._lock:
            mine = key not in self._copies
            copy = self._copies.setdefault(key, _Copy())
            copy.users += 1
            return copy, mine

    def _make(
        self,
        key: Hashable,
        copy: _Copy[T],
        size: int,
        make: Callable[[Path], T],
        check: Callable[[], None],
    ) -> None:
        try:
            self.drop_unused()
            folder = copy.space.enter_context(self._scratch.directory(size, check))
            copy.value = make(folder)
        except BaseException:
            # Who waited for it tries for itself.
            with self._lock:
                del self._copies[key]
            copy.failed = True
            copy.space.close()
            raise
        finally:
            copy.made.set()
