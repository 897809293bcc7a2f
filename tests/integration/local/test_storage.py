"""Queues, containers and a person's files in Azurite."""

from __future__ import annotations

import io
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from unittest.mock import ANY

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobServiceClient, ContainerClient
from azure.storage.queue import QueueServiceClient

from local.stack import storage
from local.stack.data_folder import FolderContent, Skipped, content_of
from local.stack.progress import Progress
from local.stack.sample import load_sample, remove_sample
from local.stack.sample_files import NAMES
from local.stack.storage import (
    INPUT_CONTAINER,
    Upload,
    ensure_containers,
    ensure_queues,
    upload_folder,
)

QUIET = Progress(io.StringIO())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    (folder / "a b/ü").mkdir(parents=True)
    (folder / "top.tif").write_bytes(b"tif")
    (folder / ".hidden").write_bytes(b"")
    (folder / "a b/ü/50 %.json").write_bytes(b"{}")
    (folder / "a b/link.tif").symlink_to(folder / "top.tif")
    return folder


def test_queues_are_made_once_with_their_poison_queues(storage_connection_string: str) -> None:
    ensure_queues(storage_connection_string, ["first-queue"])
    ensure_queues(storage_connection_string, ["first-queue"])
    with QueueServiceClient.from_connection_string(storage_connection_string) as service:
        names = [queue.name for queue in service.list_queues(name_starts_with="first-queue")]
        assert names == ["first-queue", "first-queue-poison"]
        for name in names:
            service.delete_queue(name)


def test_only_containers_that_were_made_now_are_named(storage_connection_string: str) -> None:
    names = ("new-container-1", "new-container-2")
    assert ensure_containers(storage_connection_string, names[:1]) == ["new-container-1"]
    assert ensure_containers(storage_connection_string, names) == ["new-container-2"]
    with BlobServiceClient.from_connection_string(storage_connection_string) as service:
        for name in names:
            service.delete_container(name)


def test_a_folder_is_uploaded_with_relative_paths_as_names(
    storage_connection_string: str, container: Callable[[], ContainerClient], folder: Path
) -> None:
    client = container()
    done = upload_folder(storage_connection_string, folder, client.container_name, QUIET)
    assert done == Upload(written=4, unchanged=0, size=8)
    blobs = {blob.name: blob.content_settings.content_type for blob in client.list_blobs()}
    assert blobs == {
        ".hidden": "application/octet-stream",
        "a b/link.tif": "image/tiff",
        "a b/ü/50 %.json": "application/json",
        "top.tif": "image/tiff",
    }
    assert client.download_blob("a b/ü/50 %.json").readall() == b"{}"


def test_only_what_changed_is_uploaded_again(
    storage_connection_string: str, container: Callable[[], ContainerClient], folder: Path
) -> None:
    client = container()
    upload_folder(storage_connection_string, folder, client.container_name, QUIET)
    (folder / "top.tif").write_bytes(b"fit")
    (folder / "a b/link.tif").unlink()
    done = upload_folder(storage_connection_string, folder, client.container_name, QUIET)
    assert done == Upload(written=1, unchanged=2, size=3)
    assert client.download_blob("top.tif").readall() == b"fit"


def test_a_file_larger_than_one_request_arrives_whole(
    storage_connection_string: str, container: Callable[[], ContainerClient], tmp_path: Path
) -> None:
    large = tmp_path / "large.bin"
    large.write_bytes(bytes(range(256)) * 4096 * 40)
    client = container()
    for expected in (Upload(1, 0, large.stat().st_size), Upload(0, 1, 0)):
        assert upload_folder(storage_connection_string, tmp_path, client.container_name, QUIET) == expected
    assert client.download_blob("large.bin").readall() == large.read_bytes()


