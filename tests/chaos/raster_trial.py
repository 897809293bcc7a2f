"""One conversion during which a worker dies, while somebody reads the target all the time."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobClient

from services.scratch import ROOT
from tests.chaos.crash_harness import CrashHost
from tests.chaos.crash_steps import CrashPoint
from tests.chaos.raster_crash_points import UPLOADED
from tests.chaos.raster_shapes import (
    COGS,
    NAME,
    OLD,
    SCRATCH,
    blobs,
    check_nothing_left,
    clean_up,
)

LOOK_EVERY_SECONDS = 0.02


def trial(host: CrashHost, scratch_folder: Path, point: CrashPoint) -> dict[str, object]:
    """Let a worker die there, and check all that must hold then; answers figures."""
    label = uuid.uuid4().hex[:12]
    began = time.monotonic()
    with reading(host.app.storage, f"{label}/{NAME}") as seen:
        job_id, died = host.trial(point.shape, point.steps, label)
        ended = time.monotonic()
        left = len(blobs(host, SCRATCH, job_id))
        clean_up(host, job_id)
    assert [(crash.place, crash.moment) for crash in died] == [(s.place, s.moment) for s in point.steps]
    [content] = blobs(host, COGS, f"{label}/{NAME}").values()
    old, new = md5(OLD), md5(content)
    assert len(seen) > 1
    # There was something to clean up.
    assert left or point.then != UPLOADED
    # Never half a file, never the old one again, and in the end what is there now.
    assert [version for version, _ in groupby(seen)] in ([old, new], [old], [new])
    assert seen[-1] == new
    check_nothing_left(host, job_id)
    swept = check_no_temporary_files(host, scratch_folder)
    return {
        "seconds": round(ended - began, 2),
        "reads": len(seen),
        "scratch blobs left": left,
        "temporary files swept by the next": swept,
    }


def check_no_temporary_files(host: CrashHost, scratch_folder: Path) -> bool:
    """What a dead worker left on the disk is gone, at the latest when its successor has converted something.

    Answers whether that had to be waited for.
    """
    waited = bool(dead_folders(host, scratch_folder))
    if waited:
        host.forget_crashes()
        host.trial("raster", [])
    assert dead_folders(host, scratch_folder) == []
    for folder in folders(scratch_folder):
        assert list(folder.iterdir()) == []
    return waited


def folders(scratch_folder: Path) -> list[Path]:
    """Of each process that has converted."""
    return [folder for root in scratch_folder.glob(f"{ROOT}-*") for folder in root.iterdir()]


def dead_folders(host: CrashHost, scratch_folder: Path) -> list[Path]:
    """Those of processes that are no more."""
    alive = {str(pid) for pid in host.app.workers()}
    return [folder for folder in folders(scratch_folder) if folder.name.partition("-")[0] not in alive]


@contextmanager
def reading(storage: str, name: str) -> Iterator[list[str]]:
    """Read the target over and over; the list of the MD5 of each content that was read, growing."""
    seen: list[str] = []
    over = threading.Event()
    failed: list[Exception] = []

    def read() -> None:
        with BlobClient.from_connection_string(storage, COGS, name) as client:
            while not over.wait(LOOK_EVERY_SECONDS):
                try:
                    seen.append(md5(client.download_blob().readall()))
                except ResourceNotFoundError:
                    # Not there yet; once it is, it is never gone.
                    if seen:
                        raise

    def reader() -> None:
        try:
            read()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the test's result
            failed.append(error)

    thread = threading.Thread(target=reader)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join(30)
    assert failed == []


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()
