"""Databases as the previous release left them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from .previous_release import OldWorker, build, unpack


@pytest.fixture(scope="session")
def previous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The SQL of the previous release."""
    return unpack(tmp_path_factory.mktemp("previous"))


@pytest.fixture
def previous_url(empty_database_url: str, previous: Path) -> str:
    """A database with its schema."""
    with psycopg.connect(empty_database_url, autocommit=True, row_factory=dict_row) as connection:
        build(connection, previous)
    return empty_database_url


@pytest.fixture
def old(previous_url: str, previous: Path) -> Iterator[OldWorker]:
    """A worker of it on that database."""
    worker = OldWorker(previous_url, previous)
    yield worker
    worker.connection.close()
