"""Writes the files of an export: whoever reads one finds it whole, as it was before or as it is now."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress

from interfaces.blobs import BlobProperties, BlobRepository
from interfaces.errors import BlobNotFound, Conflict, ContainerNotFound
from interfaces.workflows import TaskContext

logger = logging.getLogger(__name__)

MARK = "stac_export"
"""Key in a file's metadata that says which attempt of which job wrote it."""
LOOKS = 10
"""How often to look anew when a file changes between the look and the copy."""
CHUNK = 4 * 1024**2


class ExportBlobs:
    """Publishes files: a blob of the attempt's own, then a copy on the server if the target is unchanged."""

    def __init__(self, blobs: BlobRepository, scratch_container: str) -> None:
        self._blobs = blobs
        self.scratch_container = scratch_container

    def keep(self, data: bytes, suffix: str, context: TaskContext) -> str:
        """Keep something for a later stage; its name in the container of scratch blobs."""
        name = context.scratch_name(suffix)
        try:
            self._blobs.write_stream(self.scratch_container, name, _chunks(data))
        except ContainerNotFound:
            # Nobody made the container before the first export.
            self._blobs.ensure_container(self.scratch_container)
            self._blobs.write_stream(self.scratch_container, name, _chunks(data))
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

    def exported(self, container: str, name: str) -> bool:
        """Whether this is a file of an export, and none that people put there."""
        with suppress(BlobNotFound):
            return MARK in self._blobs.properties(container, name).metadata
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
    ) -> None:
        mark = f"{context.job_id}/{context.run}/{context.stage}/{context.task_index}-{context.fence}"
        refused: Conflict | None = None
        for _ in range(LOOKS):
            context.check()
            target = None
            with suppress(BlobNotFound):
                target = self._blobs.properties(container, name)
            if refused is not None and target is not None and target.metadata.get(MARK) == mark:
                # The answer to the copy was lost.
                return
            try:
                made = scratch(target)
                self._blobs.copy(
                    self.scratch_container,
                    made,
                    container,
                    name,
                    content_type=media_type,
                    metadata={MARK: mark},
                    if_unchanged=target.etag if target is not None else None,
                )
            except Conflict as error:
                logger.info("export of %s: %s", name, error)
                refused = error
            else:
                return
        raise refused or Conflict(f"{name!r} changes all the time")


def _short(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _chunks(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]
