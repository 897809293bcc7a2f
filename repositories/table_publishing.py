"""The transaction that makes a staging table what readers see.

services/vector/publishing.py explains the order of its statements.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from psycopg import sql

from interfaces.errors import PermanentTaskError
from interfaces.layers import ChunkCounts, Kind, KindTable, LoadedTable, Owner, TablePlan
from interfaces.vectors import fitting

from .beside import Hands
from .connection import Connection
from .sql_files import queries
from .table_targets import CHUNK, STAGING, Measured, Target, measure, take

NONE: Kind = "none"
KINDS: dict[Kind, list[str]] = {
    "point": ["ST_Point", "ST_MultiPoint"],
    "line": ["ST_LineString", "ST_MultiLineString"],
    "polygon": ["ST_Polygon", "ST_MultiPolygon"],
    "collection": ["ST_GeometryCollection"],
}
"""What ST_GeometryType says of the geometries that go into the table of a kind."""

MANY_FEATURES = 100_000
"""Of a table whose key and index are made at the same time: for fewer it is not worth a connection."""
SUBDIVIDED = ("line", "polygon", "collection")


@dataclass(frozen=True)
class _Part:
    """One table of a layer that is split."""

    kind: KindTable
    target: Target
    rows: int


class Publication:
    """One publication; its caller ends the transaction, and holds the task."""

    def __init__(
        self,
        connection: Connection,
        staging: str,
        owner: Owner,
        counts: dict[int, ChunkCounts],
        hands: Hands,
    ) -> None:
        """`hands` help where a table that is committed needs more than one thing."""
        self._connection = connection
        self._hands = hands
        self._staging = staging
        self._owner = owner
        self._counts = counts
        self._sql = queries("feature_tables")
        self._table = sql.Identifier(STAGING, staging)

    def carry_out(self) -> list[LoadedTable]:
        """Publish all tables of a load, or answer what was published of this very staging table.

        Raises `PermanentTaskError` with the reason why it cannot be.
        """
        row = self._connection.execute(self._sql["lock_staging"], {"name": self._staging}).fetchone()
        if row is None:
            return self._published_before()
        plan = TablePlan.model_validate(row["plan"])
        self._check_counts(plan)
        rejected = sum(one.rejected for one in self._counts.values())
        loaded = sum(one.loaded for one in self._counts.values())
        if plan.kinds:
            self._check_rows(measure(self._connection, self._table, plan.geometry_column), loaded)
            done = self._split(plan, loaded, rejected)
        else:
            target = Target(self._connection, self._staging, plan, self._owner, load=self._staging)
            many = plan.features >= MANY_FEATURES
            self._check_rows(target.prepare(self._hands if many else None), loaded)
            done = [target.publish(loaded, rejected)]
        self._connection.execute(self._sql["forget_staging"], {"name": self._staging})
        return done

    def _split(self, plan: TablePlan, loaded: int, rejected: int) -> list[LoadedTable]:
        """A table for each kind of geometry; every row that was loaded is in one of them.

        One that replaces the layer empties the tables of other kinds that an earlier load left; by an upsert
        each feature leaves the tables of the kinds that it was of.
        """
        kinds = {fitting(plan.target_table, f"_{kind}"): kind for kind in (*KINDS, NONE)}
        made = [part for kind in plan.kinds if (part := self._prepared(plan, kind, keep=kind.kind in KINDS))]
        # In the order of their names, so that no two publishers wait for each other.
        for table in sorted(kinds):
            self._connection.execute(self._sql["lock_target"], {"schema": plan.target_schema, "table": table})
        known = self._known(plan, [*kinds]) if plan.if_exists in ("replace", "upsert") else {}
        own = {one.table for one in plan.kinds}
        others = [
            KindTable(kind=kinds[table], table=table, geometry_type=row["geometry_type"])
            for table, row in known.items()
            if table not in own
        ]
        if plan.if_exists == "upsert":
            left = [
                table
                for table, row in known.items()
                if row["key"] == plan.key and self._leave(plan, table, kinds[table])
            ]
            others = [one for one in others if one.table in left]
        made += [part for kind in others if (part := self._prepared(plan, kind, keep=True))]
        made.sort(key=lambda one: one.kind.table)
        if plan.if_exists == "replace":
            there_now = [one.target for one in made if one.target.is_there()]
            if there_now:
                # While one waits for readers, those of the others go on reading.
                names = [one.name for one in there_now]
                take(self._connection, names, [one.drop_parts for one in there_now])
        done = [one.target.publish(one.rows, rejected) for one in made]
        there = sum(one.loaded for one in done)
        if there != loaded:
            raise PermanentTaskError(
                f"of {loaded} features, {there} are of kinds that have tables: nothing is published"
            )
        self._connection.execute(sql.SQL(self._sql["drop_table"]).format(table=self._table))
        return done

    def _prepared(self, plan: TablePlan, kind: KindTable, *, keep: bool) -> _Part | None:
        """The table of one kind, with all but its name; None where it has no rows and need not be kept."""
        staging = f"{self._staging}_{kind.kind}"
        part = plan.model_copy(
            update={
                "target_table": kind.table,
                "geometry_type": kind.geometry_type,
                "kinds": [],
                "subdivide": plan.subdivide if kind.kind in SUBDIVIDED else None,
            }
        )
        rows = self._part(staging, part, kind)
        if not rows and not keep:
            drop = sql.SQL(self._sql["drop_table"])
            self._connection.execute(drop.format(table=sql.Identifier(STAGING, staging)))
            return None
        target = Target(self._connection, staging, part, self._owner, load=self._staging)
        target.prepare()
        return _Part(kind, target, rows)

    def _known(self, plan: TablePlan, tables: list[str]) -> dict[str, dict[str, Any]]:
        """Of these tables those that earlier loads made of the same layer, with their types and keys."""
        place = {"schema": plan.target_schema, "title": plan.original, "tables": tables}
        rows = self._connection.execute(self._sql["tables_of_layer"], place).fetchall()
        return {row["target_table"]: row for row in rows}

    def _leave(self, plan: TablePlan, table: str, kind: Kind) -> bool:
        """Delete from a table of one kind what is now of another; answers whether there was any."""
        same = [sql.SQL("t.{0} = s.{0}").format(sql.Identifier(name)) for name in plan.key]
        delete = sql.SQL(self._sql["delete_of_other_kind"]).format(
            target=sql.Identifier(plan.target_schema, table),
            staging=self._table,
            same=sql.SQL(" AND ").join(same),
            geometry=sql.Identifier(plan.geometry_column),
        )
        return self._connection.execute(delete, {"types": KINDS.get(kind)}).rowcount > 0

    def _part(self, staging: str, plan: TablePlan, kind: KindTable) -> int:
        """A staging table of one kind; answers how many rows it has."""
        part, geometry = sql.Identifier(STAGING, staging), sql.Identifier(plan.geometry_column)
        create = sql.SQL(self._sql["create_part"]).format(part=part, staging=self._table)
        self._connection.execute(create)
        retype = sql.SQL(self._sql["type_part"]).format(
            part=part, geometry=geometry, type=geometry_column(plan)
        )
        self._connection.execute(retype)
        key = [plan.generated_key] if plan.numbered else []
        names = [CHUNK, plan.geometry_column, *key, *(column.name for column in plan.columns)]
        query = "fill_part" if kind.kind in KINDS else "fill_part_without"
        fill = sql.SQL(self._sql[query]).format(
            part=part,
            staging=self._table,
            geometry=geometry,
            columns=sql.SQL(", ").join(map(sql.Identifier, names)),
        )
        return self._connection.execute(fill, {"types": KINDS.get(kind.kind)}).rowcount

    def _published_before(self) -> list[LoadedTable]:
        rows = self._connection.execute(self._sql["load_of"], {"name": self._staging}).fetchall()
        if not rows:
            raise PermanentTaskError("the staging table is gone: it was cleared; run the job again")
        return [LoadedTable.model_validate(row["result"]) for row in rows]

    def _check_counts(self, plan: TablePlan) -> None:
        """What was found, what the tasks counted and what they noted with their rows must be the same."""
        rows = self._connection.execute(self._sql["chunks"], {"name": self._staging}).fetchall()
        noted = {row["chunk"]: (row["loaded"], row["rejected"]) for row in rows}
        counted = {chunk: (one.loaded, one.rejected) for chunk, one in self._counts.items()}
        if len(counted) != plan.chunks:
            missing = plan.chunks - len(counted)
            raise PermanentTaskError(f"{missing} of {plan.chunks} chunks failed: nothing is published")
        loaded = sum(one.loaded for one in self._counts.values())
        if noted != counted:
            there = sum(loaded for loaded, _ in noted.values())
            raise PermanentTaskError(
                f"{there} rows in {len(noted)} chunks are noted, and the tasks loaded {loaded} rows in "
                f"{len(counted)}: nothing is published"
            )
        wrong = [one for one in self._counts.values() if one.read != one.loaded + one.rejected]
        if wrong or sum(one.read for one in self._counts.values()) != plan.features:
            raise PermanentTaskError(
                f"{plan.features} features were found, {loaded} loaded and "
                f"{sum(one.rejected for one in self._counts.values())} rejected: nothing is published"
            )

    def _check_rows(self, there: Measured, loaded: int) -> None:
        """And so is what is there."""
        if there.rows != loaded:
            raise PermanentTaskError(
                f"the staging table has {there.rows} rows, and the tasks loaded {loaded}: nothing is "
                "published"
            )


def geometry_column(plan: TablePlan) -> sql.Composed:
    """The type of a table's geometry column, with its SRID."""
    kind = plan.geometry_type
    if not kind.isalpha():
        raise ValueError(f"no type of geometries: {kind!r}")
    return sql.SQL("geometry({}, {})").format(sql.Identifier(kind), sql.Literal(plan.srid))
