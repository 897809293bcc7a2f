"""Attributes: which column can hold what Arrow brings, and the values as psycopg writes them."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError
from interfaces.layers import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

JSON_VERSION = b"\x01"
"""Begins a jsonb in binary COPY (`jsonb_recv`)."""
WIDER: dict[frozenset[ColumnType], ColumnType] = {
    frozenset({"smallint", "integer"}): "integer",
    frozenset({"smallint", "bigint"}): "bigint",
    frozenset({"integer", "bigint"}): "bigint",
    frozenset({"real", "double precision"}): "double precision",
    frozenset({"smallint", "real"}): "double precision",
    frozenset({"smallint", "double precision"}): "double precision",
    frozenset({"integer", "real"}): "double precision",
    frozenset({"integer", "double precision"}): "double precision",
    frozenset({"date", "timestamp"}): "timestamp",
    frozenset({"integer[]", "bigint[]"}): "bigint[]",
    frozenset({"integer[]", "double precision[]"}): "double precision[]",
}
"""The type that holds both without loss. Not bigint and double precision: beyond 2^53 digits would go."""

Convert = Callable[[Any], Any]


def column_type(field: pa.Field) -> ColumnType:
    """The column that holds a field of Arrow without loss."""
    import pyarrow.types as t

    if _is_json(field):
        return "jsonb"
    kind = field.type
    if t.is_dictionary(kind):
        kind = kind.value_type
    plain = _plain(kind)
    if plain is not None:
        return plain
    if t.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return _array(_plain(kind.value_type))
    return "jsonb" if t.is_nested(kind) else "text"


def wider(one: ColumnType, other: ColumnType) -> ColumnType:
    """The type of a column that holds values of both; text where there is no better."""
    return one if one == other else WIDER.get(frozenset({one, other}), "text")


def values(array: pa.Array, source: ColumnType, target: ColumnType) -> list[Any]:
    """A column of a batch as Python values for a column of type `target`.

    Raises `PermanentTaskError` for text that is not in the encoding that it should be in.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    if t.is_timestamp(array.type):
        # Python knows no nanoseconds.
        array = array.cast(pa.timestamp("us", array.type.tz), safe=False)
    try:
        found: list[Any] = array.to_pylist()
    except UnicodeDecodeError as error:
        found = _cut_texts(array, error)
    except (ValueError, OverflowError) as error:
        raise PermanentTaskError(f"a time is outside the years 1 to 9999: {error}"[:300]) from error
    convert = _converter(source, target)
    return found if convert is None else [None if value is None else convert(value) for value in found]


def _cut_texts(array: pa.Array, first: UnicodeDecodeError) -> list[str | None]:
    """Texts of which some end in the midst of a character, where a field of fixed width ends: without it.

    Raises `PermanentTaskError` for any other that is no UTF-8.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if not (t.is_string(array.type) or t.is_large_string(array.type)):
        raise PermanentTaskError(_not_utf8(first)) from first
    found: list[str | None] = []
    for text in array.cast(pa.large_binary()).to_pylist():
        try:
            decoder = codecs.getincrementaldecoder("utf-8")()
            found.append(None if text is None else decoder.decode(text, final=False))
        except UnicodeDecodeError as error:
            raise PermanentTaskError(_not_utf8(error)) from error
    return found


def _not_utf8(error: UnicodeDecodeError) -> str:
    return (
        f"encoding: text is not what it should be, {error.reason} "
        f"(byte {error.object[error.start]:#04x}); name the file's encoding"
    )


def unread_numbers(array: pa.Array, source: ColumnType) -> dict[int, str]:
    """Rows whose number is the last of 64 bits, which readers make of larger ones; and the reason."""
    if source != "bigint":
        return {}
    import pyarrow as pa
    import pyarrow.compute as pc

    last = pa.array([-(2**63), 2**63 - 1], pa.int64())
    rows = pc.indices_nonzero(pc.is_in(array.cast(pa.int64()), last)).to_pylist()
    return dict.fromkeys(rows, "the number does not fit into 64 bits")


def unstorable(value: Any) -> str | None:
    """Why PostgreSQL cannot hold a text or a list of texts; None when it can."""
    if isinstance(value, str) and "\x00" in value:
        return "its text has a NUL character"
    if isinstance(value, bytes) and value.startswith(JSON_VERSION) and b"\\u0000" in value:
        return "its JSON has a NUL character"
    if isinstance(value, list) and any(isinstance(item, str) and "\x00" in item for item in value):
        return "its text has a NUL character"
    return None


def _plain(kind: pa.DataType) -> ColumnType | None:
    import pyarrow.types as t

    tests: Sequence[tuple[Callable[[Any], bool], ColumnType]] = (
        (t.is_boolean, "boolean"),
        (t.is_int8, "smallint"),
        (t.is_uint8, "smallint"),
        (t.is_int16, "smallint"),
        (t.is_uint16, "integer"),
        (t.is_int32, "integer"),
        (t.is_uint32, "bigint"),
        (t.is_int64, "bigint"),
        (t.is_uint64, "numeric"),
        (t.is_float16, "real"),
        (t.is_float32, "real"),
        (t.is_float64, "double precision"),
        (t.is_decimal, "numeric"),
        (t.is_date, "date"),
        (t.is_time, "time"),
        (t.is_string, "text"),
        (t.is_large_string, "text"),
        (t.is_binary, "bytea"),
        (t.is_large_binary, "bytea"),
        (t.is_fixed_size_binary, "bytea"),
    )
    return next((column for test, column in tests if test(kind)), None)


def _array(item: ColumnType | None) -> ColumnType:
    arrays: dict[ColumnType | None, ColumnType] = {
        "boolean": "boolean[]",
        "smallint": "integer[]",
        "integer": "integer[]",
        "bigint": "bigint[]",
        "real": "double precision[]",
        "double precision": "double precision[]",
        "text": "text[]",
    }
    return arrays.get(item, "jsonb")


def _is_json(field: pa.Field) -> bool:
    metadata = field.metadata or {}
    return (
        metadata.get(b"GDAL:OGR:subtype") == b"JSON"
        or metadata.get(b"ARROW:extension:name") == b"arrow.json"
        or str(field.type).startswith("extension<arrow.json")
    )


def _converter(source: ColumnType, target: ColumnType) -> Convert | None:
    if target == "jsonb":
        return _json_text if source == "jsonb" else _json
    if target == "numeric":
        from decimal import Decimal

        return Decimal
    if source == target:
        return None
    if target == "text":
        return text_of
    if target in ("double precision", "real"):
        return float
    if target == "double precision[]":
        return _floats
    return None


def _json(value: Any) -> bytes:
    return JSON_VERSION + json.dumps(value, ensure_ascii=False, default=str).encode()


def _json_text(value: Any) -> bytes:
    """A field that the driver calls JSON holds texts of it, or bare text where a file mixes both."""
    if not isinstance(value, str):
        return _json(value)
    try:
        json.loads(value)
    except ValueError:
        return _json(value)
    return JSON_VERSION + value.encode()


def text_of(value: Any) -> str:
    """Any value as text: bytes in hexadecimal, lists and objects as JSON, truth as JSON and SQL write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    return (
        json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)
    )


def _floats(value: Any) -> list[float | None]:
    return [None if item is None else float(item) for item in value]
