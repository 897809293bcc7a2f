"""Every command in the documents does what the document says, one after the other, on one running app."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from local.stack.postgres import PostgresServer
from tests.documents.markdown import RUN, blocks, documents
from tests.documents.reader import Reader, copy_checkout
from tests.fix_app import App, serving

pytestmark = pytest.mark.timeout(240)

FIRST = "docs/how-to/new-job-type.md"
"""Its commands change the code that the app is made of, which therefore starts after them."""
SETTINGS = {
    "CALLBACK_HOSTS": "hooks.example.org",
    "CALLBACK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    "ALLOW_DESTRUCTIVE_SCHEMA_OPERATIONS": "true",
}


def with_commands() -> list[str]:
    """Documents that have commands, the first one first."""
    found = [name for name in documents() if any(block.language in RUN for block in blocks(name))]
    return sorted(found, key=lambda name: (name != FIRST, name))


@pytest.fixture(scope="module")
def reader(
    postgres_server: PostgresServer, migrated_template: str, storage_connection_string: str
) -> Iterator[Reader]:
    """One reader of all documents."""
    folder = Path(tempfile.mkdtemp(prefix="documents-"))

    def serve(checkout: Path) -> AbstractContextManager[App]:
        return serving(
            postgres_server,
            migrated_template,
            storage_connection_string,
            folder,
            environment=SETTINGS,
            checkout=checkout,
        )

    one = Reader(copy_checkout(folder / "checkout"), folder, serve)
    yield one
    one.close()
    shutil.rmtree(folder, ignore_errors=True)


SLOW = {"docs/cli.md"}
"""Its commands start a process each; tests/integration/http/test_command_line.py has them without."""


@pytest.mark.parametrize(
    "document",
    [pytest.param(name, marks=[pytest.mark.chaos] if name in SLOW else []) for name in with_commands()],
)
def test_what_a_document_says_to_do_does_what_it_says(reader: Reader, document: str) -> None:
    reader.read(document)
