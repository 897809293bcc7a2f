"""A search reads little more than what it finds: by the spatial index, not everything."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from local.stack.postgres import PostgresServer
from tests.catalog_content import Scene, fill

SCENES = 5000
BOX = [20.0, 10.0, 24.0, 14.0]


class Explained:
    """A session that keeps PostgreSQL's own account (auto_explain) of what each search read."""

    def __init__(self, url: str, made: list[Scene]) -> None:
        self.made = made
        self._plans: list[dict[str, Any]] = []
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.add_notice_handler(self._notice)
        for setting in (
            "LOAD 'auto_explain'",
            "SET auto_explain.log_min_duration = 0",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_timing = off",
            "SET auto_explain.log_nested_statements = on",
            "SET auto_explain.log_format = json",
            "SET search_path = pgstac, public",
            "SET pgstac.readonly = true",
            # With random reads as dear as a disk's, tables as small as a test's are better read whole.
            "SET random_page_cost = 1.1",
        ):
            self.connection.execute(setting)

    def search(self, **search: Any) -> tuple[set[str], list[dict[str, Any]]]:
        """What it found, and the scans of items that found it."""
        self._plans.clear()
        self.connection.execute("SET client_min_messages = log")
        row = self.connection.execute("SELECT search(%s::jsonb)", [json.dumps(search)]).fetchone()
        self.connection.execute("SET client_min_messages = warning")
        assert row is not None
        return {feature["id"] for feature in row[0]["features"]}, list(self._scans(self._plans))

    def _scans(self, nodes: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for node in nodes:
            of_items = str(node.get("Relation Name", "")).startswith("_items_")
            if of_items and node["Node Type"].endswith("Scan"):
                yield node
            yield from self._scans(node.get("Plans", []))

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        _, found, text = (notice.message_primary or "").partition("plan:\n")
        if found:
            self._plans.append(json.loads(text)["Plan"])


@pytest.fixture(scope="module")
def explained(postgres_server: PostgresServer, catalog_template: str) -> Iterator[Explained]:
    url = postgres_server.create_database("plans", catalog_template)
    session = Explained(url, fill(url, SCENES))
    yield session
    session.connection.close()
    postgres_server.drop_database("plans")


def looked_at(scans: list[dict[str, Any]]) -> int:
    """Rows of items that were looked at, of use or not."""
    counts = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum(scan.get(name, 0) * scan.get("Actual Loops", 0) for scan in scans for name in counts)


def test_a_box_is_looked_up_in_the_spatial_index(explained: Explained) -> None:
    expected = {scene.id for scene in explained.made if scene.meets(*BOX)}
    found, scans = explained.search(bbox=BOX, limit=SCENES)
    assert found == expected
    assert 0 < len(expected) < SCENES / 50
    assert looked_at(scans) < 5 * len(expected) + 20


def test_without_the_spatial_index_everything_would_be_read(explained: Explained) -> None:
    with explained.connection.transaction(force_rollback=True):
        explained.connection.execute("DROP INDEX pgstac.geometry_idx")
        _, scans = explained.search(bbox=BOX, limit=SCENES)
    assert looked_at(scans) > SCENES / 2
