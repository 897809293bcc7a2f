"""What a statement read: PostgreSQL's own account (auto_explain), of statements inside functions too."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, LiteralString

import psycopg


@dataclass
class Reading:
    """What one call read of the tables, in all of its statements."""

    returned: int = 0
    rows: int = 0
    """Rows looked at, whether or not they were of use, and one for each look."""
    by_scan: dict[str, int] = field(default_factory=dict)
    """The same for each kind of scan of each table, for the message of a test that fails."""

    def add(self, node: dict[str, Any], *, bitmap_counts: bool = False) -> None:
        """Count a node of a plan and those below it.

        Of a bitmap the rows count that it leads to: its entries may be of rows that earlier calls took back.
        But one of several that are laid over each other may be long, and lead to little.
        """
        read_from = node.get("Relation Name") or (bitmap_counts and node.get("Index Name"))
        if read_from and node["Node Type"].endswith("Scan"):
            # Both are averages over the loops, rounded: a loop counts even where it found nothing.
            removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
            looked_at = (node["Actual Rows"] + removed + 1) * node["Actual Loops"]
            scan = f"{node['Node Type']} {read_from} {node.get('Index Name', '')}".strip()
            self.rows += looked_at
            self.by_scan[scan] = self.by_scan.get(scan, 0) + looked_at
        for child in node.get("Plans", []):
            self.add(child, bitmap_counts=node["Node Type"] == "BitmapAnd")


class Explained:
    """A session that says of each call what it read, and takes back what the call did.

    Functions keep their plans: custom ones are made for the values of each call, as in a fresh session,
    generic ones for any values, as in one that is old.
    """

    def __init__(self, connection: psycopg.Connection[Any], *, generic_plans: bool = False) -> None:
        self._connection = connection
        self._reading = Reading()
        connection.add_notice_handler(self._notice)
        for setting in (
            "LOAD 'auto_explain'",
            "SET auto_explain.log_min_duration = 0",
            "SET auto_explain.log_analyze = on",
            "SET auto_explain.log_timing = off",
            "SET auto_explain.log_nested_statements = on",
            "SET auto_explain.log_format = json",
            # With random reads as dear as a disk's, tables as small as a test's are better read whole.
            "SET random_page_cost = 1.1",
            f"SET plan_cache_mode = {'force_generic_plan' if generic_plans else 'force_custom_plan'}",
        ):
            connection.execute(setting)

    def call(
        self, query: LiteralString, parameters: dict[str, Any], prepare: tuple[str, ...] = ()
    ) -> Reading:
        """What a call reads after some statements that prepare its scene."""
        with self._connection.transaction(force_rollback=True):
            for statement in prepare:
                self._connection.execute(statement, parameters)
            self._reading = Reading()
            self._connection.execute("SET LOCAL client_min_messages = log")
            self._reading.returned = len(self._connection.execute(query, parameters).fetchall())
            return self._reading

    def call_without(
        self, index: str, query: LiteralString, parameters: dict[str, Any], prepare: tuple[str, ...] = ()
    ) -> Reading:
        """The same without an index of the schema."""
        return self.call(query, parameters, (*prepare, f'DROP INDEX app."{index}"'))

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        _, found, text = (notice.message_primary or "").partition("plan:\n")
        if found:
            self._reading.add(json.loads(text)["Plan"])
