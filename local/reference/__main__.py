"""Makes the documents below `docs/reference` that are made of the code.

    python -m local.reference            writes what is not current
    python -m local.reference --check    names it, and fails if there is any

The page of tables is made of a throw-away PostgreSQL with all migrations, which takes some seconds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import psycopg
from psycopg.rows import dict_row

from local.stack.packages import ensure_postgres
from local.stack.paths import Paths
from local.stack.postgres import THROW_AWAY, PostgresServer, home_for_data, server_account
from local.stack.progress import Progress
from repositories import migrations

from . import tables
from .pages import FOLDER, TABLES, of_the_code


def main() -> int:
    """Write or check; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m local.reference", description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="name what is not current, write nothing")
    options = parser.parse_args()
    pages = {**of_the_code(), TABLES: of_the_database()}
    root = Paths().root
    stale = [name for name, text in pages.items() if not _is(root / FOLDER / name, text)]
    for name in stale:
        print(f"{FOLDER}/{name} {'is not current' if options.check else 'was written'}")
        if not options.check:
            (root / FOLDER / name).write_text(pages[name], encoding="utf-8")
    return 1 if stale and options.check else 0


def of_the_database() -> str:
    """The page of tables, of a database that is made for it."""
    installation = ensure_postgres(Paths(), Progress())
    with tempfile.TemporaryDirectory(prefix="reference-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = PostgresServer(
            installation, home_for_data(folder / "postgres", server_account()), THROW_AWAY
        )
        server.start()
        try:
            url = server.create_database("reference")
            with psycopg.connect(url, autocommit=True, row_factory=dict_row) as connection:
                migrations.migrate(connection)
                migrations.build_indexes(connection)
                return tables.document(connection)
        finally:
            server.stop()
            server.erase()


def _is(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
