"""First stage of jobs about rasters: which blobs they are about."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from interfaces.blobs import BlobRepository
from interfaces.containers import BlobFilter, is_raster_name
from interfaces.contracts import Contract, TaskParameters
from interfaces.workflows import TaskContext
from services.blob_filter import BlobMatcher
from services.storage_access import container_must_answer, target_must_exist


class ListRastersParameters(TaskParameters):
    """Names, or a prefix with a filter."""

    container: str
    blob: str | None = None
    blobs: list[str] | None = None
    prefix: str | None = None
    filter: BlobFilter = BlobFilter()
    limit: int | None = None
    target_container: str | None = None
    """Where what is made of them goes, of jobs that make something."""


class ListRastersResult(Contract):
    """How many blobs were looked at, and how many are taken for rasters."""

    listed: int
    matched: int


class ListRasters:
    """Discovers `{"name": …}` for each raster. Whether it is one, its own task finds out."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: ListRastersParameters, context: TaskContext) -> ListRastersResult:
        """List or name. Raises `PermanentTaskError` for a missing container, or a forbidden source."""
        if parameters.target_container is not None:
            target_must_exist(self._blobs, parameters.target_container)
        if parameters.prefix is None:
            # A name given twice is one raster.
            names = dict.fromkeys(parameters.blobs or [parameters.blob or ""])
            context.discover({"name": name} for name in names)
            return ListRastersResult(listed=len(names), matched=len(names))
        listed = matched = 0
        by_name = parameters.filter.glob is None and not parameters.filter.extensions

        def items() -> Iterator[dict[str, JsonValue]]:
            nonlocal listed, matched
            matcher = BlobMatcher(parameters.filter)
            for page in self._blobs.list_pages(parameters.container, parameters.prefix or ""):
                context.check()
                for blob in page:
                    listed += 1
                    if not matcher.matches(blob) or (by_name and not is_raster_name(blob.name)):
                        continue
                    matched += 1
                    yield {"name": blob.name}
                    if matched == parameters.limit:
                        return

        with container_must_answer():
            context.discover(items())
        return ListRastersResult(listed=listed, matched=matched)
