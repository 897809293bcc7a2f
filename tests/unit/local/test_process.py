"""Child processes: none outlives who started it, and none of a killed run is overlooked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local.stack.errors import StackError
from local.stack.process import Server, end_leftovers, processes_on

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]


def eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def server(folder: Path) -> Server:
    return Server("Sleeper", folder / "log", signal.SIGTERM)


def start(one: Server, command: list[str], folder: Path) -> None:
    one.start(command, os.environ, folder)


def test_a_server_runs_until_it_is_stopped(tmp_path: Path) -> None:
    one = server(tmp_path)
    start(one, SLEEP, tmp_path)
    one.wait_until(lambda: "up" in one.log.read_text(), 10)
    pid = one.pid
    one.stop()
    assert not one.running
    assert not Path(f"/proc/{pid}").exists()


def test_a_server_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    one = server(tmp_path)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    start(one, [sys.executable, "-c", code], tmp_path)
    one.wait_until(lambda: "up" in one.log.read_text(), 10)
    one.stop(seconds=0.2)
    assert not one.running


def test_a_server_that_ends_while_starting_shows_the_end_of_its_log(tmp_path: Path) -> None:
    one = server(tmp_path)
    start(one, ["/bin/sh", "-c", "echo no room left; exit 3"], tmp_path)
    with pytest.raises(StackError, match="Sleeper ended while starting:\n    no room left"):
        one.wait_until(lambda: False, 10)


def test_a_server_that_is_never_ready_is_given_up(tmp_path: Path) -> None:
    one = server(tmp_path)
    start(one, SLEEP, tmp_path)
    with pytest.raises(StackError, match="not ready after 0 s"):
        one.wait_until(lambda: False, 0.1)
    one.stop()


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    one = server(tmp_path)
    one.log.write_bytes(b"x" * (10 * 1024 * 1024 + 1))
    start(one, ["/bin/echo", "new"], tmp_path)
    one.stop()
    assert one.log.stat().st_size < 100
    assert one.log.with_name("log.old").stat().st_size > 10 * 1024 * 1024


def test_a_server_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys, time; from pathlib import Path; from local.stack.process import Server;"
        "one = Server('Sleeper', Path(sys.argv[1]), signal.SIGTERM);"
        "one.start(['/bin/sleep', '600'], os.environ, Path('/'));"
        "print(one.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    assert eventually(lambda: not Path(f"/proc/{child}").exists())


def orphan(command: str) -> int:
    """Start a process whose parent has ended, as what a killed run leaves behind; its id."""
    script = f"{command} >/dev/null 2>&1 & echo $!"
    return int(subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True).stdout)


def test_leftovers_are_found_by_program_and_data_directory_and_ended(tmp_path: Path) -> None:
    data = str(tmp_path / "data")
    leftover = orphan(f"tail -f /dev/null {data}")
    stranger = orphan(f"tail -f /dev/null {data}2")
    assert eventually(lambda: processes_on("tail", data) == [leftover])
    assert processes_on("postgres", data) == []
    assert end_leftovers("tail", data, signal.SIGTERM) == [leftover]
    assert processes_on("tail", data) == []
    assert end_leftovers("tail", f"{data}2", signal.SIGTERM) == [stranger]


def test_a_leftover_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    data = str(tmp_path)
    left = orphan(f"sh -c 'trap \"\" TERM; exec tail -f /dev/null {data}'")
    assert eventually(lambda: processes_on("tail", data) == [left])
    assert end_leftovers("tail", data, signal.SIGTERM, seconds=0.2) == [left]
    assert processes_on("tail", data) == []
