"""Decides which blobs of a listing pass a `BlobFilter`."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Sequence

from interfaces.blobs import BlobItem
from interfaces.containers import BlobFilter

ANY_FOLDERS = None


class BlobMatcher:
    """A filter made ready to be asked about many blobs."""

    def __init__(self, wanted: BlobFilter) -> None:
        self._wanted = wanted
        self._suffixes = tuple(f".{extension}" for extension in wanted.extensions)
        self._glob = Glob(wanted.glob) if wanted.glob else None

    def matches(self, blob: BlobItem) -> bool:
        """True when the blob has everything that the filter asks for. A blob without a date has none."""
        wanted, modified = self._wanted, blob.last_modified
        return (
            (wanted.min_size is None or blob.size >= wanted.min_size)
            and (wanted.max_size is None or blob.size <= wanted.max_size)
            and (
                wanted.modified_after is None or (modified is not None and modified >= wanted.modified_after)
            )
            and (
                wanted.modified_before is None or (modified is not None and modified < wanted.modified_before)
            )
            and (not self._suffixes or blob.name.lower().endswith(self._suffixes))
            and (self._glob is None or self._glob.matches(blob.name))
        )


class Glob:
    """A glob over names whose parts are divided by slashes; see `BlobFilter` for its rules.

    Each part is a regular expression of `fnmatch`, which does not backtrack exponentially, and the parts
    are matched as a table, so that no pattern takes longer than (parts of it) × (parts of the name).
    """

    def __init__(self, pattern: str) -> None:
        self._whole_name = "/" in pattern
        self._parts: Sequence[re.Pattern[str] | None] = [
            ANY_FOLDERS if part == "**" and self._whole_name else re.compile(fnmatch.translate(part))
            for part in pattern.removeprefix("/").split("/")
        ]

    def matches(self, name: str) -> bool:
        """True when the pattern fits the name, or its last part where the pattern has no slash."""
        parts = name.split("/") if self._whole_name else [name.rpartition("/")[2]]
        # fits[i]: what was seen of the pattern fits the first i parts of the name.
        fits = [True] + [False] * len(parts)
        for pattern in self._parts:
            if pattern is ANY_FOLDERS:
                first = fits.index(True) if True in fits else len(fits)
                fits = [i >= first for i in range(len(fits))]
            else:
                fits = [False] + [fits[i] and pattern.match(part) is not None for i, part in enumerate(parts)]
        return fits[-1]
