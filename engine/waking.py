"""Wakes this host's own queue listeners, which otherwise notice a message at their next poll.

The Functions host looks at a queue at once when one of its own functions writes to it through an output
binding, and only then. So a function repeats the last message it sent through its binding: a repeated
message changes nothing, and one that could not be sent is not repeated, so that an unreachable queue does
not fail the function. Source: `SharedQueueWatcher` of azure-webjobs-sdk-extensions.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass
class Wakes:
    """The messages to repeat, as they lie in a queue; None where nothing was sent."""

    jobs: str | None = None
    tasks: str | None = None


_current: ContextVar[Wakes | None] = ContextVar("wakes", default=None)


@contextmanager
def waking() -> Iterator[Wakes]:
    """Collect what is sent in this context, for the output bindings of the function that runs."""
    wakes = Wakes()
    token = _current.set(wakes)
    try:
        yield wakes
    finally:
        _current.reset(token)


def sent(queue: str, body: str) -> None:
    """A message that is visible at once was sent to this queue, `jobs` or `tasks`."""
    wakes = _current.get()
    if wakes is not None:
        setattr(wakes, queue, base64.b64encode(body.encode()).decode())
