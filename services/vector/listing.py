"""First stage of a load: which files it is about."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.containers import BlobFilter, extension_of
from interfaces.contracts import Contract, TaskParameters
from interfaces.workflows import TaskContext
from services.blob_filter import BlobMatcher
from services.storage_access import container_must_answer

from .files import ARCHIVES, DRIVERS

FOLDER_END = ".gdb/"


class ListVectorsParameters(TaskParameters):
    """Names, or a prefix with a filter."""

    container: str
    blob: str | None = None
    blobs: list[str] | None = None
    prefix: str | None = None
    filter: BlobFilter = BlobFilter()
    limit: int | None = None


class ListVectorsResult(Contract):
    """How many blobs were looked at, and how many files are taken for vector files."""

    listed: int
    matched: int


class ListVectors:
    """Discovers `{"name": …}` for each file; a File Geodatabase is one, whatever its folder holds."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: ListVectorsParameters, context: TaskContext) -> ListVectorsResult:
        """List or name. Raises `PermanentTaskError` for a missing or forbidden container."""
        if parameters.prefix is None:
            names = dict.fromkeys(parameters.blobs or [parameters.blob or ""])
            context.discover({"name": name.rstrip("/")} for name in names)
            return ListVectorsResult(listed=len(names), matched=len(names))
        listed = matched = 0
        by_name = parameters.filter.glob is None and not parameters.filter.extensions

        def items() -> Iterator[dict[str, JsonValue]]:
            nonlocal listed, matched
            matcher = BlobMatcher(parameters.filter)
            folder: str | None = None
            for page in self._blobs.list_pages(parameters.container, parameters.prefix or ""):
                context.check()
                for blob in page:
                    listed += 1
                    if folder is not None and blob.name.startswith(folder):
                        continue
                    folder = _geodatabase(blob.name)
                    file = blob if folder is None else blob.model_copy(update={"name": folder.rstrip("/")})
                    if not matcher.matches(file) or (by_name and not _is_vector(file)):
                        continue
                    matched += 1
                    yield {"name": file.name}
                    if matched == parameters.limit:
                        return

        with container_must_answer():
            context.discover(items())
        return ListVectorsResult(listed=listed, matched=matched)


def _geodatabase(name: str) -> str | None:
    """The folder of a File Geodatabase that a blob is in, with its slash."""
    place = name.lower().find(FOLDER_END)
    return name[: place + len(FOLDER_END)] if place > 0 else None


def _is_vector(blob: BlobItem) -> bool:
    # JSON is most often something else.
    return extension_of(blob.name) in (DRIVERS.keys() | ARCHIVES) - {"json"}
