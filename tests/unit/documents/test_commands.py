"""No command of a document escapes the test that runs them without saying why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from local.reference.commands import not_run
from tests.documents.markdown import RUN, SHELLS, Block, blocks, documents
from tests.documents.shell import matches
from tests.fix_stack import CHECKOUT

REASONS = re.compile(
    r"needs (Azure|a Kubernetes cluster|Docker|a (role|database) of your own|Node\.js|root)"
    r"|never ends|takes (half a minute|minutes)|changes (this machine|the repository)"
)
"""What may keep a command from being run. Where a test does it instead, it is named."""
OPTIONS = {"notest", "needs", "fails"}
COMMAND = re.compile(
    r"^(\$ |\./|curl |python |pip |az |azd |func |npm |git |docker |kubectl |helm |sudo |psql )", re.MULTILINE
)

ALL = [block for document in documents() for block in blocks(document)]


def test_there_are_commands() -> None:
    assert sum(block.language in RUN for block in ALL) > 40


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.place)
def test_a_block_of_commands_is_run_or_says_why_not(block: Block) -> None:
    assert block.language not in SHELLS, f"{block.place}: call it bash"
    if block.language not in RUN:
        assert block.language or not COMMAND.search(block.text), f"{block.place}: commands without a language"
        return
    assert set(block.options) <= OPTIONS, f"{block.place}: known are {', '.join(sorted(OPTIONS))}"
    if "notest" in block.options:
        reason = block.options["notest"]
        assert REASONS.match(reason), f"{block.place}: {reason!r} is none of the reasons there are"
        for named in re.findall(r"(?:tests|\.ci)/[\w/.]+\w", reason):
            assert (CHECKOUT / named).exists(), f"{block.place}: there is no {named}"


DIAGRAMS = [block for block in ALL if block.language == "mermaid"]


@pytest.mark.parametrize("block", DIAGRAMS, ids=lambda block: block.place)
def test_a_diagram_has_no_sign_that_ends_a_statement_of_mermaid(block: Block) -> None:
    assert ";" not in block.text


def test_what_is_not_run_is_listed() -> None:
    listed = (CHECKOUT / "docs/reference/commands-not-run.md").read_text()
    for block in ALL:
        if "notest" in block.options:
            assert block.options["notest"].replace("|", "\\|") in listed
    assert listed == not_run(CHECKOUT)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ('{"a": 1}', '{"a":1}\n', True),
        ("b\nc", "a\nb\nc\nd", True),
        ('{"a": "…", "b": 2}', '{"a": "xyz", "b": 2}', True),
        ('{"a": 1}', '{"a":2}', False),
        ("a … c … b", "a b c", False),
    ],
)
def test_what_is_printed_is_compared(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same


def test_a_command_is_found_in_lists_with_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '# A\n\n1. One\n\n   ```bash notest="never ends"\n   ls\n   ```\n\n   ```text\n   x\n   ```\n'
    (tmp_path / "a.md").write_text(text)
    monkeypatch.setattr("tests.documents.markdown.CHECKOUT", tmp_path)
    [found, output] = blocks("a.md")
    assert (found.place, found.language, found.text) == ("a.md:5", "bash", "ls\n")
    assert (found.options, found.output, output.language) == ({"notest": "never ends"}, "x\n", "text")
