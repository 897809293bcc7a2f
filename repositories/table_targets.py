"""The statements that make a staging table a target: keys, indexes, the swap or the addition, the catalog."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql

from interfaces.errors import PermanentTaskError
from interfaces.layers import Column, LoadedTable, Owner, Parts, TableColumn, TablePlan
from interfaces.vectors import fitting

from .beside import Hands
from .connection import Connection
from .json_text import to_json
from .sql_files import queries
from .table_columns import matched
from .table_names import first_row
from .table_parts import TableParts

STAGING = "geo_staging"
CHUNK = "_chunk"
"""Of a staging table only: whose task a row is. No column of a file is called so: names begin with a letter
or with an underscore and a digit."""


NAMED_SOURCES = 10
KEY_END = "_pkey"
LOCK_TRIES, LOCK_PAUSE = 14, 0.5
"""With a second each: some 20 seconds."""


@dataclass(frozen=True)
class Measured:
    """A table as it is."""

    rows: int
    extent: list[float] | None
    """[x min, y min, x max, y max]; None where there are no geometries."""
    at: datetime
    """When the transaction began."""


def measure(connection: Connection, table: sql.Identifier, geometry: str) -> Measured:
    """Its rows and its extent, in one look at all of it."""
    query = sql.SQL(queries("feature_tables")["measure"])
    row = connection.execute(query.format(geometry=sql.Identifier(geometry), table=table)).fetchone()
    assert row is not None
    edges = [row[edge] for edge in ("x_min", "y_min", "x_max", "y_max")]
    extent = None if edges[0] is None else [float(edge) for edge in edges]
    return Measured(row["rows"], extent, row["loaded_at"])


def take(
    connection: Connection, tables: Sequence[sql.Identifier], drop_parts: Sequence[Callable[[], None]]
) -> None:
    """Wait until nobody reads tables any more, let nobody read them, and drop the views of their pieces.

    All at once, or none, and a little at a time: whoever wants to read one queues behind who wants it for
    itself.
    """
    found = queries("feature_tables")
    lock = sql.SQL(found["lock_exclusively"]).format(tables=sql.SQL(", ").join(tables))
    for left in reversed(range(LOCK_TRIES)):
        try:
            with connection.transaction():
                connection.execute(found["bound_lock_wait_briefly"])
                connection.execute(lock)
                for drop in drop_parts:
                    drop()
            break
        except psycopg.errors.LockNotAvailable:
            if not left:
                raise
        time.sleep(LOCK_PAUSE)
    connection.execute(found["bound_lock_wait"])


class Target:
    """One table that is being published, in a transaction of its caller's."""

    def __init__(
        self, connection: Connection, staging: str, plan: TablePlan, owner: Owner, *, load: str
    ) -> None:
        """`staging` has the rows; `load` is the staging table of the load, which may have become several."""
        self._connection = connection
        self._staging = staging
        self._plan = plan
        self._owner = owner
        self._load = load
        self._sql = queries("feature_tables")
        self._table = sql.Identifier(STAGING, staging)
        self._parts = TableParts(connection, plan, STAGING, staging)
        self._measured: Measured | None = None
        """Of the staging table, once it has all that a target has."""
        self._replaced = False

    @property
    def name(self) -> sql.Identifier:
        """Where it will be."""
        return sql.Identifier(self._plan.target_schema, self._plan.target_table)

    def drop_parts(self) -> None:
        """Drop the view of the pieces of the table that is there."""
        self._parts.drop()

    def is_there(self) -> bool:
        """Whether there is a table of that name. Raises `PermanentTaskError` where there must be none."""
        schema, table = self._plan.target_schema, self._plan.target_table
        present = bool(self._one("target", schema=schema, table=table)["present"])
        if present and self._plan.if_exists == "fail":
            raise PermanentTaskError(f"table {schema}.{table} exists, and if_exists is fail")
        return present

    def prepare(self, hands: Hands | None = None) -> Measured:
        """Do all that takes long and that the staging table can have, which nobody else reads.

        Answers what there is in it. `hands` help with one that is committed. Raises `PermanentTaskError` with
        the reason why it cannot be published.
        """
        present = self.is_there()
        self._check_key(self._plan)
        if present and self._adds:
            return measure(self._connection, self._table, self._plan.geometry_column)
        return self._complete(hands)

    def publish(self, loaded: int, rejected: int) -> LoadedTable:
        """Replace the target or add to it, and note it. `prepare` comes first.

        Raises `PermanentTaskError` with the reason why it cannot be.
        """
        plan = self._plan
        schema, table = plan.target_schema, plan.target_table
        self._execute("lock_target", schema=schema, table=table)
        present = self.is_there()
        added = present and self._adds
        if added:
            self._parts.discard()
            self._add(plan)
            parts = self._parts.renew()
            measured = measure(self._connection, self.name, plan.geometry_column)
        else:
            measured = self._measured or self._complete(None)
            self._replace(present)
            parts = self._parts.publish()
        done = self._done(measured, loaded, rejected, parts)
        self._record(plan, done, added=added)
        return done

    @property
    def _adds(self) -> bool:
        return self._plan.if_exists in ("append", "upsert")

    def _check_key(self, plan: TablePlan) -> None:
        """Raise for keys that are null or not unique in what was loaded."""
        if not plan.key:
            return
        key = [sql.Identifier(name) for name in plan.key]
        names = ", ".join(plan.key)
        any_null = sql.SQL(" OR ").join(sql.SQL("{} IS NULL").format(name) for name in key)
        nulls = self._one_of("null_key", staging=self._table, any_null=any_null)["rows"]
        if nulls:
            raise PermanentTaskError(f"key {names}: {nulls} features have none")
        text = sql.SQL(" || ', ' || ").join(sql.SQL("{}::text").format(name) for name in key)
        query = sql.SQL(self._sql["repeated_key"]).format(
            key_text=text, staging=self._table, key=sql.SQL(", ").join(key)
        )
        found = self._connection.execute(query).fetchone()
        if found is not None:
            raise PermanentTaskError(f"key {names}: several features have {found['key']!r}"[:300])

    def _complete(self, hands: Hands | None) -> Measured:
        """Give the staging table all that a target has."""
        geometry = self._plan.geometry_column

        def index() -> None:
            self._execute_with(
                "create_spatial_index",
                index=sql.Identifier(fitting(self._staging, f"_{geometry}_idx")),
                staging=self._table,
                geometry=sql.Identifier(geometry),
            )

        if hands is None:
            index()
            self._measured = self._keyed(self._connection)
        else:
            self._measured = hands.both(self._keyed, index)
        # What locks the table comes last: while it is looked at by another session, it must not be locked.
        constraint = sql.Identifier(fitting(self._staging, KEY_END))
        self._execute_with("add_primary_key", staging=self._table, constraint=constraint)
        if self._plan.numbered:
            self._execute(
                "number_on",
                staging=self._table.as_string(),
                key=self._plan.generated_key,
                next=self._plan.features + 1,
            )
        self._execute_with("drop_chunk_column", staging=self._table, chunk_column=sql.Identifier(CHUNK))
        self._execute_with("vacuum_again", staging=self._table)
        self._comment(self._plan)
        self._execute_with("analyze", table=self._table)
        self._parts.make(self._table)
        return self._measured

    def _keyed(self, connection: Connection) -> Measured:
        """Make the index of the key, unless an earlier attempt did, and look at all of the table."""
        plan = self._plan
        query = sql.SQL(self._sql["create_key_index"]).format(
            index=sql.Identifier(fitting(self._staging, KEY_END)),
            staging=self._table,
            key=sql.SQL(", ").join(map(sql.Identifier, plan.key or [plan.generated_key])),
        )
        connection.execute(query)
        return measure(connection, self._table, plan.geometry_column)

    def _replace(self, present: bool) -> None:
        """The staging table becomes the target. Readers have the old one until it is locked, then wait."""
        schema, table = self._plan.target_schema, self._plan.target_table
        if not self._one("schema_exists", schema=schema)["there"]:
            self._execute_with("create_schema", schema=sql.Identifier(schema))
        if present:
            take(self._connection, [self.name], [self.drop_parts])
            self._execute("copy_grants", schema=schema, table=table, staging=f"{STAGING}.{self._staging}")
            # Without CASCADE: what depends on it, such as a view, is not ours to drop.
            self._execute_with("drop_table", table=self.name)
            self._replaced = True
        self._execute_with("set_schema", staging=self._table, schema=sql.Identifier(schema))
        moved = sql.Identifier(schema, self._staging)
        self._execute_with("rename", staging=moved, name=sql.Identifier(table))
        # Not before: of two loads that make indexes of one name, one would wait for the end of the other.
        for end in (KEY_END, f"_{self._plan.geometry_column}_idx"):
            index = sql.Identifier(schema, fitting(self._staging, end))
            self._execute_with("rename", staging=index, name=sql.Identifier(fitting(table, end)))

    def _comment(self, plan: TablePlan) -> None:
        self._execute_with("comment_table", table=self._table, comment=sql.Literal(plan.original))
        for column in plan.columns:
            if column.name != column.original:
                place = sql.Identifier(STAGING, self._staging, column.name)
                self._execute_with("comment_column", column=place, comment=sql.Literal(column.original))

    def _add(self, plan: TablePlan) -> None:
        """The staging table's rows go into the target, which must have its columns."""
        schema, table = plan.target_schema, plan.target_table
        into = self._places(plan)
        own = [plan.geometry_column, *into]
        names = [plan.geometry_column, *into.values()]
        target = sql.Identifier(schema, table)
        common = {
            "target": target,
            "columns": sql.SQL(", ").join(map(sql.Identifier, names)),
            "own": sql.SQL(", ").join(map(sql.Identifier, own)),
            "staging": self._table,
        }
        if plan.if_exists == "append":
            self._execute_with("insert_staged", **common)
        else:
            key = [into[name] for name in plan.key]
            if not self._one("unique_key", schema=schema, table=table, key=sorted(key))["there"]:
                raise PermanentTaskError(
                    f"table {schema}.{table} has no unique index on {', '.join(key)}: nothing is added"
                )
            others = [sql.Identifier(name) for name in names if name not in key]
            assignments = sql.SQL(", ").join(sql.SQL("{0} = EXCLUDED.{0}").format(name) for name in others)
            listed = sql.SQL(", ").join(map(sql.Identifier, key))
            self._execute_with("upsert_staged", **common, key=listed, assignments=assignments)
        self._execute_with("drop_table", table=self._table)
        self._execute_with("analyze", table=target)

    def _places(self, plan: TablePlan) -> dict[str, str]:
        """By a column's name in the load its name in the table, which holds all of its values.

        Raises `PermanentTaskError` for a column that is not there, or a value that would change there.
        """
        schema, table = plan.target_schema, plan.target_table
        rows = self._connection.execute(self._sql["columns_of_layer"], {"schema": schema, "table": table})
        registered = [Column.model_validate(one) for row in rows.fetchall() for one in row["columns"]]
        there = {column.name for column in self._columns()}
        into = matched(plan.columns, registered, there)
        missing = [column.name for column in plan.columns if column.name not in into]
        if plan.geometry_column not in there:
            missing.insert(0, plan.geometry_column)
        if missing:
            raise PermanentTaskError(
                f"table {schema}.{table} has no column {', '.join(map(repr, missing))}: nothing is added"
            )
        self._execute("utc")
        lossy = {"from": self._table.as_string(), "to": sql.Identifier(schema, table).as_string()}
        found = self._connection.execute(
            self._sql["lossy_column"], {**lossy, "own": list(into), "others": list(into.values())}
        ).fetchone()
        if found is not None:
            raise PermanentTaskError(
                f"table {schema}.{table}: its column {found['column_name']!r} is {found['kind']} and does "
                f"not hold {found['value'][:100]!r}: nothing is added; column_types says what becomes of such"
            )
        return into

    def _done(self, measured: Measured, loaded: int, rejected: int, parts: Parts | None) -> LoadedTable:
        """The table as it is now."""
        plan = self._plan
        schema, table = plan.target_schema, plan.target_table
        return LoadedTable(
            target_schema=schema,
            target_table=table,
            rows=measured.rows,
            loaded=loaded,
            rejected=rejected,
            extent=measured.extent,
            replaced=self._replaced,
            srid=plan.srid,
            geometry_type=plan.geometry_type,
            columns=plan.columns,
            notes=plan.notes,
            parts=parts,
            title=plan.original,
            crs=plan.crs,
            geometry_column=plan.geometry_column,
            table_columns=self._columns(),
            loaded_at=measured.at.isoformat(),
            address=self._address(),
            sources=[f"{source.container}/{source.name}" for source in plan.sources[:NAMED_SOURCES]],
            source_count=len(plan.sources),
        )

    def _record(self, plan: TablePlan, done: LoadedTable, *, added: bool) -> None:
        """The table's row in the catalog of layers, and that of the load."""
        schema, table, parts = plan.target_schema, plan.target_table, done.parts
        owner = {"job_id": self._owner.job_id, "run": self._owner.run}
        place = {"schema": schema, "table": table, "rows": done.rows, "extent": done.extent, **owner}
        columns = [column.model_dump(mode="json") for column in plan.columns]
        cursor = self._connection.execute(self._sql["record_rows"], place) if added else None
        if cursor is None or not cursor.rowcount:
            self._execute(
                "record_layer",
                **place,
                title=plan.original,
                srid=plan.srid,
                geometry_column=plan.geometry_column,
                geometry_type=plan.geometry_type,
                key=to_json(plan.key or [plan.generated_key]),
                columns=to_json(columns),
            )
        self._execute(
            "record_parts",
            schema=schema,
            table=table,
            parts=None if parts is None else parts.view,
            vertices=None if parts is None else parts.max_vertices,
        )
        self._execute(
            "record_load",
            **owner,
            staging=self._load,
            schema=schema,
            table=table,
            if_exists=plan.if_exists,
            sources=to_json([source.model_dump(mode="json") for source in plan.sources]),
            parameters_hash=plan.parameters_hash,
            result=to_json(done.model_dump(mode="json")),
        )

    def _columns(self) -> list[TableColumn]:
        """Of the target."""
        place = {"schema": self._plan.target_schema, "table": self._plan.target_table}
        rows = self._connection.execute(self._sql["target_columns"], place).fetchall()
        return [TableColumn(name=row["name"], type=row["type"]) for row in rows]

    def _address(self) -> str:
        """Where the target is. A server that is reached by a socket has no address that others could use."""
        info = self._connection.info
        host = "" if info.host.startswith(("/", "@")) else f"{info.host}:{info.port}"
        table = f"{self._plan.target_schema}.{self._plan.target_table}"
        return f"postgresql://{host}/{quote(info.dbname, safe='')}?table={quote(table)}"

    def _execute(self, query: str, **parameters: object) -> None:
        self._connection.execute(self._sql[query], parameters)

    def _execute_with(self, query: str, **parts: sql.Composable) -> None:
        self._connection.execute(sql.SQL(self._sql[query]).format(**parts))

    def _one(self, query: str, **parameters: object) -> dict[str, Any]:
        return first_row(self._connection, self._sql[query], **parameters)

    def _one_of(self, query: str, **parts: sql.Composable) -> dict[str, Any]:
        row = self._connection.execute(sql.SQL(self._sql[query]).format(**parts)).fetchone()
        assert row is not None
        return row
