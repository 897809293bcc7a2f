"""Runs the blocks of one document one after the other, as a person does who reads it: in one shell.

`curl` fails where the app refuses, which it does not by itself.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from tests.documents.markdown import Block

DONE = "-- the block has ended --"
BLOCK_SECONDS = 90
RUN_SQL = Path(__file__).with_name("run_sql.py")
LOOP = f"""
exec 3<&0 </dev/null
while IFS= read -r block <&3; do
    . "$block" >"$block.out" 2>"$block.err"
    echo "{DONE}"
done
"""


class BlockFailed(AssertionError):
    """A command of a document did not do what the document says."""

    def __init__(self, block: Block, why: str, said: str) -> None:
        super().__init__(f"{block.place}: {why}\n\n{block.text}\n{said[-4000:]}")


class DocumentShell:
    """A bash in the folder of a checkout, with its Python first on the path."""

    def __init__(self, checkout: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._checkout = checkout
        programs = folder / "bin"
        programs.mkdir()
        _write_curl(programs / "curl")
        path = f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        # Everything is installed: what is not would be news.
        pip = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"}
        self._environment = {**os.environ, **environment, **pip, "PATH": path}
        self._count = 0
        self._shell = subprocess.Popen(
            ["timeout", str(4 * BLOCK_SECONDS), "bash", "-eu", "-o", "pipefail", "-c", LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
            env=self._environment,
        )

    def __enter__(self) -> DocumentShell:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shell.stdin:
            self._shell.stdin.close()
        self._shell.wait(BLOCK_SECONDS)
        if self._shell.stdout:
            self._shell.stdout.close()

    def run(self, block: Block, text: str) -> str:
        """What a block prints. Raises `BlockFailed` when one of its commands fails."""
        self._count += 1
        file = self._folder / f"{self._count}.sh"
        file.write_text(_LANGUAGES[block.language](file, text))
        shell = self._shell
        assert shell.stdin is not None
        assert shell.stdout is not None
        shell.stdin.write(f"{file}\n")
        shell.stdin.flush()
        done = shell.stdout.readline().strip() == DONE
        printed = file.with_name(f"{file.name}.out").read_text(errors="replace")
        said = file.with_name(f"{file.name}.err").read_text(errors="replace")
        if not done:
            raise BlockFailed(block, f"a command failed with {shell.wait(5)}", f"{printed}\n{said}")
        return printed


def _bash(file: Path, text: str) -> str:
    return text


def _python(file: Path, text: str) -> str:
    program = file.with_suffix(".py")
    program.write_text(text)
    return f"python {program}\n"


def _sql(file: Path, text: str) -> str:
    """On the app's database, each statement for itself as psql does it, and their rows as lines of JSON."""
    statements = file.with_suffix(".sql")
    statements.write_text(text)
    return f"python {RUN_SQL} {statements}\n"


_LANGUAGES = {"bash": _bash, "python": _python, "sql": _sql}


def _write_curl(file: Path) -> None:
    curl = shutil.which("curl")
    assert curl, "curl is missing: apt-get install -y curl"
    file.write_text(f'#!/bin/sh\nexec {curl} --fail-with-body --max-time {BLOCK_SECONDS} "$@"\n')
    file.chmod(0o755)


def matches(expected: str, printed: str) -> bool:
    """Whether something was printed that a document shows: `…` stands for anything, white space for none."""
    parts = (re.escape(re.sub(r"\s+", "", part)) for part in expected.split("…"))
    return re.search(".*?".join(parts), re.sub(r"\s+", "", printed), re.DOTALL) is not None


@contextmanager
def shell_in(checkout: Path, folder: Path, environment: Mapping[str, str]) -> Iterator[DocumentShell]:
    """A shell for one document."""
    folder.mkdir()
    with DocumentShell(checkout, folder, environment) as shell:
        yield shell
