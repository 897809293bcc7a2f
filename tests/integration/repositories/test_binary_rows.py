"""Rows of Arrow as binary COPY, read by a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID

import psycopg
import pyarrow
import pytest

from interfaces.layers import ColumnType
from repositories.binary_rows import END, BinaryRows
from services.vector.columns import arrow_type

MOMENT = datetime(2024, 2, 29, 12, 34, 56, 789012, tzinfo=UTC)
VALUES: dict[ColumnType, tuple[list[Any], list[Any]]] = {
    "boolean": ([True, False], [True, False]),
    "smallint": ([-(2**15), 2**15 - 1], [-(2**15), 2**15 - 1]),
    "integer": ([-(2**31), 2**31 - 1], [-(2**31), 2**31 - 1]),
    "bigint": ([-(2**63), 2**63 - 1], [-(2**63), 2**63 - 1]),
    "real": ([0.5, float("inf")], [0.5, float("inf")]),
    "double precision": ([0.1, -1e308], [0.1, -1e308]),
    "numeric": (
        ["12345678901234567890.1200", "-1E+30", "1E-30", "0", "Infinity"],
        [Decimal("12345678901234567890.1200"), Decimal(-(10**30)), Decimal("1E-30"), 0, Decimal("Infinity")],
    ),
    "text": (["", "é\n\\N"], ["", "é\n\\N"]),
    "bytea": ([b"", b"\0\xff"], [b"", b"\0\xff"]),
    "date": ([date(1, 1, 1), date(9999, 12, 31)], [date(1, 1, 1), date(9999, 12, 31)]),
    "time": ([time(), time(23, 59, 59, 999999)], [time(), time(23, 59, 59, 999999)]),
    "timestamp": ([MOMENT.replace(tzinfo=None)], [MOMENT.replace(tzinfo=None)]),
    "timestamptz": ([MOMENT, datetime(1, 1, 2, tzinfo=UTC)], [MOMENT, datetime(1, 1, 2, tzinfo=UTC)]),
    "jsonb": (['{"a": [1, null]}', '"x"', "null"], [{"a": [1, None]}, "x", None]),
    "uuid": ([UUID(int=7).bytes], [UUID(int=7)]),
    "boolean[]": ([[True, None], []], [[True, None], []]),
    "integer[]": ([[-(2**31), None]], [[-(2**31), None]]),
    "bigint[]": ([[2**63 - 1]], [[2**63 - 1]]),
    "double precision[]": ([[0.1, None], []], [[0.1, None], []]),
    "text[]": ([["é", None, ""], []], [["é", None, ""], []]),
}


@pytest.fixture(scope="module")
def connection(postgres_server: Any) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as made:
        made.execute("SET timezone = 'UTC'")
        yield made


def test_there_are_values_of_every_type() -> None:
    assert set(VALUES) == set(get_args(ColumnType))


@pytest.mark.parametrize("kind", VALUES)
def test_values_are_read_as_they_were_and_nulls_as_nulls(
    connection: psycopg.Connection, kind: ColumnType
) -> None:
    given, expected = VALUES[kind]
    column = pyarrow.array([None, *given], arrow_type(kind))
    geometry = pyarrow.array([None, *[b"ewkb"] * len(given)], pyarrow.binary())
    rows = pyarrow.RecordBatch.from_arrays([geometry, column, column], names=["geom", "a", "a"])
    with connection.transaction(force_rollback=True), connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE t (chunk int, geom bytea, a {kind}, b {kind})")
        with cursor.copy("COPY t FROM STDIN (FORMAT BINARY)") as copy:
            binary = BinaryRows([kind, kind])
            # Slices of a batch, as of one that reaches over the end of its chunk.
            for part in (*binary.more(rows.slice(0, 1), 6), *binary.more(rows.slice(1), 7), END):
                copy.write(part)
        found = cursor.execute("SELECT * FROM t ORDER BY ctid").fetchall()
    assert found[0] == (6, None, None, None)
    assert found[1:] == [(7, b"ewkb", value, value) for value in expected]
