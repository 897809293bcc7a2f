"""Keeps a run as a file before retention removes it."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC

from interfaces.blobs import BlobRepository
from interfaces.errors import BlobNotFound, ContainerNotFound
from interfaces.retention import ArchivedTask, OldRun
from interfaces.settings import Settings
from repositories.json_text import to_json
from repositories.retention import RetentionRepository

from . import result_blobs

logger = logging.getLogger(__name__)

READ_BYTES = 4 * 1024 * 1024
GZIP = 16 + zlib.MAX_WBITS


class RunChanged(Exception):
    """The run was retried, run again or removed while it was being archived."""


class RunArchive:
    """One gzipped NDJSON blob for each run: its job, stages, tasks, large results, logs and events.

    Each line has its `kind`. A large result, which the database does not hold, follows its task's line.
    """

    def __init__(self, settings: Settings, repository: RetentionRepository, blobs: BlobRepository) -> None:
        self._container = settings.retention_archive_container
        self._results = settings.results_container
        self._repository = repository
        self._blobs = blobs

    @property
    def wanted(self) -> bool:
        """Whether runs are archived at all."""
        return bool(self._container)

    def prepare(self) -> None:
        """Make the container unless it is there."""
        self._blobs.ensure_container(self._container)

    def write(self, old: OldRun, check: Callable[[], None]) -> bool:
        """Archive the run; false, and nothing is written, when it was changed meanwhile.

        Written in bounded memory. A run that is archived twice replaces its own file by the same. `check` is
        called as it goes, and may raise to give up.
        """
        at = old.completed_at.astimezone(UTC)
        # A run that was retried since it was archived ends again: the time tells its ends apart.
        name = f"{at:%Y/%m/%d}/{old.job_id}-{old.run}-{at:%Y%m%dT%H%M%S.%f}.ndjson.gz"
        lines = self._lines(old, check)
        try:
            self._blobs.write_stream(
                self._container, name, _compressed(lines), content_type="application/gzip"
            )
        except RunChanged:
            logger.info("job %s run %d changed while it was archived, and stays", old.job_id, old.run)
            return False
        return True

    def _lines(self, old: OldRun, check: Callable[[], None]) -> Iterator[bytes]:
        yield self._run(old)
        for line in self._repository.archived_stages(old):
            yield _line(line)
        for task in self._repository.archived_tasks(old):
            check()
            yield _line(task.line)
            if task.elsewhere:
                yield from self._result(old, task)
        for line in self._repository.archived_logs(old):
            check()
            yield _line(line)
        for line in self._repository.archived_events(old):
            yield _line(line)
        # What is still as it was found was complete while it was read. Else somebody may have begun to remove
        # rows before they were read, and a file that lacks them must not replace one that has them.
        self._run(old)

    def _run(self, old: OldRun) -> bytes:
        line = self._repository.archived_run(old)
        if line is None:
            raise RunChanged
        return _line(line)

    def _result(self, old: OldRun, task: ArchivedTask) -> Iterator[bytes]:
        place = {"stage": task.stage, "task_index": task.task_index}
        name = result_blobs.name(old.job_id, old.run, task.stage, task.task_index, task.fence or 0)
        read = 0
        try:
            chunk = self._blobs.read(self._results, name, 0, READ_BYTES)
        except (BlobNotFound, ContainerNotFound):
            logger.warning("job %s run %d: the result %s is missing", old.job_id, old.run, name)
            yield _line(to_json({"kind": "missing_result", **place, "blob": name}))
            return
        # What a worker stored is JSON on one line, and is passed on as it is.
        yield to_json({"kind": "result", **place})[:-1].encode() + b',"result":'
        while chunk:
            yield chunk
            read += len(chunk)
            chunk = (
                self._blobs.read(self._results, name, read, READ_BYTES) if len(chunk) == READ_BYTES else b""
            )
        yield b"}\n"


def _line(text: str) -> bytes:
    return text.encode() + b"\n"


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    gzip = zlib.compressobj(wbits=GZIP)
    for piece in pieces:
        if packed := gzip.compress(piece):
            yield packed
    yield gzip.flush()
