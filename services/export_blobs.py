"""Writes the files of an export: whoever reads one finds it whole, as it was before or as it is now."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.errors import BlobNotFound, Conflict, ContainerNotFound
from interfaces.workflows import TaskContext

logger = logging.getLogger(__name__)

LOOKS = 10
"""How often to look anew when a file changes between the look and the copy."""
CHUNK = 4 * 1024**2


class ExportBlobs:
    """Publishes files: a blob of the attempt's own, then a copy on the server if the target is unchanged.

    `mark` is the key in a file's metadata that says which attempt of which job wrote it.
    """

    def __init__(self, blobs: BlobRepository, scratch_container: str, mark: str) -> None:
        self._blobs = blobs
        self.scratch_container = scratch_container
        self._mark = mark

    def keep(self, data: bytes, suffix: str, context: TaskContext) -> str:
        """Keep something for a later stage; its name in the container of scratch blobs."""
        return self._keep(lambda: _chunks(data), context.scratch_name(suffix))

    def keep_file(self, path: Path, context: TaskContext) -> str:
        """Keep a file, in bounded memory; its name in the container of scratch blobs."""
        return self._keep(lambda: _chunks_of(path, context), context.scratch_name(f"-export{path.suffix}"))

    def _keep(self, pieces: Callable[[], Iterable[bytes]], name: str) -> str:
        try:
            self._blobs.write_stream(self.scratch_container, name, pieces())
        except ContainerNotFound:
            # Nobody made the container before the first export.
            self._blobs.ensure_container(self.scratch_container)
            self._blobs.write_stream(self.scratch_container, name, pieces())
        return name

    def kept(self, name: str) -> bytes:
        """What was kept."""
        return self._blobs.read(self.scratch_container, name)

    def write_item(self, container: str, name: str, data: bytes, media_type: str) -> None:
        """A small file that is replaced in one request. Nothing links to it before the export is complete."""
        self._blobs.write(container, name, data, content_type=media_type)

    def publish(
        self,
        container: str,
        name: str,
        content: Callable[[bytes | None], bytes],
        media_type: str,
        context: TaskContext,
    ) -> None:
        """Write a document that is made of the one before it, though others write it too."""

        def scratch(target: BlobProperties | None) -> str:
            before = self._blobs.read(container, name) if target is not None else None
            return self.keep(content(before), f"-{_short(name)}", context)

        self._publish(container, name, scratch, media_type, context)

    def publish_kept(
        self, container: str, name: str, scratch: str, media_type: str, context: TaskContext
    ) -> None:
        """Write what was kept."""
        self._publish(container, name, lambda _: scratch, media_type, context)

    def free(self, container: str, name: str, context: TaskContext) -> bool:
        """Whether there is no such file, or only one that an attempt of this very task wrote.

        Raises `ContainerNotFound` for a container that is missing.
        """
        try:
            target = self._blobs.properties(container, name)
        except BlobNotFound:
            return True
        return _same_task(target.metadata.get(self._mark, ""), context)

    def publish_file(
        self,
        container: str,
        name: str,
        path: Path,
        media_type: str,
        context: TaskContext,
        *,
        overwrite: bool,
        held: Callable[[], None],
    ) -> bool:
        """Write a file; false, and nothing is written, where another is there and is not to be replaced.

        `held` raises when the attempt no longer has its task. It is asked after each look at the target: what
        a later attempt writes comes after that, so that this one finds the target changed.
        """
        kept = self.keep_file(path, context)
        written = self._publish(
            container, name, lambda _: kept, media_type, context, replace=overwrite, held=held
        )
        self._blobs.delete(self.scratch_container, [kept])
        return written

    def exported(self, container: str, name: str) -> bool:
        """Whether this is a file of an export, and none that people put there."""
        with suppress(BlobNotFound):
            return self._mark in self._blobs.properties(container, name).metadata
        return False

    def written_at(self, container: str, name: str) -> str:
        """When a file was written, by the storage's clock, in ISO 8601."""
        modified = self._blobs.properties(container, name).last_modified
        assert modified is not None
        return modified.isoformat()

    def remove(
        self, container: str, folder: str, stale: Callable[[str, str], bool], context: TaskContext
    ) -> int:
        """Delete the files of a folder that are `stale(name, written_at)`; answers how many there were."""
        removed = 0
        for page in self._blobs.list_pages(container, folder):
            context.check()
            names = [
                blob.name
                for blob in page
                if blob.last_modified is not None and stale(blob.name, blob.last_modified.isoformat())
            ]
            removed += self._blobs.delete(container, names)
        return removed

    def url(self, container: str, name: str) -> str:
        """Where a file is."""
        return self._blobs.url(container, name)

    def _publish(
        self,
        container: str,
        name: str,
        scratch: Callable[[BlobProperties | None], str],
        media_type: str,
        context: TaskContext,
        *,
        replace: bool = True,
        held: Callable[[], None] | None = None,
    ) -> bool:
        """Copy to the target as it was looked at, or look again; false where it may not be replaced."""
        mark = f"{_task(context)}{context.fence}"
        refused: Conflict | None = None
        for _ in range(LOOKS):
            context.check()
            target = None
            with suppress(BlobNotFound):
                target = self._blobs.properties(container, name)
            theirs = target.metadata.get(self._mark, "") if target is not None else ""
            if refused is not None and theirs == mark:
                # The answer to the copy was lost.
                return True
            if target is not None and not replace and not _same_task(theirs, context):
                return False
            if held is not None:
                held()
            try:
                made = scratch(target)
                self._blobs.copy(
                    self.scratch_container,
                    made,
                    container,
                    name,
                    content_type=media_type,
                    metadata={self._mark: mark},
                    if_unchanged=target.etag if target is not None else None,
                )
            except Conflict as error:
                logger.info("export of %s: %s", name, error)
                refused = error
            else:
                return True
        raise refused or Conflict(f"{name!r} changes all the time")


def _task(context: TaskContext) -> str:
    """What the marks of all attempts of a task begin with."""
    return f"{context.job_id}/{context.run}/{context.stage}/{context.task_index}-"


def _same_task(mark: str, context: TaskContext) -> bool:
    return mark.startswith(_task(context)) and mark.removeprefix(_task(context)).isdecimal()


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def _chunks_of(path: Path, context: TaskContext) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            context.check()
            yield piece
