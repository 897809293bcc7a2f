"""Requests that are sent before the answers to earlier ones are there: each waits most of its time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import TypeVar

T = TypeVar("T")
AHEAD = 3
"""Requests beside the one whose answer is awaited. Their bytes are in memory."""


def ahead(calls: Iterable[Callable[[], T]]) -> Generator[T]:
    """What the calls answer, in their order; the next `AHEAD` of them run meanwhile, in threads.

    Raises what a call raises, in its turn, and what `calls` raises. None runs any more when it has ended: who
    may leave it before must close it.
    """
    with ThreadPoolExecutor(AHEAD, "ahead") as pool:
        sent: deque[Future[T]] = deque()
        try:
            for call in calls:
                # What is read and written is counted for whoever asked.
                sent.append(pool.submit(copy_context().run, call))
                if len(sent) > AHEAD:
                    yield sent.popleft().result()
            while sent:
                yield sent.popleft().result()
        finally:
            for future in sent:
                future.cancel()
