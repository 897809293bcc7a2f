"""The queues and containers that the app expects, and a person's files in them."""

from __future__ import annotations

import hashlib
import mimetypes
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings
from azure.storage.queue import QueueServiceClient

from .errors import StackError
from .progress import Progress

INPUT_CONTAINER = "bronze"
CONTAINERS = (INPUT_CONTAINER, "silver", "gold", "job-results")
_UPLOADS_AT_ONCE = 8
_FAILURES_SHOWN = 10


def ensure_queues(connection_string: str, names: list[str]) -> None:
    """Make each queue, and the poison queue that the Functions host would make for it."""
    with QueueServiceClient.from_connection_string(connection_string) as service:
        for name in names:
            for queue in (name, f"{name}-poison"):
                try:
                    service.create_queue(queue)
                except ResourceExistsError:
                    continue


def ensure_containers(connection_string: str, names: tuple[str, ...] = CONTAINERS) -> list[str]:
    """Make the containers that are not there; the names of those made."""
    made = []
    with BlobServiceClient.from_connection_string(connection_string) as service:
        for name in names:
            try:
                service.create_container(name)
            except ResourceExistsError:
                continue
            made.append(name)
    return made


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


def upload_folder(connection_string: str, folder: Path, container: str, progress: Progress) -> Upload:
    """Upload a folder, relative paths as blob names; what is there with the same content is left alone.

    Raises:
        StackError: some files could not be read or written; names them.
    """
    files = list(files_below(folder))
    with BlobServiceClient.from_connection_string(
        connection_string, max_single_put_size=32 * 1024 * 1024
    ) as service:
        client = service.get_container_client(container)
        present = {
            blob.name: bytes(blob.content_settings.content_md5 or b"")
            for blob in client.list_blobs(results_per_page=5000)
        }
        text = f"Uploading {len(files):,} files from {folder} to the container {container}"
        with progress.step(text), ThreadPoolExecutor(_UPLOADS_AT_ONCE) as pool:
            written = unchanged = size = 0
            failures = []
            results = pool.map(lambda file: _upload(client, folder, file, present), files)
            for number, (file, result) in enumerate(zip(files, results, strict=True), start=1):
                progress.detail(f"{number:,} of {len(files):,} files")
                if isinstance(result, Exception):
                    failures.append(f"    {file}: {result}".splitlines()[0])
                elif result is None:
                    unchanged += 1
                else:
                    written += 1
                    size += result
    if failures:
        shown = "\n".join(failures[:_FAILURES_SHOWN])
        raise StackError(f"{len(failures):,} of {len(files):,} files could not be uploaded:\n{shown}")
    return Upload(written, unchanged, size)


def _upload(
    client: ContainerClient, folder: Path, file: Path, present: dict[str, bytes]
) -> int | Exception | None:
    """Upload one file: its size, or None when the blob is the same already, or what went wrong."""
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
            client.upload_blob(name, stream, length=size, overwrite=True, content_settings=settings)
            return size
    except Exception as error:  # noqa: BLE001 - all failures are told together, with their files
        return error
