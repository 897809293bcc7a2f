"""Reads tables of features: by one COPY each, which is as of one moment and comes as fast as it is taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from interfaces.errors import Conflict, PermanentTaskError
from interfaces.layer_exports import ExportColumn, LayerMeasure, LayerQuery, LayerReader, RegisteredLayer
from interfaces.layers import ColumnType, Owner

from .conditions import ConditionSql
from .connection import Connection
from .database import TASK_WAIT, Database
from .feature_tables import REFUSALS, hold, words
from .sql_files import queries

WIRE: dict[ColumnType, str] = {
    "boolean": "bool",
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "numeric": "numeric",
    "text": "text",
    "bytea": "bytea",
    "date": "date",
    "time": "time",
    "timestamp": "timestamp",
    "timestamptz": "timestamptz",
    # As bytes, with its version before it.
    "jsonb": "bytea",
    "uuid": "uuid",
    "boolean[]": "bool[]",
    "integer[]": "int4[]",
    "bigint[]": "int8[]",
    "double precision[]": "float8[]",
    "text[]": "text[]",
}
"""How psycopg calls the type that it reads of a column."""
GONE = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)


class PostgresLayerReader(LayerReader):
    """`LayerReader` on the app's database. Thread-safe. Who reads holds a connection meanwhile."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sql = queries("layer_exports")

    def check_held(self, owner: Owner) -> None:
        """Ask for the task, and let it go at once."""
        with self._database.connection() as connection:
            hold(connection, queries("feature_tables")["hold"], owner)

    def find(self, schema: str, table: str) -> RegisteredLayer:
        """A layer, if it is registered and its table is there."""
        with self._database.connection() as connection:
            return self._found(connection, schema, table)

    def check(self, query: LayerQuery) -> None:
        """Let the database plan it."""
        plan = sql.SQL(self._sql["plan"]).format(rows=self._rows(query))
        with _refusals_told(), self._database.connection() as connection:
            if query.target_srid != query.layer.srid:
                self._crs(connection, query.target_srid)
            connection.execute(plan)

    def measure(self, query: LayerQuery) -> LayerMeasure:
        """Counts, and the sizes of the rows, by one reading of them."""
        geometry = sql.Identifier(query.layer.geometry_column)
        names = [geometry, *(sql.Identifier(column.name) for column in query.columns)]
        measure = sql.SQL(self._sql["measure"]).format(
            geometry=geometry,
            columns=sql.SQL(", ").join(names),
            table=_table(query.layer),
            condition=_condition(query),
        )
        with _refusals_told(), self._database.long_connection(wait=TASK_WAIT) as connection:
            row = connection.execute(measure).fetchone()
            return LayerMeasure.model_validate(row)

    @contextmanager
    def reading(self, query: LayerQuery) -> Iterator[Iterator[tuple[object, ...]]]:
        """One COPY in a transaction that sees one moment, of the table that was found and no other."""
        copy_rows = sql.SQL(self._sql["copy_rows"]).format(rows=self._rows(query))
        lock = sql.SQL(self._sql["lock_table"]).format(table=_table(query.layer))
        types = ["bytea", *("text" if column.as_text else WIRE[column.type] for column in query.columns)]
        layer = query.layer
        with _refusals_told(), self._database.long_transaction(wait=TASK_WAIT) as connection:
            connection.execute(self._sql["one_moment"])
            self._lock(connection, lock)
            if _shape(self._found(connection, layer.target_schema, layer.target_table)) != _shape(layer):
                raise PermanentTaskError("the table was replaced since it was looked at; run the job again")
            with connection.cursor() as cursor, cursor.copy(copy_rows) as copy:
                copy.set_types(types)
                yield copy.rows()

    def _lock(self, connection: Connection, lock: sql.Composed) -> None:
        try:
            connection.execute(self._sql["bound_lock_wait"])
            connection.execute(lock)
        except psycopg.errors.LockNotAvailable as error:
            raise Conflict("others hold the table for too long; nothing was read") from error
        except GONE as error:
            raise PermanentTaskError("the table is gone since it was looked at") from error

    def _found(self, connection: Connection, schema: str, table: str) -> RegisteredLayer:
        row = connection.execute(self._sql["layer"], {"schema": schema, "table": table}).fetchone()
        if row is None:
            names = [one["name"] for one in connection.execute(self._sql["tables"]).fetchall()]
            known = f"; there are {', '.join(names)}" if names else ", and no other"
            raise PermanentTaskError(f"source_table: no layer {schema}.{table} was loaded{known}"[:1000])
        if not row.pop("present"):
            raise PermanentTaskError(f"source_table: the table {schema}.{table} is gone")
        crs = self._crs(connection, row["srid"]) if row["srid"] else None
        return RegisteredLayer(**row, crs=crs)

    def _crs(self, connection: Connection, srid: int) -> str:
        row = connection.execute(self._sql["crs_of_srid"], {"srid": srid}).fetchone()
        if row is None:
            raise PermanentTaskError(f"the database does not know SRID {srid}: give another target_crs")
        if row["auth_name"] in ("EPSG", "ESRI"):
            return f"{row['auth_name']}:{row['auth_srid']}"
        return str(row["srtext"])

    def _rows(self, query: LayerQuery) -> sql.Composable:
        columns = [_expression(column) for column in query.columns]
        rows: sql.Composable = sql.SQL(self._sql["rows" if columns else "rows_without_columns"]).format(
            geometry=_geometry(query),
            columns=sql.SQL(", ").join(columns),
            table=_table(query.layer),
            condition=_condition(query),
        )
        if query.order == "spatial":
            key = sql.Identifier(query.layer.geometry_column)
            return sql.SQL(self._sql["in_order"]).format(rows=rows, key=key)
        return rows


