"""What the person at the terminal sees while something takes long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


class Progress:
    """Tells one step at a time: on a terminal with running seconds, elsewhere a line now and then."""

    def __init__(self, stream: TextIO | None = None, line_every: float = 15) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._every = 0.5 if self._live else line_every
        self._detail = ""

    def say(self, text: str) -> None:
        """One line of its own."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def detail(self, text: str) -> None:
        """How far the current step is, such as "120 of 300 files"."""
        self._detail = text

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show `text` while the block runs, and how long it took once it is done."""
        self._detail = ""
        began = time.monotonic()
        ended = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(text, began, ended), daemon=True)
        if self._live:
            self._stream.write(text)
            self._stream.flush()
        ticker.start()
        try:
            yield
        except BaseException:
            self._finish(ticker, ended, f"{text}: stopped")
            raise
        self._finish(ticker, ended, f"{text}: done in {time.monotonic() - began:.1f} s")

    def _tick(self, text: str, began: float, ended: threading.Event) -> None:
        while not ended.wait(self._every):
            detail = f", {self._detail}" if self._detail else ""
            line = f"{text} … {time.monotonic() - began:.0f} s{detail}"
            self._stream.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
            self._stream.flush()

    def _finish(self, ticker: threading.Thread, ended: threading.Event, line: str) -> None:
        ended.set()
        ticker.join()
        self.say(f"\r\x1b[K{line}" if self._live else line)
