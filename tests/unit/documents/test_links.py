"""Whatever the documents point at is there: files, headings, pictures, tests."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from urllib.parse import unquote

import pytest

from tests.chaos.crash_points import BY_NAME
from tests.documents.markdown import anchors, documents, links, resolved, tokens
from tests.fix_stack import CHECKOUT

PATH = re.compile(
    r"^(?:docs|tests|sql|infra|bench|engine|interfaces|services|repositories|local|web)/[\w./-]+$"
)
TEST = re.compile(r"^(tests/[\w/]+\.py)::(\w+)$")
LONGEST_README = 200


def code_of(document: str) -> Iterator[tuple[int, str]]:
    """Pieces of code within the text of a document, with their lines."""
    for token in tokens(document):
        for child in token.children or ():
            if child.type == "code_inline":
                yield token.map[0] + 1 if token.map else 0, child.content


@cache
def names_of_tests(file: str) -> frozenset[str]:
    tree = ast.parse((CHECKOUT / file).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("document", documents())
def test_every_relative_link_leads_to_a_file_and_to_a_heading_in_it(document: str) -> None:
    wrong = []
    for link in links(document):
        if re.match(r"[a-z]+:", link.target):
            continue
        path, _, anchor = unquote(link.target).partition("#")
        file = resolved(document, path) if path else CHECKOUT / document
        if not file.exists():
            wrong.append(f"{link.document}:{link.line}: {link.target} is not there")
        elif anchor and file.suffix == ".md" and file.exists():
            name = str(file.resolve().relative_to(CHECKOUT))
            if anchor not in anchors(name):
                wrong.append(f"{link.document}:{link.line}: no heading of {name} is #{anchor}")
    assert wrong == []


@pytest.mark.parametrize("document", documents())
def test_every_file_and_test_that_is_named_is_there(document: str) -> None:
    wrong = []
    for line, text in code_of(document):
        if found := TEST.match(text):
            file, name = found.groups()
            if not (CHECKOUT / file).is_file() or name not in names_of_tests(file):
                wrong.append(f"{document}:{line}: there is no {text}")
        elif PATH.match(text) and "NNNN" not in text and not (CHECKOUT / text).exists():
            wrong.append(f"{document}:{line}: there is no {text}")
    assert wrong == []


def test_every_crash_point_that_is_named_is_one() -> None:
    text = " ".join((CHECKOUT / "docs/explanation/failures.md").read_text().split())
    named = re.findall(r"crash point \*([^*]+)\*", text)
    assert len(named) >= 5
    assert set(named) - set(BY_NAME) == set()


def test_every_document_is_reached_from_the_first_page() -> None:
    reached: set[str] = set()
    waiting = ["README.md"]
    while waiting:
        document = waiting.pop()
        reached.add(document)
        for link in links(document):
            path = link.target.partition("#")[0]
            if path.endswith(".md") and ":" not in path:
                name = str(resolved(document, path).resolve().relative_to(CHECKOUT))
                if name not in reached and (CHECKOUT / name).is_file():
                    waiting.append(name)
    assert {name for name in documents() if name.startswith("docs/")} - reached == set()


def test_the_first_page_is_short() -> None:
    assert len((CHECKOUT / "README.md").read_text().splitlines()) < LONGEST_README


def test_every_decision_is_in_the_list_with_its_title() -> None:
    listed = " ".join((CHECKOUT / "docs/adr/README.md").read_text().split())
    for file in sorted((CHECKOUT / "docs/adr").glob("0*.md")):
        title = file.read_text().splitlines()[0].partition(". ")[2]
        assert f"* {file.name[:4]} [{title}]({file.name})" in listed
