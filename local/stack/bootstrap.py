"""The first step of `./run` and `./test`: make the virtual environment, install into it, go on inside it.

Runs on the system's Python, so it and what it imports use the standard library alone:

    python3 -m local.stack.bootstrap REQUIREMENTS… -- ARGUMENTS OF PYTHON…

Packages are installed only when one of the requirements files changed since the last time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from .commands import run_logged
from .errors import Missing, StackError
from .locking import taking_turns
from .packages import INSTALL, private_apt, update_lists
from .paths import Paths
from .progress import Progress

_ALWAYS = "requirements.txt"


def main() -> None:
    """Make the environment ready and replace this process by its Python."""
    cut = sys.argv.index("--")
    paths, progress = Paths(), Progress()
    requirements = [paths.root / name for name in (_ALWAYS, *sys.argv[1:cut])]
    try:
        with taking_turns(paths.local / "install.lock", progress):
            environment = Environment(paths, progress)
            python = environment.ensure()
            environment.install(requirements)
    except PermissionError as error:
        advice = f'sudo chown -R "$(id -un)" {paths.local} {paths.venv}'
        sys.exit(f"{error.filename} belongs to another user. This gives it to you:\n\n    {advice}\n")
    except StackError as error:
        sys.exit(f"\n{error}")
    except KeyboardInterrupt:
        sys.exit(130)
    os.execv(python, [str(python), *sys.argv[cut + 1 :]])


class Environment:
    """The virtual environment of one checkout."""

    def __init__(self, paths: Paths, progress: Progress) -> None:
        self._paths = paths
        self._progress = progress
        self._venv = paths.venv
        self._python = paths.venv / "bin/python"
        self._log = paths.logs / "python.log"

    def ensure(self) -> Path:
        """The environment's Python; the environment is made anew if it is broken, half made or outdated.

        Raises:
            Missing: pip is not there and could not be had; names the command that gets it.
        """
        made = self._venv / ".made-with"
        wanted = _version(sys.executable)
        if not (made.exists() and made.read_text() == wanted and _version(self._python) == wanted):
            shutil.rmtree(self._venv, ignore_errors=True)
            with self._progress.step("Making the virtual environment"):
                self._make()
            made.write_text(wanted)
        return self._python

    def install(self, requirements: list[Path]) -> None:
        """Install the requirements unless these very files were installed already.

        Raises:
            StackError: pip failed; shows what it said.
        """
        digest = hashlib.sha256()
        for file in _with_included(requirements):
            digest.update(file.read_bytes() + b"\0")
        installed = self._venv / f".installed-{requirements[-1].stem}"
        if installed.exists() and installed.read_text() == digest.hexdigest():
            return
        names = " and ".join(file.name for file in requirements)
        files = [word for file in requirements for word in ("-r", str(file))]
        with self._progress.step(f"Installing {names} (a minute or two)"):
            run_logged(
                [str(self._python), "-m", "pip", "install", "--disable-pip-version-check", *files], self._log
            )
        installed.write_text(digest.hexdigest())

    def _make(self) -> None:
        try:
            import ensurepip  # noqa: F401 - Debian and Ubuntu keep it in a package of its own
        except ImportError:
            self._make_without_ensurepip()
        else:
            self._run_venv()

    def _run_venv(self, *options: str) -> None:
        run_logged([sys.executable, "-m", "venv", *options, str(self._venv)], self._log)

    def _make_without_ensurepip(self) -> None:
        package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
        try:
            if os.geteuid() == 0:
                update_lists([], self._log)
                env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
                run_logged([*INSTALL, package], self._log, env=env)
                self._run_venv()
            else:
                self._run_venv("--without-pip")
                run_logged([str(self._python), f"{self._unpack_pip()}/pip", "install", "pip"], self._log)
        except StackError as error:
            command = f"sudo apt-get update && sudo apt-get install -y {package}"
            raise Missing(package, command, str(error)) from error

    def _unpack_pip(self) -> Path:
        """The wheel of pip from Debian's package of it, unpacked without root."""
        folder = self._paths.downloads / "pip"
        shutil.rmtree(folder, ignore_errors=True)
        options = private_apt(folder)
        update_lists(options, self._log)
        run_logged(["apt-get", *options, "download", "python3-pip-whl"], self._log, cwd=folder)
        for package in folder.glob("*.deb"):
            run_logged(["dpkg", "-x", str(package), str(folder)], self._log)
        wheels = list(folder.glob("usr/share/python-wheels/pip-*.whl"))
        if not wheels:
            raise StackError("python3-pip-whl holds no wheel of pip")
        return wheels[0]


def _version(python: str | Path) -> str:
    """Which Python this is; empty if it does not run."""
    code = "import sys; print(*sys.version_info[:2], sys.implementation.cache_tag)"
    try:
        done = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout


def _with_included(files: list[Path]) -> Iterator[Path]:
    """The files, and those that they name by `-r`."""
    for file in files:
        yield file
        included = re.findall(r"^-r\s+(\S+)", file.read_text(), re.MULTILINE)
        yield from _with_included([file.parent / name for name in included])


if __name__ == "__main__":
    main()
