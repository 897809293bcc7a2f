"""Rows that are added to a table which another file, or somebody else, made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow
import pytest

from interfaces.errors import PermanentTaskError
from interfaces.layers import ChunkCounts, Column, ColumnType, SourceFile, TablePlan
from interfaces.vectors import IfExists
from services.vector.columns import arrow_type

from .yard import POINT, Yard

Values = Mapping[str, tuple[ColumnType, Any]]
"""By what the file calls a column its type and the value of the only feature."""


class Loads:
    """Loads of one feature each, into one table."""

    def __init__(self, yard: Yard) -> None:
        self.yard = yard
        self.fence = 0
        self.table = "t"

    def load(self, if_exists: IfExists, values: Values, names: list[str], key: list[str]) -> None:
        """`names` are those of the columns in the table that the load would make."""
        self.fence += 1
        kinds = [kind for kind, _ in values.values()]
        plan = TablePlan(
            target_schema="features",
            target_table=self.table,
            original="t",
            if_exists=if_exists,
            columns=[
                Column(name=name, type=kind, original=original)
                for name, kind, original in zip(names, kinds, values, strict=True)
            ],
            key=key,
            generated_key="fid",
            geometry_column="geom",
            geometry_type="Point",
            srid=4326,
            crs="EPSG:4326",
            chunks=1,
            features=1,
            sources=[SourceFile(container="bronze", name="t.gpkg", etag="0x1", size=1)],
            parameters_hash="p",
            notes=[],
        )
        staging = self.yard.tables.stage(plan, self.yard.attempt(self.fence, stage=3))
        arrays = [pyarrow.array([value], arrow_type(kind)) for kind, value in values.values()]
        rows = pyarrow.RecordBatch.from_arrays(
            [pyarrow.array([POINT], pyarrow.binary()), *arrays], names=["geom", *names]
        )
        with self.yard.tables.loading(staging, self.yard.attempt(self.fence), 0) as writer:
            writer.write(rows)
        self.yard.tables.publish(
            staging, self.yard.attempt(self.fence, stage=5), {0: ChunkCounts(read=1, loaded=1)}
        )

    def add(self, values: Values, **given: Any) -> None:
        """Append, or whatever is said."""
        names = given.get("names") or list(values)
        self.load(given.get("if_exists", "append"), values, names, given.get("key", []))

    def rows(self, columns: str) -> list[tuple[Any, ...]]:
        found = self.yard.admin.execute(f"SELECT {columns} FROM features.t ORDER BY 1").fetchall()
        return [tuple(row.values()) for row in found]


def test_what_a_column_of_the_table_would_round_or_cut_is_not_added(yard: Yard) -> None:
    loads = Loads(yard)
    yard.admin.execute(
        "CREATE SCHEMA features; CREATE TABLE features.t (n integer, d date, f double precision, i integer[],"
        " v varchar(3), p numeric(5, 2), geom geometry(Point, 4326))"
    )
    lossy: list[tuple[str, ColumnType, Any, str]] = [
        ("n", "double precision", 2.5, "is integer and does not hold '2.5'"),
        ("n", "bigint", 2**31, "is integer and does not hold 'integer out of range'"),
        ("d", "timestamp", 1_704_110_400_000_000, "is date and does not hold '2024-01-01 12:00:00'"),
        ("f", "bigint", 2**53 + 1, "is double precision and does not hold '9007199254740993'"),
        ("i", "double precision[]", [1.0, 1.5], "is integer.. and does not hold '.1,1.5.'"),
        ("v", "text", "abcd", "is character varying.3. and does not hold 'abcd'"),
        ("p", "numeric", "1.257", "is numeric.5,2. and does not hold '1.257'"),
    ]
    for name, kind, value, reason in lossy:
        with pytest.raises(PermanentTaskError, match=f"column '{name}' {reason}: nothing is added"):
            loads.add({name: (kind, value)})
    assert loads.rows("n") == []
    # What is the same there is added, whatever its type.
    loads.add({"n": ("double precision", 2.0), "i": ("double precision[]", [1.0]), "p": ("numeric", "1.25")})
    assert [(n, i, str(p)) for n, i, p in loads.rows("n, i, p")] == [(2, [1], "1.25")]


def test_a_key_that_the_table_would_round_replaces_nobody_elses_row(yard: Yard) -> None:
    loads = Loads(yard)
    upsert = {"if_exists": "upsert", "key": ["id"]}
    loads.add({"id": ("integer", 2), "v": ("text", "a")}, **upsert)
    with pytest.raises(PermanentTaskError, match="column 'id' is integer and does not hold"):
        loads.add({"id": ("double precision", 2.5), "v": ("text", "b")}, **upsert)
    for _ in range(2):
        loads.add({"id": ("double precision", 2.0), "v": ("text", "c")}, **upsert)
    assert loads.rows("id, v") == [(2, "c")]


def test_times_without_a_zone_are_utc_in_a_column_with_zones_wherever_the_server_is(yard: Yard) -> None:
    loads = Loads(yard)
    yard.admin.execute(f"ALTER DATABASE {yard.admin.info.dbname} SET TimeZone = 'Asia/Tokyo'")
    loads.add({"t": ("timestamptz", 0)})
    loads.add({"t": ("timestamp", 3_600_000_000)})
    assert [int(one.timestamp()) for (one,) in loads.rows("t")] == [0, 3600]


def test_columns_whose_names_differ_in_case_are_not_swapped_by_a_file_with_another_order(yard: Yard) -> None:
    loads = Loads(yard)
    names = ["name", "name_2"]
    loads.add({"Name": ("text", "N1"), "name": ("text", "n1")}, names=names)
    loads.add({"name": ("text", "n2"), "Name": ("text", "N2")}, names=names)
    assert loads.rows("name, name_2") == [("N1", "n1"), ("N2", "n2")]


def test_a_key_is_the_column_that_the_first_file_called_so(yard: Yard) -> None:
    loads = Loads(yard)
    upsert = {"if_exists": "upsert"}
    loads.add({"ID": ("text", "a"), "id": ("integer", 7)}, names=["id", "id_2"], key=["id_2"], **upsert)
    loads.add({"id": ("integer", 7), "ID": ("text", "b")}, names=["id", "id_2"], key=["id"], **upsert)
    assert loads.rows("id, id_2") == [("b", 7)]


def test_tables_whose_long_names_differ_at_their_end_each_have_their_indexes(yard: Yard) -> None:
    loads = Loads(yard)
    for end in ("one", "two"):
        loads.table = "t" * 60 + end
        loads.add({"n": ("integer", 1)})
    assert yard.count("pg_indexes WHERE schemaname = 'features'") == 4
