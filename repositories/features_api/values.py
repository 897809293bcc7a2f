"""Values of columns as GeoJSON has them: text for what JSON has no type for."""

from __future__ import annotations

import base64
import csv
import io
from collections.abc import Generator, Iterable
from decimal import Decimal
from typing import Any

import orjson
from psycopg.adapt import Loader
from psycopg.types.string import TextLoader

from repositories.asgi.statements import Cursor

TEXTS = (
    *("interval", "inet", "cidr", "time", "timetz", "int4range", "int8range", "numrange", "daterange"),
    *("tsrange", "tstzrange", "int4multirange", "int8multirange", "nummultirange", "datemultirange"),
    *("tsmultirange", "tstzmultirange"),
)
TIMES = ("date", "timestamp", "timestamptz")


class _Json(Loader):
    """As it is, without being read: geometries are most of an answer."""

    def load(self, data: Any) -> orjson.Fragment:
        return orjson.Fragment(bytes(data))


class _Number(Loader):
    """With all its digits, of which some would be lost in floating point. NaN and the infinities are null."""

    def load(self, data: Any) -> Any:
        text = bytes(data)
        number = Decimal(text.decode())
        rounded = float(number)
        return (
            rounded if not number.is_finite() or Decimal(repr(rounded)) == number else orjson.Fragment(text)
        )


class _Time(Loader):
    """ISO 8601 also for what Python's datetime cannot hold: infinity, years of five digits. UTC is `Z`."""

    def load(self, data: Any) -> str:
        text = bytes(data).decode().replace(" ", "T", 1)
        return f"{text[:-3]}Z" if text.endswith("+00") else text


class _Base64(Loader):
    def load(self, data: Any) -> str:
        return base64.b64encode(bytes.fromhex(bytes(data)[2:].decode())).decode()


LOADERS: tuple[tuple[tuple[str, ...], type[Loader]], ...] = (
    (("json", "jsonb"), _Json),
    (TIMES, _Time),
    (("bytea",), _Base64),
    (("numeric",), _Number),
    (TEXTS, TextLoader),
)


def adapt(cursor: Cursor) -> None:
    """Let a cursor read columns of features."""
    for names, loader in LOADERS:
        for name in names:
            cursor.adapters.register_loader(name, loader)


def size(values: Iterable[Any]) -> int:
    """About how many bytes the values of a row take in an answer."""
    return sum(_size(value) for value in values)


def _size(value: Any) -> int:
    if isinstance(value, orjson.Fragment):
        return len(orjson.dumps(value))
    return len(value) if isinstance(value, str | bytes | list) else 8


def csv_lines(data: Iterable[dict[Any, Any]]) -> Generator[str, None, None]:
    """RFC 4180 with a header; nothing where there are no rows, which the library has no way for."""
    text = io.StringIO()
    writer = csv.writer(text)
    for number, row in enumerate(data):
        if number == 0:
            writer.writerow(row)
        writer.writerow([_plain(value) for value in row.values()])
        yield text.getvalue()
        text.seek(0)
        text.truncate()


def _plain(value: Any) -> Any:
    if isinstance(value, orjson.Fragment | list | bool):
        return orjson.dumps(value).decode()
    return value
