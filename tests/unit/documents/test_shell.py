"""A document is read in one shell, and whatever fails in it is told with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack.ports import free_ports
from tests.documents.markdown import Block
from tests.documents.shell import BlockFailed, DocumentShell, shell_in


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[DocumentShell]:
    with shell_in(tmp_path, tmp_path / "shell", {}) as one:
        yield one


def run(shell: DocumentShell, text: str, language: str = "bash") -> str:
    return shell.run(Block("a.md", 7, language, {}, text), text)


def test_what_a_block_sets_is_there_for_the_next_one(shell: DocumentShell) -> None:
    assert run(shell, "A=1\nsay() { echo $A; }\n") == ""
    assert run(shell, "say\n") == "1\n"
    assert run(shell, "print(6 * 7)\n", "python") == "42\n"


@pytest.mark.parametrize(
    "text", ["false\necho not reached\n", "false | cat\n", "echo $UNSET\n", "exit 0\n", "curl -s {}\n"]
)
def test_a_command_that_fails_is_told_with_its_place(shell: DocumentShell, text: str) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}/"
    with pytest.raises(BlockFailed, match=r"a\.md:7: a command failed"):
        run(shell, text.format(nobody))


def test_a_program_that_fails_is_told_with_what_it_said(shell: DocumentShell) -> None:
    with pytest.raises(BlockFailed, match="ZeroDivisionError"):
        run(shell, "1 / 0\n", "python")
