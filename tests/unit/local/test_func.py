"""`./run --func`: settings for Core Tools."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.stack.errors import Missing, StackError
from local.stack.func import find_func, write_settings


def test_settings_are_written_for_python_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    write_settings(path, {"DATABASE_URL": "postgresql://x"})
    assert json.loads(path.read_text()) == {
        "IsEncrypted": False,
        "Values": {"FUNCTIONS_WORKER_RUNTIME": "python", "DATABASE_URL": "postgresql://x"},
    }
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_persons_own_settings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text('{"Values": {"MINE": "1", "DATABASE_URL": "old"}, "Host": {"CORS": "*"}}')
    write_settings(path, {"DATABASE_URL": "new"})
    document = json.loads(path.read_text())
    assert document["Host"] == {"CORS": "*"}
    assert document["Values"] == {"MINE": "1", "FUNCTIONS_WORKER_RUNTIME": "python", "DATABASE_URL": "new"}


@pytest.mark.parametrize("text", ["{", "[]", '{"Values": 3}', "{}"])
def test_a_file_that_is_not_a_settings_file_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(text)
    with pytest.raises(StackError, match=r"local\.settings\.json is not a settings file"):
        write_settings(path, {})
    assert path.read_text() == text


def test_without_core_tools_the_command_that_gets_them_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match="npm install -g azure-functions-core-tools@4"):
        find_func()
