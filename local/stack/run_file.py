"""`.local/run.json`: what runs in this checkout, and the lock that only one run holds."""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import StackError
from .paths import Paths


class RunFile:
    """The file that names what runs; always whole, and readable by its owner alone.

    Keys: `url`, `database_url`, `storage_connection_string`; process ids: `workers` (a list), `postgres` and
    `azurite` (null where a server from outside is used).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._values: dict[str, object] = {}
        self._lock = threading.Lock()

    def update(self, **values: str | int | Sequence[int] | None) -> None:
        """Change some of the values and write the file."""
        with self._lock:
            self._values |= values
            # Readers see the old file or the new one, never half of one.
            new = self._path.with_name(f"{self._path.name}.new")
            new.unlink(missing_ok=True)
            with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                json.dump(self._values, file, indent=2)
                file.write("\n")
            new.replace(self._path)

    def remove(self) -> None:
        """Nothing runs any more."""
        with self._lock:
            self._path.unlink(missing_ok=True)


@contextmanager
def only_run(paths: Paths) -> Iterator[RunFile]:
    """Hold this checkout's lock; the file of an earlier run that was killed is removed.

    Raises:
        StackError: another run holds the lock; says where it serves.
    """
    paths.local.mkdir(parents=True, exist_ok=True)
    with paths.lock_file.open("a+") as lock:
        try:
            # Let go by the kernel when this process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StackError(_already_running(paths)) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        file = RunFile(paths.run_file)
        file.remove()
        try:
            yield file
        finally:
            file.remove()
            lock.truncate(0)


def _already_running(paths: Paths) -> str:
    pid = paths.lock_file.read_text().strip() or "unknown"
    where = ""
    with suppress(OSError, ValueError, KeyError):
        where = f" and serves {json.loads(paths.run_file.read_text())['url']}"
    return (
        f"Another ./run of this checkout is running (process {pid}){where}. "
        f"End it first with Ctrl-C, or: kill {pid}"
    )
