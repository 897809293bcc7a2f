"""A reader of the documents: in a copy of the checkout, on one app, every command in its order."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.documents.given import give_files
from tests.documents.markdown import RUN, Block, blocks
from tests.documents.shell import BlockFailed, DocumentShell, matches, shell_in
from tests.fix_app import App, until
from tests.fix_stack import CHECKOUT

PRINTED_URL = "http://127.0.0.1:7071"
"""The app's address in the documents; the test's own takes its place."""
ASKS_THE_APP = re.compile(r"127\.0\.0\.1:7071|\$APP|-m cli|run\.json|7071|psycopg")
AFTER = {
    "docs/stac-collections.md": "docs/stac.md",
    "docs/stac-api.md": "docs/stac.md",
    "docs/features-api.md": "docs/vectors.md",
}
"""What a document takes for granted that another one has made."""
LIVE = "SELECT count(*) AS n FROM app.jobs WHERE status IN ('queued', 'processing', 'cancelling')"
FAILED = "SELECT job_id, run, job_type, error FROM app.jobs WHERE status = 'failed'"
ALL_END_SECONDS = 60

Serve = Callable[[Path], AbstractContextManager[App]]
"""Serves the app of a checkout."""


@dataclass
class Reader:
    """Reads documents to their end; each once, and before it what it takes for granted."""

    checkout: Path
    folder: Path
    serve: Serve
    _running: ExitStack = field(default_factory=ExitStack)
    _app: App | None = None
    _read: dict[str, Exception | None] = field(default_factory=dict)
    _known_failures: set[tuple[str, int]] = field(default_factory=set)

    def read(self, document: str) -> None:
        """Run every command of a document. Raises `BlockFailed` for the first that does not do as it says."""
        if document not in self._read:
            if document in AFTER:
                self.read(AFTER[document])
            self._read[document] = None
            try:
                self._run(document)
            except Exception as error:
                self._read[document] = error
                raise
        if before := self._read[document]:
            raise before

    def close(self) -> None:
        """End the app."""
        self._running.close()

    def _run(self, document: str) -> None:
        to_run = [block for block in blocks(document) if block.language in RUN]
        to_run = [block for block in to_run if "notest" not in block.options]
        missing = [block for block in to_run if not _can_run(block)]
        for block in missing:
            warnings.warn(f"{block.place} was not run: {block.options['needs']} is missing", stacklevel=1)
        with shell_in(self.checkout, self.folder / document.replace("/", "-"), {}) as shell:
            for block in to_run:
                if block not in missing:
                    self._run_block(shell, block)

    def _run_block(self, shell: DocumentShell, block: Block) -> None:
        text, output = block.text, block.output
        if block.language == "sql" or ASKS_THE_APP.search(text):
            app = self._started()
            text = _at(app.url, block)
            output = output and output.replace(PRINTED_URL, app.url)
        printed = shell.run(block, text)
        if output is not None and not matches(output, printed):
            raise BlockFailed(block, "it printed something else", printed)
        if self._app is not None:
            self._all_end(self._app, block)

    def _started(self) -> App:
        """The app; started when a document first asks it, so that what was written before is in it."""
        if self._app is None:
            self._app = self._running.enter_context(self.serve(self.checkout))
            facts = {
                "url": self._app.url,
                "database_url": self._app.database_url,
                "storage_connection_string": self._app.storage,
            }
            (self.checkout / ".local/run.json").write_text(json.dumps(facts))
            give_files(self._app.storage)
        return self._app

    def _all_end(self, app: App, block: Block) -> None:
        """Wait for the jobs of a block, of which none may fail unless the document says so."""
        until(lambda: app.rows(LIVE)[0]["n"] == 0, ALL_END_SECONDS, app.tail)
        failed = {(row["job_id"], row["run"]): row for row in app.rows(FAILED)}
        new = [row for key, row in failed.items() if key not in self._known_failures]
        self._known_failures |= set(failed)
        if new and "fails" not in block.options:
            raise BlockFailed(block, "a job of it failed", json.dumps(new, indent=1))
        if not new and "fails" in block.options:
            raise BlockFailed(block, "no job of it failed", "")


def _can_run(block: Block) -> bool:
    """Whether the program is there that a block needs besides those that every reader has."""
    needed = block.options.get("needs")
    return needed is None or shutil.which(needed) is not None


def _at(url: str, block: Block) -> str:
    """The text of a block for the app at this address, which the command line is told by its variable."""
    text = block.text.replace(PRINTED_URL, url)
    return f"export ORCHESTRATOR_URL={url}\n{text}" if block.language == "bash" else text


def copy_checkout(target: Path) -> Path:
    """What a person has who cloned the repository and started `./run` once; returns its folder."""
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=CHECKOUT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        # The page's sources and pictures take as long to copy as all the rest, and no command reads them.
        if (CHECKOUT / name).is_file() and not name.startswith(("web/src", "docs/benchmarks")):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(CHECKOUT / name, target / name)
            shutil.copymode(CHECKOUT / name, target / name)
    (target / ".venv").symlink_to(CHECKOUT / ".venv")
    (target / ".local").mkdir()
    (target / ".local/downloads").symlink_to(CHECKOUT / ".local/downloads")
    return target
