"""Handlers of summarize_container: divide a container by prefixes, then count each part."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.containers import ContainerSummary, ReadContainer
from interfaces.contracts import Contract, TaskParameters
from interfaces.workflows import TaskContext

from .storage_access import container_must_answer

ENOUGH_PARTS = 32
"""Levels are divided further until there are so many parts."""
MAX_PARTS = 256
"""More prefixes than this on one level are put together by their first characters."""
MAX_LEVELS_LISTED = 64
"""Bounds the time of dividing: a chain of single folders stops being followed here."""
MAX_LEVEL_BLOBS = 10_000
"""A level with more blobs is left to a task of its own, when there are others to run beside it."""
PAGE = 5000


class PartitionParameters(TaskParameters):
    """What to divide. With a limit it stays whole: only one task can count the first n."""

    container: ReadContainer
    prefix: str = ""
    limit: int | None = None


class PartitionResult(Contract):
    """Number of parts, and the summary of the blobs that lie above them."""

    parts: int
    summary: ContainerSummary


class Part(Contract):
    """All blobs whose name starts with `prefix`, except those that lie directly in `folder`.

    `prefix` usually ends in a slash and is `folder` plus a name. Where a folder has too many sub-folders,
    it is `folder` plus their common first characters; the folder's own blobs were counted before.
    """

    prefix: str
    folder: str | None = None


class PartitionContainer:
    """Divides by prefixes, level by level; counts the blobs it passes, so that nothing is listed twice."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: PartitionParameters, context: TaskContext) -> PartitionResult:
        """Discover the parts. Raises `PermanentTaskError` for a missing or forbidden container."""
        summary = ContainerSummary()
        if parameters.limit is not None:
            parts = [Part(prefix=parameters.prefix)]
        else:
            with container_must_answer():
                parts = self._divide(parameters, summary, context)
        count = context.discover(part.model_dump() for part in parts)
        return PartitionResult(parts=count, summary=summary)

    def _divide(
        self, parameters: PartitionParameters, summary: ContainerSummary, context: TaskContext
    ) -> list[Part]:
        """Breadth first: one level becomes its sub-folders, until there are enough of them."""
        whole: list[Part] = []  # no longer to be divided
        folders = [parameters.prefix]
        listed = 0
        while folders and len(whole) + len(folders) < ENOUGH_PARTS and listed < MAX_LEVELS_LISTED:
            folder = folders.pop(0)
            listed += 1
            context.check()
            # The only part there is may take its time: its task would have nothing to run beside.
            most = MAX_LEVEL_BLOBS if whole or folders else None
            level = self._level(parameters.container, folder, most, context)
            if level is None:
                whole.append(Part(prefix=folder))
                continue
            names, counted = level
            summary.merge(counted)
            for name in names:
                if name.endswith("/"):
                    folders.append(name)
                else:
                    whole.append(Part(prefix=name, folder=folder))
        return whole + [Part(prefix=folder) for folder in folders]

    def _level(
        self, container: str, folder: str, most: int | None, context: TaskContext
    ) -> tuple[list[str], ContainerSummary] | None:
        """The sub-folders of one level, at most `MAX_PARTS`, and the summary of its own blobs.

        None when there are more than `most` blobs.
        """
        names, summary = CommonPrefixes(folder), ContainerSummary()
        page: list[BlobItem] = []
        for entry in self._blobs.list_level(container, folder):
            if isinstance(entry, str):
                names.add(entry)
                continue
            page.append(entry)
            if len(page) == PAGE:
                context.check()
                summary.add_page(page)
                page.clear()
                if most is not None and summary.files >= most:
                    return None
        summary.add_page(page)
        return names.sorted(), summary


class CommonPrefixes:
    """Folder names of one level; when there are too many, only as many first characters as keep them few.

    No name in it is the start of another one: full names end in a slash, cut ones have equal length.
    """

    def __init__(self, folder: str) -> None:
        self._least = len(folder) + 1
        self._length: int | None = None
        self._names: set[str] = set()

    def add(self, name: str) -> None:
        """Take a name in."""
        self._names.add(name[: self._length])
        while len(self._names) > MAX_PARTS and (self._length is None or self._length > self._least):
            longest = max(map(len, self._names))
            self._length = max(longest - 1, self._least)
            self._names = {kept[: self._length] for kept in self._names}

    def sorted(self) -> list[str]:
        """The names, in order."""
        return sorted(self._names)


class SummarizePrefixParameters(TaskParameters):
    """The part to count; with `limit`, only its first so many blobs in order of name."""

    container: ReadContainer
    prefix: str
    folder: str | None = None
    limit: Annotated[int, Field(ge=1)] | None = None


class SummarizePrefixResult(Contract):
    """What one part holds."""

    prefix: str
    summary: ContainerSummary


class SummarizePrefix:
    """Counts all blobs of one part, page by page."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: SummarizePrefixParameters, context: TaskContext) -> SummarizePrefixResult:
        """Count. Raises `PermanentTaskError` for a missing or forbidden container."""
        summary = ContainerSummary()
        with container_must_answer():
            for page in self._pages(parameters):
                context.check()
                summary.add_page(page)
        return SummarizePrefixResult(prefix=parameters.prefix, summary=summary)

    def _pages(self, parameters: SummarizePrefixParameters) -> Iterator[list[BlobItem]]:
        left = parameters.limit
        for page in self._blobs.list_pages(parameters.container, parameters.prefix, PAGE):
            if parameters.folder is not None:
                start = len(parameters.folder)
                page = [blob for blob in page if "/" in blob.name[start:]]
            if left is None:
                yield page
                continue
            yield page[:left]
            left -= min(left, len(page))
            if left == 0:
                return
