"""First stage of jobs about vector files: which files they are about."""

from __future__ import annotations

from collections.abc import Iterator

from interfaces.blobs import BlobItem, BlobRepository
from interfaces.containers import extension_of
from interfaces.workflows import TaskContext
from services.source_listing import SourceCounts, SourceParameters, discover_sources

from .files import ARCHIVES, DRIVERS

OFTEN_SOMETHING_ELSE = frozenset({"json", "xlsx", "xlsm", "ods"})
"""Most files that are called so are no vector files: only those that are asked for are taken."""
FOLDER_END = ".gdb/"


class ListVectorsParameters(SourceParameters):
    """Which files."""


class ListVectors:
    """Discovers `{"name": …}` for each file; a File Geodatabase is one, whatever its folder holds."""

    def __init__(self, blobs: BlobRepository) -> None:
        self._blobs = blobs

    def __call__(self, parameters: ListVectorsParameters, context: TaskContext) -> SourceCounts:
        """List or name. Raises `PermanentTaskError` for a missing or forbidden container."""
        return discover_sources(self._blobs, parameters, context, _is_vector, _files)


def _files(blobs: Iterator[BlobItem]) -> Iterator[BlobItem]:
    """The same, with one file for all blobs of a File Geodatabase."""
    folder: str | None = None
    for blob in blobs:
        if folder is not None and blob.name.startswith(folder):
            continue
        folder = _geodatabase(blob.name)
        yield blob if folder is None else blob.model_copy(update={"name": folder.rstrip("/")})


def _geodatabase(name: str) -> str | None:
    """The folder of a File Geodatabase that a blob is in, with its slash."""
    place = name.lower().find(FOLDER_END)
    return name[: place + len(FOLDER_END)] if place > 0 else None


def _is_vector(name: str) -> bool:
    return extension_of(name) in (DRIVERS.keys() | ARCHIVES) - OFTEN_SOMETHING_ELSE
