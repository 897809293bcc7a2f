"""A file is called broken only after a second look.

While storage is away GDAL fails in the middle of a file, and what it says of that (a strip cannot be
decoded, the table of blocks ends too early) is often what it says of a broken file. Whatever looks again
asks storage first, which raises `ServiceUnavailable` while it is away, so that what fails twice is the file's
fault.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from interfaces.errors import PermanentTaskError

from .raster_opening import Unreadable

R = TypeVar("R")


class UnreadableSource(PermanentTaskError):
    """GDAL cannot go on with a file, and does not say that storage or the network is to blame."""


def second_look(look: Callable[[], R]) -> R:
    """What `look` answers, the first time or the second; what it raises the second time.

    `look` must ask storage for the file before GDAL does, and leave nothing behind when it raises.
    """
    try:
        return look()
    except UnreadableSource:
        pass
    except Unreadable as error:
        if not error.doubtful:
            raise
    return look()
