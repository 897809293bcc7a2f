"""Commands of the documents that no test runs, and why."""

from __future__ import annotations

import re
from pathlib import Path

from .markdown import table

HEAD = """# Commands that are not run

All other commands in these documents are run by `tests/acceptance/test_documents.py`. Made of the documents
themselves.
"""
FENCE = re.compile(r'^ *```(bash|python|sql) notest="([^"]+)"\n *(.*)$', re.MULTILINE)


def not_run(root: Path) -> str:
    """The page."""
    rows = [
        (f"[{file.relative_to(root)}]({_link(file, root)})", f"`{first.strip()}`", reason)
        for file in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
        for _, reason, first in FENCE.findall(file.read_text(encoding="utf-8"))
    ]
    return f"{HEAD}\n{table(('document', 'begins with', 'why not'), rows)}\n"


def _link(file: Path, root: Path) -> str:
    inside = file.relative_to(root)
    return f"../../{inside}" if inside.parts[0] != "docs" else f"../{inside.relative_to('docs')}"
