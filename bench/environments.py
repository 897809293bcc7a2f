"""What the peers need: a virtual environment for each, from PyPI, and Redis from the distribution."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from local.stack.commands import run_logged
from local.stack.errors import Missing, StackError
from local.stack.packages import INSTALL, update_lists
from local.stack.paths import Paths
from local.stack.progress import Progress

HERE = Path(__file__).resolve().parent
PEERS = ("dbos", "procrastinate", "celery")


def folder(paths: Paths) -> Path:
    """Where the benchmark keeps what it makes."""
    return paths.local / "bench"


def environment(name: str, paths: Paths, progress: Progress) -> Path:
    """The Python of the environment `name`, made again when its requirements changed.

    Raises:
        StackError: pip failed; shows what it said.
    """
    wanted = (HERE / "requirements" / f"{name}.txt").read_text()
    venv = folder(paths) / "environments" / name
    python, installed = venv / "bin/python", venv / "installed.txt"
    if installed.exists() and installed.read_text() == wanted:
        return python
    log = paths.logs / "bench-environments.log"
    shutil.rmtree(venv, ignore_errors=True)
    with progress.step(f"Installing {' '.join(wanted.split())}"):
        run_logged([sys.executable, "-m", "venv", str(venv)], log)
        pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run_logged([*pip, *wanted.split()], log)
    installed.write_text(wanted)
    return python


def redis_server(paths: Paths, progress: Progress) -> str:
    """The program redis-server, installed by root when it is not there.

    Raises:
        Missing: it could not be had; names the command that gets it.
    """
    if found := shutil.which("redis-server"):
        return found
    advice = "apt-get update && apt-get install -y --no-install-recommends redis-server"
    if os.geteuid() != 0:
        raise Missing("redis-server", f"sudo {advice}", "Celery needs it.")
    log = paths.logs / "packages.log"
    try:
        with progress.step("Installing redis-server"):
            update_lists([], log)
            run_logged(
                [*INSTALL, "redis-server"], log, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
            )
    except StackError as error:
        raise Missing("redis-server", advice, str(error)) from error
    if found := shutil.which("redis-server"):
        return found
    raise Missing("redis-server", advice, f"What was tried is in {log}.")
