"""Batches of many brief tasks run one after another, so that what is small finds room beside them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition
from time import monotonic


class Turns:
    """One at a time, unless it takes long: who has had the turn for `seconds` keeps no one waiting any more.

    So what computes runs alone, and what waits for something else runs together, without anybody having to
    know which it is.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._changed = Condition()
        self._holder: object | None = None
        self._ends = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn; give it back at the end, if it is still ours."""
        me = object()
        with self._changed:
            while self._holder is not None and (left := self._ends - monotonic()) > 0:
                self._changed.wait(left)
            self._holder, self._ends = me, monotonic() + self._seconds
        try:
            yield
        finally:
            with self._changed:
                if self._holder is me:
                    self._holder = None
                    self._changed.notify()
