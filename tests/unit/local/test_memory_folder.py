"""Databases of tests in memory: they go with their process, and only where there is room."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.fix_stack import CHECKOUT
from tests.memory_folder import folder_in_memory, room_in_memory

KILLED = """
import os, pathlib, signal, sys
from tests.memory_folder import folder_in_memory
with folder_in_memory(pathlib.Path(sys.argv[1])) as folder:
    (folder / "data").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_and_what_another_one_uses_stays(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=CHECKOUT, check=False)
    assert done.returncode == -9
    [left] = tmp_path.iterdir()
    assert (left / "data").exists()
    with folder_in_memory(tmp_path) as one, folder_in_memory(tmp_path) as other:
        assert set(tmp_path.iterdir()) == {one, other}
        assert one.stat().st_mode & 0o777 == 0o755
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_room_where_memory_is_too_small_or_no_file_system(tmp_path: Path) -> None:
    assert not room_in_memory(1_000_000, tmp_path)
    assert not room_in_memory(1, tmp_path / "missing")
