"""Running a command to its end, with what it says in a log."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import StackError
from .process import Account, tail


def run_logged(
    command: Sequence[str],
    log: Path,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    account: Account | None = None,
) -> None:
    """Run a command, as another user if told so; what it prints goes to `log`.

    Raises:
        StackError: it failed, or does not exist; shows the end of the log.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        output.write(f"$ {' '.join(command)}\n".encode())
        output.flush()
        try:
            done = subprocess.run(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[account.gid] if account else None,
                check=False,
            )
        except FileNotFoundError as error:
            raise StackError(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise StackError(f"`{' '.join(command)}` failed ({done.returncode}):\n{tail(log)}")


def read(command: Sequence[str], *, cwd: Path | None = None) -> str:
    """What a command prints.

    Raises:
        StackError: it failed, or does not exist; shows what it said.
    """
    try:
        done = subprocess.run(
            command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise StackError(f"{command[0]} is not installed") from error
    if done.returncode != 0:
        raise StackError(f"`{' '.join(command)}` failed ({done.returncode}):\n{done.stderr.strip()}")
    return done.stdout
