"""The virtual environment: made once, installed into only when what is required has changed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.stack.bootstrap import Environment, _version
from local.stack.errors import StackError
from local.stack.paths import Paths
from local.stack.progress import Progress
from tests.fix_stack import CHECKOUT

PIP = '#!/bin/sh\necho "$@" >> "$(dirname "$0")/calls"\ntest ! -e "$(dirname "$0")/offline"\n'


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "requirements.txt").write_text("one==1\n")
    (tmp_path / "requirements-dev.txt").write_text("-r requirements.txt\n-r requirements-local.txt\ntwo==2\n")
    (tmp_path / "requirements-local.txt").write_text("three==3\n")
    return Paths(tmp_path)


@pytest.fixture
def calls(paths: Paths) -> Path:
    """What a pretended Python of the environment was called with."""
    python = paths.venv / "bin/python"
    python.parent.mkdir(parents=True)
    python.write_text(PIP)
    python.chmod(0o755)
    return python.with_name("calls")


def install(paths: Paths, *names: str) -> None:
    Environment(paths, Progress(io.StringIO())).install([paths.root / name for name in names])


def test_packages_are_installed_only_when_a_requirements_file_changed(paths: Paths, calls: Path) -> None:
    install(paths, "requirements.txt", "requirements-dev.txt")
    install(paths, "requirements.txt", "requirements-dev.txt")
    assert len(calls.read_text().splitlines()) == 1
    # A file that is only included counts too.
    (paths.root / "requirements-local.txt").write_text("three==4\n")
    install(paths, "requirements.txt", "requirements-dev.txt")
    assert len(calls.read_text().splitlines()) == 2


def test_what_run_needs_and_what_the_tests_need_are_installed_side_by_side(paths: Paths, calls: Path) -> None:
    for _ in range(2):
        install(paths, "requirements.txt", "requirements-local.txt")
        install(paths, "requirements.txt", "requirements-dev.txt")
    assert len(calls.read_text().splitlines()) == 2


def test_an_installation_that_failed_is_tried_again(paths: Paths, calls: Path) -> None:
    calls.with_name("offline").touch()
    with pytest.raises(StackError, match="pip install"):
        install(paths, "requirements.txt")
    calls.with_name("offline").unlink()
    install(paths, "requirements.txt")
    assert len(calls.read_text().splitlines()) == 2


def test_an_environment_is_made_once_and_anew_when_it_is_broken(paths: Paths) -> None:
    environment = Environment(paths, Progress(io.StringIO()))
    made_with, kept = paths.venv / ".made-with", paths.venv / "kept"
    paths.venv.mkdir()
    kept.touch()
    # It was made by this very Python, but has none any more.
    made_with.write_text(_version(sys.executable))
    python = environment.ensure()
    assert not kept.exists()
    kept.touch()
    assert environment.ensure() == python
    assert kept.exists()
    assert (
        subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    )


def test_the_first_step_needs_nothing_but_the_standard_library(tmp_path: Path) -> None:
    shutil.copytree(CHECKOUT / "local", tmp_path / "local", ignore=shutil.ignore_patterns("__pycache__"))
    # -S leaves out site-packages, as a machine has it that knows nothing of this project.
    command = [sys.executable, "-S", "-c", "import local.stack.bootstrap"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}, check=False)
    assert done.returncode == 0
