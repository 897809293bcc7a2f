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
    """The pieces of one published table, in a transaction of its caller's.

    Views are made, and filled, beside the staging table: nobody reads them there, and nobody waits.
    """

    def __init__(self, connection: Connection, plan: TablePlan, *staging: str) -> None:
        """`staging` are the schema and the name of the staging table."""
        self._connection = connection
        self._plan = plan
        self._staging = staging
        self._sql = queries("feature_tables")
        self._made: Parts | None = None

    def drop(self) -> None:
        """Before the table is dropped: its view depends on it."""
        registered = self._registered()
        if registered is not None and registered["there"]:
            self._execute("drop_parts", view=self._identifier(registered["parts"]))

    def make(self, source: sql.Identifier) -> None:
        """Make the view of a table that is new, or soon will be, where one is asked for."""
        plan = self._plan
        if plan.subdivide is not None:
            self._make(source, plan.subdivide, plan.key or [plan.generated_key], plan.geometry_type)

    def discard(self) -> None:
        """The staging table is not going to be the table: its view must not keep it from being dropped."""
        if self._made is not None:
            self._execute("drop_parts", view=self._new(self._staging[0]))
            self._made = None

    def publish(self) -> Parts | None:
        """Put what was made beside the table, which is there now, and whose readers may read it too."""
        if self._made is None:
            return None
        schema, _ = self._staging
        self._execute(
            "set_schema", staging=self._new(schema), schema=sql.Identifier(self._plan.target_schema)
        )
        moved = self._new(self._plan.target_schema)
        self._execute("rename", staging=moved, name=sql.Identifier(self._made.view))
        for end in ("_key", f"_{self._plan.geometry_column}_idx"):
            index = self._identifier(fitting(self._staging[1], f"{END}{end}"))
            self._execute("rename", staging=index, name=sql.Identifier(fitting(self._made.view, end)))
        table = self._identifier(self._plan.target_table)
        names = {"from": table.as_string(), "to": self._identifier(self._made.view).as_string()}
        self._connection.execute(self._sql["copy_grants_of_table"], names)
        return self._made

    def renew(self) -> Parts | None:
        """Of a table that was added to: the view that is asked for, or what is there brought up to date."""
        registered = self._registered()
        table = self._identifier(self._plan.target_table)
        if registered is None:
            # Somebody else's table: of its key, the load says what is known.
            self.make(table)
            return self.publish()
        there = registered["there"]
        wanted = self._plan.subdivide or (registered["parts_vertices"] if there else None)
        if wanted is None:
            return None
        if there and registered["parts_vertices"] == wanted:
            self._execute("refresh_parts", view=self._identifier(registered["parts"]))
            view = self._identifier(registered["parts"])
            return self._measured(view, registered["parts"], wanted)
        self._make(table, wanted, registered["key"], registered["geometry_type"])
        self.drop()
        return self.publish()

    def _registered(self) -> dict[str, Any] | None:
        """What is known of the table, and of the view that an earlier load made."""
        place = {"schema": self._plan.target_schema, "table": self._plan.target_table}
        return self._connection.execute(self._sql["registered_parts"], place).fetchone()

    def _make(self, source: sql.Identifier, vertices: int, key: Sequence[str], geometry_type: str) -> None:
        plan = self._plan
        name = fitting(plan.target_table, END)
        # No column of a file begins with an underscore and a letter.
        part = sql.Identifier("part" if "part" not in key else "_part")
        base = geometry_type.removesuffix("M").removesuffix("Z").removeprefix("Multi")
        kind = sql.Identifier(PIECES.get(base, "Geometry"))
        view, geometry = self._new(self._staging[0]), sql.Identifier(plan.geometry_column)
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
        unique = sql.Identifier(fitting(self._staging[1], f"{END}_key"))
        self._execute("create_parts_key", index=unique, view=view, key=keys, part=part)
        index = sql.Identifier(fitting(self._staging[1], f"{END}_{plan.geometry_column}_idx"))
        self._execute("create_spatial_index", index=index, staging=view, geometry=geometry)
        self._made = self._measured(view, name, vertices)

    def _measured(self, view: sql.Identifier, name: str, vertices: int) -> Parts:
        self._execute("analyze", table=view)
        count = sql.SQL(self._sql["staged_rows"]).format(staging=view)
        return Parts(view=name, rows=first_row(self._connection, count)["rows"], max_vertices=vertices)

    def _new(self, schema: str) -> sql.Identifier:
        """The view that was made, in a schema, before it has its name."""
        return sql.Identifier(schema, f"{self._staging[1]}{END}")

    def _identifier(self, name: str) -> sql.Identifier:
        return sql.Identifier(self._plan.target_schema, name)

    def _execute(self, query: str, **parts: sql.Composable) -> None:
        self._connection.execute(sql.SQL(self._sql[query]).format(**parts))
