"""Attributes as the types that were asked for: a value either fits without loss, or says why not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from interfaces.layers import ColumnType

from .columns import arrow, arrow_type, text_of

if TYPE_CHECKING:
    import pyarrow as pa

INTEGER = re.compile(r"[+-]?[0-9]+")
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?|[+-]?(nan|inf|infinity)", re.IGNORECASE)
MOST_DIGITS, MOST_DECIMALS = 131_072, 16_383
"""Before and after the point (https://www.postgresql.org/docs/current/datatype-numeric.html)."""
DATE = re.compile(r"[0-9]{4}[-/][0-9]{2}[-/][0-9]{2}")
TRUE = frozenset({"true", "t", "yes", "y", "on", "1"})
FALSE = frozenset({"false", "f", "no", "n", "off", "0"})
"""https://www.postgresql.org/docs/current/datatype-boolean.html"""
BITS: dict[ColumnType, int] = {"smallint": 15, "integer": 31, "bigint": 63}
NUMERIC: frozenset[ColumnType] = frozenset({"integer", "bigint", "double precision"})
SHOWN = 100
SPELLED: dict[ColumnType, str] = {"double precision": "double"}


def cast(array: pa.Array, source: ColumnType, target: ColumnType) -> tuple[pa.Array, dict[int, str]]:
    """A column of a batch as `arrow_type` has a column of type `target`, and by row why one does not fit.

    Those are null. Raises `PermanentTaskError` for text that is not in its encoding.
    """
    import pyarrow as pa

    found: list[Any] = arrow(array, source, source).to_pylist()
    fit = CASTS[target]
    reasons: dict[int, str] = {}
    for row, value in enumerate(found):
        if value is None:
            continue
        plain = _plain(value, source)
        try:
            found[row] = fit(plain)
        except (ValueError, ArithmeticError):
            reasons[row] = f"{str(plain)[:SHOWN]!r} does not fit into {SPELLED.get(target, target)}"
            found[row] = None
    return pa.array(found, arrow_type(target)), reasons


def numbers(array: pa.Array, target: ColumnType) -> tuple[pa.Array, dict[int, str]]:
    """A column of numbers that is read as text, and by row why one is none; any other as it is.

    Blanks around them, or alone, are nothing.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.types as t

    if target not in NUMERIC or not (t.is_string(array.type) or t.is_large_string(array.type)):
        return array, {}
    trimmed = pc.utf8_trim_whitespace(array)
    trimmed = pc.if_else(pc.equal(trimmed, ""), pa.scalar(None, trimmed.type), trimmed)
    try:
        made = trimmed.cast(arrow_type(target))
    except pa.ArrowInvalid:
        return cast(trimmed, "text", target)
    # Of what is too large Arrow makes an infinity.
    if target == "double precision" and pc.any(pc.is_inf(made)).as_py():
        return cast(trimmed, "text", target)
    return made, {}


def _plain(value: Any, source: ColumnType) -> Any:
    """As the file has it, of what goes to the writer as text."""
    if source == "jsonb":
        return json.loads(value)
    return Decimal(value) if source == "numeric" else value


def _integer(bits: int) -> Callable[[Any], int]:
    def fit(value: Any) -> int:
        if isinstance(value, str):
            text = value.strip()
            if not INTEGER.fullmatch(text):
                raise ValueError(value)
            number = int(text)
        elif isinstance(value, bool | int | float | Decimal):
            number = int(value)
            if number != value:
                raise ValueError(value)
        else:
            raise ValueError(value)
        if not -(1 << bits) <= number < 1 << bits:
            raise ValueError(value)
        return number

    return fit


def _decimal(value: Any) -> Decimal:
    if isinstance(value, str):
        if not NUMBER.fullmatch(value.strip()):
            raise ValueError(value)
        number = Decimal(value.strip())
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError(value)
    else:
        # Of a floating-point number the digits that tell it from its neighbours, not all of its binary form.
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and (number.adjusted() >= MOST_DIGITS or exponent < -MOST_DECIMALS):
        raise ValueError(value)
    return number


def _numeric(value: Any) -> str:
    return str(_decimal(value))


def _double(value: Any) -> float:
    number = _decimal(value)
    made = float(number)
    # Decimals are rounded, as in every such column; whole numbers of which digits would be lost do not fit.
    if isinstance(value, int) and int(made) != value:
        raise ValueError(value)
    if number.is_finite() and made in (float("inf"), float("-inf")):
        raise ValueError(value)
    return made


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = value.strip().lower() if isinstance(value, str) else str(value) if isinstance(value, int) else ""
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(value)


def _moment(value: Any) -> datetime:
    """A date or a time of a day; a date is its midnight."""
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime.combine(value, time())
    if not isinstance(value, str) or not DATE.match(value.strip()):
        raise ValueError(value)
    text = value.strip()
    return datetime.fromisoformat(text[:10].replace("/", "-") + text[10:])


def _timestamp(value: Any) -> datetime:
    moment = _moment(value)
    return moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None)


def _timestamptz(value: Any) -> datetime:
    moment = _moment(value)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _date(value: Any) -> date:
    moment = _moment(value)
    if moment.time() != time():
        raise ValueError(value)
    return moment.date()


def _jsonb(value: Any) -> str:
    if isinstance(value, str):
        value = json.loads(value, parse_constant=_no_constant)
    elif isinstance(value, bytes | date | time | Decimal | UUID):
        value = text_of(value)
    made = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str)
    made.encode()  # Raises for half of a pair of surrogates.
    return made


def _no_constant(name: str) -> Any:
    """NaN and the infinities, which JSON has not."""
    raise ValueError(name)


def _uuid(value: Any) -> bytes:
    if isinstance(value, str):
        return UUID(value.strip()).bytes
    if isinstance(value, bytes):
        return UUID(bytes=value).bytes
    raise ValueError(value)


CASTS: Mapping[ColumnType, Callable[[Any], Any]] = {
    "text": text_of,
    "smallint": _integer(BITS["smallint"]),
    "integer": _integer(BITS["integer"]),
    "bigint": _integer(BITS["bigint"]),
    "double precision": _double,
    "numeric": _numeric,
    "boolean": _boolean,
    "date": _date,
    "timestamp": _timestamp,
    "timestamptz": _timestamptz,
    "jsonb": _jsonb,
    "uuid": _uuid,
}
