"""`.local/run.json` and the lock of a run."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest

from local.stack.errors import StackError
from local.stack.paths import Paths
from local.stack.run_file import RunFile, only_run


def test_the_file_names_what_runs_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    file = RunFile(path)
    file.update(url="http://127.0.0.1:7071", workers=[1, 2], postgres=3, azurite=None)
    file.update(workers=[2, 4])
    expected = {"url": "http://127.0.0.1:7071", "workers": [2, 4], "postgres": 3, "azurite": None}
    assert json.loads(path.read_text()) == expected
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["run.json"]


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    file = RunFile(path)
    file.update(workers=[])
    ended = threading.Event()

    def write() -> None:
        for number in range(300):
            file.update(workers=list(range(number)))
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not ended.is_set():
        workers = json.loads(path.read_text())["workers"]
        assert workers == list(range(len(workers)))
    writer.join()


def test_the_file_is_gone_after_the_run(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with only_run(paths) as file:
        file.update(url="http://127.0.0.1:1")
        assert paths.run_file.exists()
    assert not paths.run_file.exists()


def test_the_file_of_a_killed_run_is_removed(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    paths.local.mkdir()
    paths.run_file.write_text('{"url": "http://127.0.0.1:1"}')
    with only_run(paths):
        assert not paths.run_file.exists()


def test_a_second_run_is_told_where_the_first_one_serves(tmp_path: Path) -> None:
    paths = Paths(tmp_path)
    with only_run(paths) as file:
        file.update(url="http://127.0.0.1:7099")
        expected = rf"process {os.getpid()}\) and serves http://127.0.0.1:7099"
        with pytest.raises(StackError, match=expected), only_run(paths):
            pass
        assert paths.run_file.exists()