def test_only_regular_files_within_the_folder_are_uploaded_and_the_others_are_named(
    storage_connection_string: str, container: Callable[[], ContainerClient], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "secret.txt").write_bytes(b"not theirs")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "out.txt").symlink_to("../secret.txt")
    (folder / "folder").symlink_to("a b")
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    (folder / "null").symlink_to("/dev/null")
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.tif")).write_bytes(b"x")
    (folder / "bell\x07.tif").write_bytes(b"x")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket"))
        client = container()
        done = upload_folder(storage_connection_string, folder, client.container_name, QUIET)
    assert {skipped.name: skipped.reason for skipped in done.skipped} == {
        "dangling": "a broken link: No such file or directory",
        "out.txt": "a link that leads out of the folder",
        "folder": "a link to a folder",
        "loop": ANY,
        "fifo": "a FIFO",
        "null": "a link that leads out of the folder",
        "bad\\xff.tif": "its name is not UTF-8",
        "bell\\x07.tif": "its name holds a control character",
        "socket": "a socket",
    }
    assert (done.written, done.size) == (4, 8)
    assert len(list(client.list_blobs())) == 4


def test_a_file_that_cannot_be_read_or_that_storage_refuses_is_named_and_the_others_are_uploaded(
    storage_connection_string: str,
    container: Callable[[], ContainerClient],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    upload = ContainerClient.upload_blob

    def upload_blob(self: ContainerClient, name: str, *positional: Any, **how: Any) -> Any:
        if name == "refused.tif":
            # Azurite takes every name; Azure none of more than 1,024 characters.
            refusal = HttpResponseError("The specified resource name is too long.\nRequestId:1")
            refusal.status_code = 400
            raise refusal
        return upload(self, name, *positional, **how)

    def content(of: Path) -> FolderContent:
        found = content_of(of)
        (of / "vanishes.tif").unlink()
        return found

    (folder / "refused.tif").write_bytes(b"x")
    (folder / "vanishes.tif").write_bytes(b"x")
    monkeypatch.setattr(ContainerClient, "upload_blob", upload_blob)
    monkeypatch.setattr(storage, "content_of", content)
    client = container()
    done = upload_folder(storage_connection_string, folder, client.container_name, QUIET)
    assert done.skipped == (
        Skipped("refused.tif", "storage refuses it: The specified resource name is too long."),
        Skipped("vanishes.tif", "cannot be read: No such file or directory"),
    )
    assert done.written == len(list(client.list_blobs())) == 4


def test_storage_that_fails_ends_the_upload(storage_connection_string: str, folder: Path) -> None:
    with pytest.raises(ResourceNotFoundError):
        upload_folder(storage_connection_string, folder, "no-such-container", QUIET)


def test_an_interrupt_ends_an_upload_at_once(
    storage_connection_string: str, container: Callable[[], ContainerClient], tmp_path: Path
) -> None:
    for number in range(20):
        with (tmp_path / f"{number}.bin").open("wb") as file:
            file.truncate(100 * 1024**3)

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGUSR1, interrupt)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    timer = threading.Timer(1, signal.pthread_kill, (main_thread, signal.SIGUSR1))
    client = container()
    began = time.monotonic()
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            upload_folder(storage_connection_string, tmp_path, client.container_name, QUIET)
    finally:
        timer.cancel()
        signal.signal(signal.SIGUSR1, previous)
    assert time.monotonic() - began < 5


def test_files_are_found_in_the_order_of_their_names(folder: Path) -> None:
    names = [str(path.relative_to(folder)) for path in content_of(folder).files]
    assert names == [".hidden", "top.tif", "a b/link.tif", "a b/ü/50 %.json"]


def test_the_sample_gives_way_but_not_a_persons_files_of_the_same_names(
    storage_connection_string: str,
) -> None:
    ensure_containers(storage_connection_string, (INPUT_CONTAINER,))
    with ContainerClient.from_connection_string(storage_connection_string, INPUT_CONTAINER) as client:
        # An app of another test has its files there.
        for name in client.list_blob_names():
            client.delete_blob(name)
        load_sample(storage_connection_string, QUIET)
        assert sorted(client.list_blob_names()) == sorted(NAMES)
        client.upload_blob(NAMES[0], b"my own", overwrite=True)
        remove_sample(storage_connection_string)
        assert list(client.list_blob_names()) == [NAMES[0]]
        client.delete_container()