def _table(layer: RegisteredLayer) -> sql.Identifier:
    return sql.Identifier(layer.target_schema, layer.target_table)


def _shape(layer: RegisteredLayer) -> dict[str, Any]:
    """What must not have changed: rows may have been added."""
    return layer.model_dump(exclude={"rows", "loaded_at"})


def _geometry(query: LayerQuery) -> sql.Composable:
    shape: sql.Composable = sql.Identifier(query.layer.geometry_column)
    if query.target_srid != query.layer.srid:
        shape = sql.SQL("ST_Transform({}, {})").format(shape, sql.Literal(query.target_srid))
    if query.dimensions == "xyz" and query.layer.geometry_type.endswith("M"):
        flat = sql.SQL("ST_Force3DZ" if query.layer.geometry_type.endswith("ZM") else "ST_Force2D")
        shape = sql.SQL("{}({})").format(flat, shape)
    return sql.SQL("ST_AsBinary({}, 'NDR')").format(shape)


def _expression(column: ExportColumn) -> sql.Composable:
    name = sql.Identifier(column.name)
    if not column.as_text:
        return name
    # Arrays as JSON, which more readers know than PostgreSQL's own notation.
    return sql.SQL("to_json({})::text" if column.type.endswith("[]") else "{}::text").format(name)


def _condition(query: LayerQuery) -> sql.Composable:
    layer = query.layer
    geometry = sql.Identifier(layer.geometry_column)
    types = {column.name: column.type for column in layer.columns}
    types |= {name: "bigint" for name in layer.key if name not in types}
    parts: list[sql.Composable] = [sql.SQL("true")]
    if query.where is not None:
        parts.append(ConditionSql(types, layer.geometry_column, layer.srid).condition(query.where))
    if query.bounds is not None:
        edges = [*map(sql.Literal, [*query.bounds, layer.srid])]
        box = sql.SQL("ST_MakeEnvelope({}, {}, {}, {}, {})").format(*edges)
        parts.append(sql.SQL("ST_Intersects({}, {})").format(geometry, box))
    if query.without_geometry == "skip":
        parts.append(sql.SQL("NOT ST_IsEmpty({})").format(geometry))
    return sql.SQL(" AND ").join(parts)


@contextmanager
def _refusals_told() -> Iterator[None]:
    try:
        yield
    except REFUSALS as error:
        raise PermanentTaskError(f"PostgreSQL cannot read it: {words(error)}") from error
