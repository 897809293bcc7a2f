"""Attributes as the types that were asked for."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pyarrow
import pytest

from interfaces.layers import ColumnType
from services.vector.casting import CASTS, cast
from services.vector.columns import unread_numbers

NOON = datetime.fromisoformat("2024-05-01T12:00:00")
MIDNIGHT = datetime.fromisoformat("2024-05-01T00:00:00")
EAST = timezone(timedelta(hours=2))
ID = "6f9619ff-8b86-d011-b42d-00c04fc964ff"


@pytest.mark.parametrize(
    ("target", "value", "made"),
    [
        ("integer", "  -12 ", -12),
        ("integer", 2.0, 2),
        ("integer", True, 1),
        ("integer", 2**31 - 1, 2**31 - 1),
        ("bigint", "9223372036854775807", 2**63 - 1),
        ("double precision", "1e3", 1000.0),
        ("double precision", 2**53, 2.0**53),
        ("double precision", "0.1", 0.1),
        ("numeric", "12345678901234567890.10", "12345678901234567890.10"),
        ("numeric", 0.1, "0.1"),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("date", "2024/05/01", date(2024, 5, 1)),
        ("date", MIDNIGHT, date(2024, 5, 1)),
        ("timestamp", date(2024, 5, 1), MIDNIGHT),
        ("timestamp", "2024-05-01T14:00:00+02:00", NOON),
        ("timestamptz", NOON, NOON.replace(tzinfo=UTC)),
        ("timestamptz", "2024-05-01 12:00:00Z", NOON.replace(tzinfo=UTC)),
        ("timestamptz", NOON.replace(tzinfo=EAST), datetime(2024, 5, 1, 10, tzinfo=UTC)),
        ("jsonb", ' {"a": 1} ', '{"a": 1}'),
        ("jsonb", [1, None], "[1, null]"),
        ("uuid", f"{{{ID.upper()}}}", UUID(ID).bytes),
        ("text", 7, "7"),
        ("text", True, "true"),
    ],
)
def test_what_fits_becomes_of_the_type(target: ColumnType, value: Any, made: Any) -> None:
    found = CASTS[target](value)
    assert found == made
    assert type(found) is type(made)


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("integer", 2**31),
        ("integer", -(2**31) - 1),
        ("integer", 2.5),
        ("integer", "2.0"),
        ("integer", "1_000"),
        ("integer", float("nan")),
        ("integer", float("inf")),
        ("integer", date(2024, 5, 1)),
        ("bigint", 2.0**63),
        ("double precision", 2**53 + 1),
        ("double precision", "1e999"),
        ("double precision", "1,5"),
        ("numeric", "1e131072"),
        ("numeric", "1e-16384"),
        ("numeric", True),
        ("boolean", "maybe"),
        ("boolean", 2),
        ("boolean", 1.0),
        ("date", NOON),
        ("date", "01.05.2024"),
        ("date", "2024-02-30"),
        ("timestamp", 1714564800),
        ("jsonb", "{"),
        ("jsonb", "NaN"),
        ("jsonb", float("nan")),
        ("jsonb", '"\\ud800"'),
        ("uuid", "12"),
        ("uuid", b"12"),
    ],
)
def test_what_does_not_fit_is_told_and_never_changed(target: ColumnType, value: Any) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        CASTS[target](value)


def test_the_reason_has_the_value_and_the_row() -> None:
    found, reasons = cast(pyarrow.array(["1", None, "x", "2.5"]), "text", "double precision")
    assert found.to_pylist() == [1.0, None, None, 2.5]
    assert reasons == {2: "'x' does not fit into double"}
    nested = pyarrow.array([{"a": 1}])
    found, reasons = cast(nested, "jsonb", "text")
    assert (found.to_pylist(), reasons) == (['{"a": 1}'], {})


def test_numbers_that_a_reader_cut_to_64_bits_are_told() -> None:
    numbers = pyarrow.array([1, 2**63 - 1, -(2**63), None])
    assert list(unread_numbers(numbers, "bigint")) == [1, 2]
    assert unread_numbers(pyarrow.array(["1"]), "text") == {}
