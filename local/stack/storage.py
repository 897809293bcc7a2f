"""The queues and containers that the app expects, and a person's files in them."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings
from azure.storage.queue import QueueServiceClient

from .errors import StackError
from .progress import Progress

INPUT_CONTAINER = "bronze"
CONTAINERS = (INPUT_CONTAINER, "silver", "gold", "job-results")
_UPLOADS_AT_ONCE = 8
_FAILURES_SHOWN = 10
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


_Outcome = int | Exception | None
"""Of one file: its size, or what went wrong, or None where the blob was the same already."""


@dataclass(frozen=True)
class Upload:
    """What an upload did: files written, files that were there unchanged, bytes written."""

    written: int
    unchanged: int
    size: int


def files_below(folder: Path) -> Iterator[Path]:
    """Every file below the folder, hidden ones too, in the order of their names."""
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            yield Path(parent, name)


def upload_folder(
    connection_string: str,
    folder: Path,
    container: str,
    progress: Progress,
    metadata: Mapping[str, str] | None = None,
) -> Upload:
    """Upload a folder, relative paths as blob names; what is there with the same content is left alone.

    Raises:
        StackError: some files could not be read or written; names them.
    """
    files = list(files_below(folder))
    with BlobServiceClient.from_connection_string(
        connection_string, max_single_put_size=32 * 1024 * 1024, **_RETRY
    ) as service:
        client = service.get_container_client(container)
        present = {
            blob.name: bytes(blob.content_settings.content_md5 or b"")
            for blob in client.list_blobs(results_per_page=5000)
        }
        done = _upload_all(lambda file: _upload(client, folder, file, present, metadata), files, progress)
    failures = [
        f"    {file}: {error}".splitlines()[0]
        for file, error in zip(files, done, strict=True)
        if isinstance(error, Exception)
    ]
    if failures:
        shown = "\n".join(failures[:_FAILURES_SHOWN])
        raise StackError(f"{len(failures):,} of {len(files):,} files could not be uploaded:\n{shown}")
    sizes = [size for size in done if isinstance(size, int)]
    return Upload(written=len(sizes), unchanged=done.count(None), size=sum(sizes))


def _upload_all(upload: Callable[[Path], _Outcome], files: list[Path], progress: Progress) -> list[_Outcome]:
    """Upload several files at a time; what became of each, in their order."""
    pool = ThreadPoolExecutor(_UPLOADS_AT_ONCE)
    done: list[_Outcome] = []
    try:
        for outcome in pool.map(upload, files):
            done.append(outcome)
            progress.detail(f"{len(done):,} of {len(files):,} files")
    finally:
        # After a Ctrl-C, nobody waits for the files that have not begun.
        pool.shutdown(cancel_futures=True)
    return done


def _upload(
    client: ContainerClient,
    folder: Path,
    file: Path,
    present: dict[str, bytes],
    metadata: Mapping[str, str] | None,
) -> _Outcome:
    """Upload one file unless the blob is the same already."""
    name = file.relative_to(folder).as_posix()
    try:
        with file.open("rb") as stream:
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
    except Exception as error:  # noqa: BLE001 - all failures are told together, with their files
        return error
