"""Attributes: which column can hold what Arrow brings, and the values as the writer of a table takes them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError
from interfaces.layers import ColumnType

if TYPE_CHECKING:
    import pyarrow as pa

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""Of the years 1 to 9999, in days since 1970."""
TEXTUAL: frozenset[ColumnType] = frozenset({"text", "jsonb", "text[]"})
OUTSIDE_YEARS = "a time is outside the years 1 to 9999"
NUL_IN_TEXT, NUL_IN_JSON = "its text has a NUL character", "its JSON has a NUL character"
NO_NUMBER = "its JSON has NaN or an infinity, which are no numbers there"
LAST_OF_64 = r"(?:^|[^0-9.])(?:922337203685477580[78]|9\.2233720368547758e\+18)(?:[^0-9.]|$)"
"""And of the first what GDAL makes within JSON."""
DOUBTFUL = r"\\u0000|NaN|Infinity"
"""What PostgreSQL does not take in JSON, unless it is text there."""
NUL_ESCAPED = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
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


def arrow_type(target: ColumnType) -> pa.DataType:
    """How a column of this type goes to the writer of a table.

    What Arrow has not goes as text (`numeric`, `jsonb`) or as 16 bytes (`uuid`).
    """
    import pyarrow as pa

    types: dict[ColumnType, pa.DataType] = {
        "boolean": pa.bool_(),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "real": pa.float32(),
        "double precision": pa.float64(),
        "numeric": pa.string(),
        "text": pa.string(),
        "bytea": pa.binary(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", "UTC"),
        "jsonb": pa.string(),
        "uuid": pa.binary(16),
        "boolean[]": pa.list_(pa.bool_()),
        "integer[]": pa.list_(pa.int32()),
        "bigint[]": pa.list_(pa.int64()),
        "double precision[]": pa.list_(pa.float64()),
        "text[]": pa.list_(pa.string()),
    }
    return types[target]


def arrow(array: pa.Array, source: ColumnType, target: ColumnType) -> pa.Array:
    """A column of a batch, read as `source`, as `arrow_type` has a column of type `target`.

    Times are such as `dated` leaves. Raises `PermanentTaskError` for text that is not in the encoding that it
    should be in.
    """
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(array.type):
        array = array.dictionary_decode()
    if t.is_string(array.type) or t.is_large_string(array.type) or t.is_nested(array.type):
        array = _readable(array)
    convert = _converter(array, source, target)
    if convert is not None:
        made = [None if value is None else convert(value) for value in array.to_pylist()]
        return pa.array(made, arrow_type(target))
    # PostgreSQL knows no nanoseconds.
    return array.cast(arrow_type(target), safe=not (t.is_timestamp(array.type) or t.is_time(array.type)))


def _readable(array: pa.Array) -> pa.Array:
    """Texts of which all are UTF-8: those that a field of fixed width cuts, without what is cut."""
    import pyarrow as pa

    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        try:
            array.to_pylist()
        except UnicodeDecodeError as error:
            return pa.array(_cut_texts(array, error), pa.string())
    return array


def dated(array: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """A column without the times before year 1 and after 9999, and by row the reason.

    GDAL reads those before by days off, and no calendar of Python has either: they could not be exported.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if t.is_dictionary(array.type) and _has_times(array.type):
        array = array.dictionary_decode()
    if not _has_times(array.type):
        return array, {}
    if t.is_nested(array.type):
        outside = pa.array([_is_outside(one) for one in array])
    else:
        width = pa.int32() if t.is_date32(array.type) else pa.int64()
        numbers = array.cast(width)
        low, high = FIRST_DAY * _per_day(array.type), (LAST_DAY + 1) * _per_day(array.type) - 1
        bounds = pc.min_max(numbers)
        least, most = bounds["min"].as_py(), bounds["max"].as_py()
        if least is None or (least >= low and most <= high):
            return array, {}
        # Of nanoseconds all that there can be are within.
        outside = pc.or_(pc.less(numbers, pa.scalar(low, width)), pc.greater(numbers, pa.scalar(high, width)))
        outside = pc.fill_null(outside, False)
    if not pc.any(outside).as_py():
        return array, {}
    rows = pc.indices_nonzero(outside).to_pylist()
    places = pa.array([None if out else row for row, out in enumerate(outside.to_pylist())], pa.int64())
    return array.take(places), dict.fromkeys(rows, OUTSIDE_YEARS)


def _per_day(kind: pa.DataType) -> int:
    import pyarrow.types as t

    if t.is_date32(kind):
        return 1
    units = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
    return 86_400 * (units["ms"] if t.is_date64(kind) else units[kind.unit])


def _has_times(kind: pa.DataType) -> bool:
    """Dates, times, and what is made of them."""
    import pyarrow.types as t

    if t.is_dictionary(kind):
        return _has_times(kind.value_type)
    if t.is_nested(kind):
        return any(_has_times(kind.field(place).type) for place in range(kind.num_fields))
    return bool(t.is_timestamp(kind) or t.is_date(kind))


def _is_outside(nested: pa.Scalar) -> bool:
    try:
        nested.as_py()
    except (OverflowError, ValueError):
        return True
    return False


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
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    is_list = source.endswith("[]")
    values = pc.list_flatten(array) if is_list else array
    if source in ("bigint", "bigint[]"):
        last = pa.array([-(2**63), 2**63 - 1], pa.int64())
        found = pc.is_in(values.cast(pa.int64()), last)
    elif source in ("double precision", "double precision[]"):
        found = pc.equal(pc.abs(values), float(2**63))
    elif source == "jsonb" and t.is_string(array.type):
        found = pc.match_substring_regex(array, LAST_OF_64)
    else:
        return {}
    rows = pc.indices_nonzero(found)
    if is_list:
        rows = pc.unique(pc.list_parent_indices(array).take(rows))
    return dict.fromkeys(rows.to_pylist(), "the number does not fit into 64 bits")


def unstorable(array: pa.Array, target: ColumnType) -> dict[int, str]:
    """The rows whose text PostgreSQL cannot hold, of what `arrow` made; and the reason."""
    import pyarrow.compute as pc

    if target not in TEXTUAL:
        return {}
    if target == "jsonb":
        found = pc.indices_nonzero(pc.match_substring_regex(array, DOUBTFUL)).to_pylist()
        reasons = {row: _not_json(array[row].as_py()) for row in found}
        return {row: reason for row, reason in reasons.items() if reason is not None}
    if target == "text[]":
        parents = pc.list_parent_indices(array)
        inside = pc.match_substring(pc.list_flatten(array), "\0")
        rows = pc.unique(pc.filter(parents, inside)).to_pylist()
    else:
        rows = pc.indices_nonzero(pc.match_substring(array, "\0")).to_pylist()
    return dict.fromkeys(rows, NUL_IN_TEXT)


def _not_json(text: str) -> str | None:
    """Why PostgreSQL takes a text of JSON for none, though Python does not."""
    if NUL_ESCAPED.search(text):
        return NUL_IN_JSON
    try:
        json.loads(text, parse_constant=_refused)
    except ValueError:
        return NO_NUMBER
    except RecursionError:
        return None
    return None


def _refused(name: str) -> Any:
    raise ValueError(name)


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


def _converter(array: pa.Array, source: ColumnType, target: ColumnType) -> Convert | None:
    """What makes one value of another in Python; None where Arrow does it."""
    import pyarrow.types as t

    if target == "jsonb":
        return _json_text if source == "jsonb" else _json
    if target == "numeric":
        return str
    textual = t.is_string(array.type) or t.is_large_string(array.type) or t.is_string_view(array.type)
    return text_of if target == "text" and not textual else None


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _json_text(value: Any) -> str:
    """A field that the driver calls JSON holds texts of it, or bare text where a file mixes both."""
    if not isinstance(value, str):
        return _json(value)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return _json(value)
    return value


def text_of(value: Any) -> str:
    """Any value as text: bytes in hexadecimal, lists and objects as JSON, truth as JSON and SQL write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex()
    return _json(value) if isinstance(value, list | dict) else str(value)
