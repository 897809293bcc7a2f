"""What the documents hold: commands, links, headings, as a parser of CommonMark reads them."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tests.fix_stack import CHECKOUT

RUN = ("bash", "python", "sql")
"""Fences in these languages are run, unless they say why not."""
SHELLS = ("sh", "shell", "console", "zsh")
"""Other names for commands, which no document uses: one name is enough."""
OUTPUT = ("text", "json", "csv")
"""A fence in one of these right after one that is run is what it prints."""


@dataclass(frozen=True)
class Block:
    """A fenced block. `line`: its first, from 1. Options follow the language: `notest="why"`."""

    document: str
    line: int
    language: str
    options: dict[str, str] = field(compare=False)
    text: str = field(compare=False)
    output: str | None = field(compare=False, default=None)

    @property
    def place(self) -> str:
        """Where it is, as a person looks it up."""
        return f"{self.document}:{self.line}"


@dataclass(frozen=True)
class Link:
    """Where a link or a picture of a document leads, as it is written."""

    document: str
    line: int
    target: str


@cache
def documents() -> tuple[str, ...]:
    """Every Markdown file of the repository, by its path from the checkout."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    found = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split()
    return tuple(sorted(name for name in found if (CHECKOUT / name).is_file()))


@cache
def tokens(document: str) -> tuple[Token, ...]:
    """The document as the parser reads it."""
    parser = MarkdownIt("commonmark").enable("table")
    return tuple(parser.parse((CHECKOUT / document).read_text(encoding="utf-8")))


def blocks(document: str) -> list[Block]:
    """The fenced blocks of a document, in order."""
    found = []
    all_tokens = tokens(document)
    for number, token in enumerate(all_tokens):
        if token.type != "fence":
            continue
        language, _, options = token.info.strip().partition(" ")
        following = all_tokens[number + 1] if number + 1 < len(all_tokens) else None
        output = following.content if following and _is_output(following) and language in RUN else None
        line = token.map[0] + 1 if token.map else 0
        found.append(Block(document, line, language, _options(options), token.content, output))
    return found


def links(document: str) -> Iterator[Link]:
    """Links and pictures of a document."""
    for token in tokens(document):
        for child in token.children or ():
            target = child.attrGet("href") if child.type == "link_open" else None
            target = child.attrGet("src") if child.type == "image" else target
            if target is not None:
                yield Link(document, token.map[0] + 1 if token.map else 0, str(target))


@cache
def anchors(document: str) -> frozenset[str]:
    """The fragments that lead to the headings of a document, as GitHub makes them."""
    found: dict[str, int] = {}
    all_tokens = tokens(document)
    for number, token in enumerate(all_tokens):
        if token.type == "heading_open":
            inline = all_tokens[number + 1]
            text = "".join(child.content for child in inline.children or ())
            slug = re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
            found[slug] = found.get(slug, -1) + 1
            if found[slug]:
                found[f"{slug}-{found[slug]}"] = 0
    return frozenset(found)


def _is_output(token: Token) -> bool:
    return token.type == "fence" and token.info.strip() in OUTPUT


def _options(text: str) -> dict[str, str]:
    pairs = (word.partition("=") for word in shlex.split(text))
    return {name: value for name, _, value in pairs}


def resolved(document: str, path: str) -> Path:
    """The file that a relative link of this document names."""
    return (CHECKOUT / document).parent / path
