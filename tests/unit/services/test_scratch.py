"""Temporary directories are bounded, and nothing of them outlives its use, or the next process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from interfaces.errors import PermanentTaskError, TaskTimedOut
from interfaces.settings import Settings
from services.scratch import ScratchSpace


def _nothing() -> None:
    return None


def test_a_directory_is_empty_and_gone_with_its_content_afterwards(tmp_path: Path) -> None:
    space = ScratchSpace(1000, tmp_path)
    with space.directory(600, _nothing) as first, space.directory(400, _nothing) as second:
        assert first != second
        assert space.folder in first.parents
        assert list(first.iterdir()) == []
        (first / "below").mkdir()
        (first / "below" / "a.tif").write_bytes(b"x")
        assert first.stat().st_mode & 0o077 == 0
    assert not any(folder.exists() for folder in (first, second))
    with pytest.raises(FileNotFoundError), space.directory(1000, _nothing) as failing:
        (failing / "missing" / "a.tif").write_bytes(b"x")
    assert list(space.folder.iterdir()) == []


def test_more_than_the_limit_is_refused_at_once(tmp_path: Path) -> None:
    space = ScratchSpace(1000, tmp_path)
    with (
        pytest.raises(PermanentTaskError, match="needs 1001 bytes of temporary disk space, and 1000 bytes"),
        space.directory(1001, _nothing),
    ):
        pass


def test_who_finds_no_room_waits_for_others_and_sees_the_end_of_the_time(tmp_path: Path) -> None:
    space = ScratchSpace(1000, tmp_path)
    entered = Event()

    def wait() -> None:
        with space.directory(600, _nothing):
            entered.set()

    def overdue() -> None:
        raise TaskTimedOut("too long")

    with space.directory(600, _nothing):
        with pytest.raises(TaskTimedOut), space.directory(600, overdue):
            pass
        thread = Thread(target=wait)
        thread.start()
        assert not entered.wait(0.1)
    assert entered.wait(10)
    thread.join(10)


def test_the_first_use_removes_what_dead_processes_left_and_nothing_else(tmp_path: Path) -> None:
    died = subprocess.run(
        [
            sys.executable,
            "-c",
            "import os, sys; from pathlib import Path; from services.scratch import ScratchSpace\n"
            "with ScratchSpace(1, Path(sys.argv[1])).directory(1, lambda: None) as folder:\n"
            "    (folder / 'a.tif').write_bytes(b'x')\n"
            "    print(folder, flush=True)\n"
            "    os._exit(9)",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    left = Path(died.stdout.strip())
    assert (left / "a.tif").exists(), died.stderr
    root = left.parent.parent
    # The number of a process that is alive, of another that had it before.
    reused = root / f"{os.getpid()}-1"
    foreign = root / "notes"
    for folder in (reused, foreign):
        folder.mkdir()
        (folder / "x").write_bytes(b"x")
    alive = ScratchSpace(1, tmp_path)
    with alive.directory(1, _nothing) as mine:
        assert not left.parent.exists()
        assert not reused.exists()
        assert foreign.exists()
        # Another first use, by somebody else.
        assert ScratchSpace(1, tmp_path).folder == alive.folder
        assert mine.exists()


@pytest.mark.parametrize(
    ("text", "size"), [("1073741824", 1024**3), ("1GiB", 1024**3), ("1.5 GiB", 1536 * 1024**2)]
)
def test_limits_are_given_in_bytes_or_with_a_unit(
    monkeypatch: pytest.MonkeyPatch, text: str, size: int
) -> None:
    monkeypatch.setenv("TASK_MEMORY_LIMIT", text)
    monkeypatch.setenv("TASK_SCRATCH_LIMIT", text)
    monkeypatch.setenv("SCRATCH_FOLDER", "/var/scratch")
    settings = Settings()
    assert (settings.task_memory_limit, settings.task_scratch_limit) == (size, size)
    assert settings.scratch_folder == Path("/var/scratch")


LEND = """
import sys
from pathlib import Path
from services.scratch import ScratchSpace
space = ScratchSpace(1000, Path(sys.argv[1]))
with space.directory(600, lambda: None) as folder:
    (folder / "data").write_text("content")
    space.lend(folder / "data", "file 0x1")
    print("lent", flush=True)
    sys.stdin.readline()
print("removed", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def lender(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which has lent a file."""
    command = [sys.executable, "-c", LEND, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "lent\n"
        yield process
        process.kill()


def told(process: subprocess.Popen[str]) -> str:
    """Let it go on; what it says then."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return process.stdout.readline()


def test_what_another_process_has_lent_is_there_without_a_copy_and_stays(
    tmp_path: Path, lender: subprocess.Popen[str]
) -> None:
    space = ScratchSpace(1000, tmp_path)
    with space.directory(600, _nothing) as mine:
        assert not space.borrow("file 0x2", mine / "data")
        assert space.borrow("file 0x1", mine / "data")
        assert (mine / "data").stat().st_nlink == 3
        assert told(lender) == "removed\n"
        assert (mine / "data").read_text() == "content"
        assert (mine / "data").stat().st_nlink == 1
        # It is no longer lent.
        assert not space.borrow("file 0x1", mine / "again")


def test_what_a_dead_process_has_lent_is_removed_with_the_rest(
    tmp_path: Path, lender: subprocess.Popen[str]
) -> None:
    lender.kill()
    lender.wait(10)
    space = ScratchSpace(1000, tmp_path)
    with space.directory(600, _nothing) as mine:
        assert not space.borrow("file 0x1", mine / "data")


def test_where_files_cannot_be_linked_nothing_is_lent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", refused)
    space = ScratchSpace(1000, tmp_path)
    with space.directory(600, _nothing) as mine:
        (mine / "data").write_text("content")
        space.lend(mine / "data", "file 0x1")
        assert not space.borrow("file 0x1", mine / "again")
