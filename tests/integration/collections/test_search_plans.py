"""A search by box reads what lies in the box: PostgreSQL's own account of what pgstac's search reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from local.stack.postgres import PostgresServer

IN_THE_BOX = 25
FILL = """
INSERT INTO collections (content) VALUES ('{"id": "scenes", "type": "Collection", "stac_version": "1.1.0"}');
SELECT create_items(jsonb_agg(jsonb_build_object(
    'id', 'item-' || n, 'collection', 'scenes', 'type', 'Feature',
    'geometry', jsonb_build_object('type', 'Point',
        'coordinates', jsonb_build_array(n % 200 * 0.5, n / 200 * 0.5)),
    'properties', jsonb_build_object('datetime', timestamptz '2024-01-01Z' + n * interval '1 minute'),
    'links', '[]'::jsonb, 'assets', '{}'::jsonb)))
FROM generate_series(0, 4999) n;
ANALYZE;
"""
BOX = {"bbox": [9.9, 9.9, 12.1, 12.1], "limit": 100}
SEARCHES = (BOX, {**BOX, "collections": ["scenes"]})
"""Across the catalog, and in a collection."""


class Searches:
    """A session in which searches say which indexes of items they used, and how many rows they looked at."""

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        self.connection.add_notice_handler(self._notice)
        self._nodes: list[dict[str, Any]] = []
        for setting in (
            "SET search_path = pgstac, public",
            "LOAD 'auto_explain'",
            "SET auto_explain.log_min_duration = 0",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_timing = off",
            "SET auto_explain.log_nested_statements = on",
            "SET auto_explain.log_format = json",
        ):
            self.connection.execute(setting)

    def search(self, **search: Any) -> int:
        """How many items were found."""
        self._nodes.clear()
        with self.connection.transaction():
            self.connection.execute("SET LOCAL client_min_messages = log")
            answer = self.connection.execute("SELECT search(%s)", [json.dumps(search)]).fetchone()
        assert answer is not None
        return len(answer[0]["features"])

    def indexes(self) -> set[str]:
        """Definitions of the indexes that the last search used, from their method on."""
        names = [node["Index Name"] for node in self._nodes if "Index Name" in node]
        rows = self.connection.execute("SELECT indexdef FROM pg_indexes WHERE indexname = ANY(%s)", [names])
        return {definition.partition(" USING ")[2] for (definition,) in rows.fetchall()}

    def rows(self) -> int:
        """Items that the last search looked at."""
        return sum(
            (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
            for node in self._nodes
            # pgstac also asks for plans that it does not carry out.
            if node.get("Relation Name", "").startswith("_items_") and "Actual Rows" in node
        )

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        _, found, text = (notice.message_primary or "").partition("plan:\n")
        if found:
            self._add(json.loads(text)["Plan"])

    def _add(self, node: dict[str, Any]) -> None:
        self._nodes.append(node)
        for child in node.get("Plans", []):
            self._add(child)


@pytest.fixture(scope="module")
def searches(postgres_server: PostgresServer, catalog_template: str) -> Iterator[Searches]:
    """On 5,000 items, half a degree apart."""
    url = postgres_server.create_database("search_plans", catalog_template)
    with psycopg.connect(url, options="-csearch_path=pgstac,public") as connection:
        connection.execute(FILL)
    made = Searches(url)
    yield made
    made.connection.close()
    postgres_server.drop_database("search_plans")


def test_a_search_by_box_uses_the_spatial_index_and_reads_what_is_in_the_box(searches: Searches) -> None:
    for search in SEARCHES:
        assert searches.search(**search) == IN_THE_BOX
        assert "gist (geometry)" in searches.indexes()
        assert searches.rows() <= 4 * IN_THE_BOX


def test_without_the_spatial_index_it_reads_far_more(searches: Searches) -> None:
    with searches.connection.transaction(force_rollback=True):
        searches.connection.execute("DROP INDEX pgstac.geometry_idx")
        for search in SEARCHES:
            assert searches.search(**search) == IN_THE_BOX
            assert "gist (geometry)" not in searches.indexes()
            # The test above fails then.
            assert searches.rows() > 4 * IN_THE_BOX
