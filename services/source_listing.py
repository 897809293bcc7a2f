"""First stage of jobs about files: which blobs they are about."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pydantic import JsonValue

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.containers import BlobFilter, ReadContainer
from interfaces.contracts import Contract, TaskParameters
from interfaces.workflows import TaskContext

from .blob_filter import BlobMatcher
from .storage_access import container_must_answer


class SourceParameters(TaskParameters):
    """Names, or a prefix with a filter."""

    container: ReadContainer
    blob: str | None = None
    blobs: list[str] | None = None
    prefix: str | None = None
    filter: BlobFilter = BlobFilter()
    limit: int | None = None


class SourceCounts(Contract):
    """How many blobs were looked at, and how many files are taken for what the job is about."""

    listed: int
    matched: int


def discover_sources(
    blobs: BlobRepository,
    parameters: SourceParameters,
    context: TaskContext,
    of_kind: Callable[[str], bool],
    files: Callable[[Iterator[BlobItem]], Iterator[BlobItem]] = iter,
) -> SourceCounts:
    """Discover `{"name": …}` for each file. Whether it is one of the kind, its own task finds out.

    `of_kind` says by its name which is taken where the filter does not say; `files` makes files of listed
    blobs. Raises `PermanentTaskError` for a missing or forbidden container.
    """
    if parameters.prefix is None:
        # A name given twice is one file.
        names = dict.fromkeys(name.rstrip("/") for name in parameters.blobs or [parameters.blob or ""])
        context.discover({"name": name} for name in names)
        return SourceCounts(listed=len(names), matched=len(names))
    listed = matched = 0
    by_name = parameters.filter.glob is None and not parameters.filter.extensions

    def every() -> Iterator[BlobItem]:
        nonlocal listed
        for page in blobs.list_pages(parameters.container, parameters.prefix or ""):
            context.check()
            for blob in page:
                listed += 1
                yield blob

    def items() -> Iterator[dict[str, JsonValue]]:
        nonlocal matched
        matcher = BlobMatcher(parameters.filter)
        for file in files(every()):
            if not matcher.matches(file) or (by_name and not of_kind(file.name)):
                continue
            matched += 1
            yield {"name": file.name}
            if matched == parameters.limit:
                return

    with container_must_answer():
        context.discover(items())
    return SourceCounts(listed=listed, matched=matched)
