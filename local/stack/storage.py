"""The queues and containers that the app expects, and a person's files in them."""

from __future__ import annotations

import hashlib
import io
import mimetypes
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import HttpResponseError, ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings
from azure.storage.queue import QueueServiceClient

from .data_folder import Skipped, content_of, printable
from .progress import Progress

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

INPUT_CONTAINER = "bronze"
CONTAINERS = (INPUT_CONTAINER, "silver", "gold", "job-results", "job-scratch")
_UPLOADS_AT_ONCE = 8
_READ_BYTES = 256 * 1024
# Quicker than the SDK's default of 15 s and more: what does not answer here is not there.
_RETRY: dict[str, Any] = {"initial_backoff": 1, "increment_base": 2, "retry_total": 3}


def ensure_queues(connection_string: str, names: list[str]) -> None:
    """Make each queue, and the poison queue that the Functions host would make for it."""
    with QueueServiceClient.from_connection_string(connection_string, **_RETRY) as service:
        for name in names:
            for queue in (name, f"{name}-poison"):
                try:
                    service.create_queue(queue)
                except ResourceExistsError:
                    continue


def ensure_containers(connection_string: str, names: tuple[str, ...] = CONTAINERS) -> list[str]:
    """Make the containers that are not there; the names of those made."""
    made = []
    with BlobServiceClient.from_connection_string(connection_string, **_RETRY) as service:
        for name in names:
            try:
                service.create_container(name)
            except ResourceExistsError:
                continue
            made.append(name)
    return made


_Outcome = int | Skipped | None
"""Of one file: its size, or why it was left out, or None where the blob was the same already."""


@dataclass(frozen=True)
class Upload:
    """What an upload did: files written, files that were there unchanged, bytes written, files left out."""

    written: int
    unchanged: int
    size: int
    skipped: tuple[Skipped, ...] = ()


def upload_folder(
    connection_string: str,
    folder: Path,
    container: str,
    progress: Progress,
    metadata: Mapping[str, str] | None = None,
) -> Upload:
    """Upload a folder, relative paths as blob names; what is there with the same content is left alone.

    Left out is what is no regular file, leads out of the folder, cannot be read, or has a name that no
    blob can have.

    Raises:
        AzureError: storage does not answer, or refuses what is no matter of a single file.
    """
    content = content_of(folder)
    stop = threading.Event()
    with BlobServiceClient.from_connection_string(
        connection_string, max_single_put_size=32 * 1024 * 1024, **_RETRY
    ) as service:
        client = service.get_container_client(container)
        present = {
            blob.name: bytes(blob.content_settings.content_md5 or b"")
            for blob in client.list_blobs(results_per_page=5000)
        }
        done = _upload_all(
            lambda file: _upload(client, folder, file, present, metadata, stop), content.files, progress, stop
        )
    sizes = [outcome for outcome in done if isinstance(outcome, int)]
    refused = [outcome for outcome in done if isinstance(outcome, Skipped)]
    return Upload(
        written=len(sizes),
        unchanged=done.count(None),
        size=sum(sizes),
        skipped=(*content.skipped, *refused),
    )


def _upload_all(
    upload: Callable[[Path], _Outcome], files: list[Path], progress: Progress, stop: threading.Event
) -> list[_Outcome]:
    """Upload several files at a time; what became of each, in their order."""
    pool = ThreadPoolExecutor(_UPLOADS_AT_ONCE)
    done: list[_Outcome] = []
    try:
        for outcome in pool.map(upload, files):
            done.append(outcome)
            progress.detail(f"{len(done):,} of {len(files):,} files")
    finally:
        # After a Ctrl-C, nobody waits for the files that have not begun, nor for the rest of those that have.
        stop.set()
        pool.shutdown(cancel_futures=True)
    return done


class _Stopped(Exception):
    """The upload was given up while a file was read."""


class _StoppableFile(io.FileIO):
    """A file whose reader is told at its next read that the upload was given up."""

    def __init__(self, path: Path, stop: threading.Event) -> None:
        super().__init__(path)
        self._stop = stop

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """As in `io.FileIO`; raises `_Stopped`."""
        if self._stop.is_set():
            raise _Stopped
        return super().readinto(buffer)


def _upload(
    client: ContainerClient,
    folder: Path,
    file: Path,
    present: dict[str, bytes],
    metadata: Mapping[str, str] | None,
    stop: threading.Event,
) -> _Outcome:
    """Upload one file unless the blob is the same already."""
    name = file.relative_to(folder).as_posix()
    try:
        with io.BufferedReader(_StoppableFile(file, stop), _READ_BYTES) as stream:
            digest = hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).digest()
            if present.get(name) == digest:
                return None
            size = stream.tell()
            stream.seek(0)
            kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
            settings = ContentSettings(content_type=kind, content_md5=bytearray(digest))
            client.upload_blob(
                name,
                stream,
                length=size,
                overwrite=True,
                content_settings=settings,
                metadata=dict(metadata or {}),
            )
            return size
    except OSError as error:
        return Skipped(printable(file, folder), f"cannot be read: {error.strerror or error}")
    except HttpResponseError as error:
        if error.status_code != HTTPStatus.BAD_REQUEST:
            raise
        return Skipped(printable(file, folder), f"storage refuses it: {str(error).splitlines()[0]}")
