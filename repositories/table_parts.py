"""Beside a table of large geometries, a materialized view of them in pieces, of which an index finds a few.

A view and not a table: it is made of the table alone, so that it can be made anew whenever rows were added,
and needs no account of which pieces belong to which row. Its pieces are flat: an index asks for x and y.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from interfaces.layers import Parts, TablePlan
from interfaces.vectors import fitting

from .connection import Connection
from .sql_files import queries
from .table_names import first_row

END = "_parts"
PIECES = {"LineString": "LineString", "Polygon": "Polygon"}
"""What geometries of such columns are in pieces, single or multi; of others, anything."""


class TableParts:
    """The pieces of one published table, in a transaction of its caller's."""

    def __init__(self, connection: Connection, plan: TablePlan) -> None:
        self._connection = connection
        self._plan = plan
        self._sql = queries("feature_tables")

    def drop(self) -> None:
        """Before the table is dropped: its view depends on it."""
        registered = self._registered()
        if registered is not None and registered["there"]:
            self._execute("drop_parts", view=self._identifier(registered["parts"]))

    def make(self) -> Parts | None:
        """Make the view of a table that is new; None where none is asked for."""
        plan = self._plan
        if plan.subdivide is None:
            return None
        return self._made(plan.subdivide, plan.key or [plan.generated_key], plan.geometry_type)

    def renew(self) -> Parts | None:
        """Of a table that was added to: the view that is asked for, or what is there brought up to date."""
        registered = self._registered()
        if registered is None:
            # Somebody else's table: of its key, the load says what is known.
            return self.make()
        there = registered["there"]
        wanted = self._plan.subdivide or (registered["parts_vertices"] if there else None)
        if wanted is None:
            return None
        if there and registered["parts_vertices"] == wanted:
            self._execute("refresh_parts", view=self._identifier(registered["parts"]))
            return self._measured(registered["parts"], wanted)
        self.drop()
        return self._made(wanted, registered["key"], registered["geometry_type"])

    def _registered(self) -> dict[str, Any] | None:
        """What is known of the table, and of the view that an earlier load made."""
        place = {"schema": self._plan.target_schema, "table": self._plan.target_table}
        return self._connection.execute(self._sql["registered_parts"], place).fetchone()

    def _made(self, vertices: int, key: Sequence[str], geometry_type: str) -> Parts:
        plan = self._plan
        name = fitting(plan.target_table, END)
        # No column of a file begins with an underscore and a letter.
        part = sql.Identifier("part" if "part" not in key else "_part")
        base = geometry_type.removesuffix("M").removesuffix("Z").removeprefix("Multi")
        kind = sql.Identifier(PIECES.get(base, "Geometry"))
        view, geometry = self._identifier(name), sql.Identifier(plan.geometry_column)
        source = self._identifier(plan.target_table)
        self._execute(
            "create_parts",
            view=view,
            key=sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(one)) for one in key),
            part=part,
            geometry=geometry,
            type=sql.SQL("geometry({}, {})").format(kind, sql.Literal(plan.srid)),
            table=source,
            vertices=sql.Literal(vertices),
        )
        keys = sql.SQL(", ").join(map(sql.Identifier, key))
        unique = sql.Identifier(fitting(name, "_key"))
        self._execute("create_parts_key", index=unique, view=view, key=keys, part=part)
        index = sql.Identifier(fitting(name, f"_{plan.geometry_column}_idx"))
        self._execute("create_spatial_index", index=index, staging=view, geometry=geometry)
        names = {"from": source.as_string(), "to": view.as_string()}
        self._connection.execute(self._sql["copy_grants_of_table"], names)
        return self._measured(name, vertices)

    def _measured(self, name: str, vertices: int) -> Parts:
        self._execute("analyze", table=self._identifier(name))
        count = sql.SQL(self._sql["staged_rows"]).format(staging=self._identifier(name))
        return Parts(view=name, rows=first_row(self._connection, count)["rows"], max_vertices=vertices)

    def _identifier(self, name: str) -> sql.Identifier:
        return sql.Identifier(self._plan.target_schema, name)

    def _execute(self, query: str, **parts: sql.Composable) -> None:
        self._connection.execute(sql.SQL(self._sql[query]).format(**parts))
