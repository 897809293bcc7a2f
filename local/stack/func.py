"""`./run --func`: the real Functions host, where Azure Functions Core Tools are installed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from .errors import Missing, StackError
from .paths import Paths
from .process import end_with_parent

_END_WITHIN = 20


def find_func() -> str:
    """The program `func`.

    Raises:
        Missing: Core Tools are not installed.
    """
    program = shutil.which("func")
    if not program:
        without = "Without it, ./run serves the app with the local host of this repository."
        command = "npm install -g azure-functions-core-tools@4 --unsafe-perm true"
        raise Missing("Azure Functions Core Tools (func)", command, without)
    return program


def write_settings(path: Path, settings: Mapping[str, str]) -> None:
    """Write the settings to `local.settings.json`, beside those that a person keeps there already.

    Raises:
        StackError: the file is there and is not JSON of that form.
    """
    document: dict[str, object] = {"IsEncrypted": False, "Values": {}}
    if path.exists():
        try:
            document = json.loads(path.read_text())
            values = dict(document["Values"])  # type: ignore[call-overload]
        except (ValueError, KeyError, TypeError) as error:
            raise StackError(f"{path} is not a settings file of Core Tools; mend or remove it") from error
    else:
        values = {}
    document["Values"] = {**values, "FUNCTIONS_WORKER_RUNTIME": "python", **settings}
    path.touch(0o600)
    path.chmod(0o600)
    path.write_text(json.dumps(document, indent=2) + "\n")


def serve_with_func(
    program: str, paths: Paths, port: int, settings: Mapping[str, str], on_started: Callable[[int], None]
) -> int:
    """Run `func start` until it ends or a Ctrl-C; its exit code."""
    write_settings(paths.func_settings, settings)
    venv = Path(sys.prefix)
    env = {**os.environ, "VIRTUAL_ENV": str(venv), "PATH": f"{venv}/bin:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [program, "start", "--port", str(port)],
        cwd=paths.root,
        env=env,
        preexec_fn=end_with_parent(signal.SIGTERM),
    )
    on_started(process.pid)
    try:
        return process.wait()
    except KeyboardInterrupt:
        # From a terminal it has had the Ctrl-C too; a second one does no harm.
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
        try:
            process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
        return 0
