"""Times with zones, in formats that write each time with a zone of its own or with none.

GDAL's stream of Arrow gives such times without their zones, but where a format told it of a zone before:
10:00+02:00 and 10:00Z become the same, with no word of it. Asked for text it gives the zones too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

DRIVERS = frozenset(
    {"CSV", "FlatGeobuf", "GeoJSON", "GeoJSONSeq", "GML", "GPX", "LIBKML", "SQLite", "TopoJSON"}
)
"""Others have no zones, or UTC only, or say for a whole column what it has."""
MICROSECOND = timedelta(microseconds=1)
NEXT_MINUTE = ":60"
TYPE = b"GDAL:OGR:type"
ZONE = r"(Z|[+-][0-9]{2}:[0-9]{2})\x00*$"
"""How GDAL ends a time that has one, asked for text (`DATETIME_AS_STRING` of its stream of Arrow). In
place of a fraction of less than half a millisecond it has characters of 0 in the end."""
DAY = re.compile(r"(\d{4}-\d\d)-(\d\d)(T.*)")
OUTSIDE = (
    datetime(9999, 12, 31, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
) // MICROSECOND + 86_400_000_000
"""In the year 10000, which no table holds."""


def counted(
    batches: Iterator[pa.RecordBatch], names: Collection[str], check: Callable[[], None]
) -> dict[str, tuple[int, int]]:
    """Of batches with times as text, by column of these names: how many have a zone, and how many none."""
    import pyarrow.compute as pc

    found = dict.fromkeys(names, (0, 0))
    for batch in batches:
        check()
        # Not by name: a table of text may have two columns of one.
        for name, texts in zip(batch.schema.names, batch.columns, strict=True):
            if name not in found:
                continue
            zoned = pc.sum(pc.match_substring_regex(texts, ZONE)).as_py() or 0
            known = found[name]
            found[name] = (known[0] + zoned, known[1] + len(texts) - texts.null_count - zoned)
    return found


def timed(schema: pa.Schema, zoned: Collection[str]) -> pa.Schema:
    """The schema with columns of times, which come as text, as they go on: those that are `zoned` in UTC."""
    import pyarrow as pa

    made = schema
    for place in _times(schema):
        field = schema.field(place)
        kind = pa.timestamp("us", "UTC" if field.name in zoned else None)
        made = made.set(place, pa.field(field.name, kind))
    return made


def read(batches: Iterator[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Batches of the schema that `timed` made. Times without a zone are UTC in a column that has some."""
    import pyarrow as pa

    for batch in batches:
        columns = list(batch.columns)
        for place in _times(batch.schema):
            columns[place] = _as_times(columns[place], schema.field(place).type)
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _times(schema: pa.Schema) -> Sequence[int]:
    import pyarrow.types as t

    fields = enumerate(schema)
    return [n for n, one in fields if t.is_string(one.type) and (one.metadata or {}).get(TYPE) == b"DateTime"]


def _as_times(texts: pa.Array, kind: Any) -> pa.Array:
    import pyarrow as pa
    import pyarrow.compute as pc

    texts = pc.ascii_rtrim(texts, characters="\0")
    if kind.tz is not None:
        has = pc.match_substring_regex(texts, ZONE)
        texts = pc.if_else(has, texts, pc.binary_join_element_wise(texts, "Z", ""))
    # Of 59.9996 seconds GDAL makes 60.000, which is the next minute, as a leap second is to PostgreSQL.
    begun = pc.match_substring_regex(texts, NEXT_MINUTE)
    if not pc.any(begun).as_py():
        return _cast(texts, kind)
    times = _cast(pc.replace_substring_regex(texts, NEXT_MINUTE, ":59"), kind)
    second = pa.scalar(timedelta(seconds=1), pa.duration("us"))
    return pc.if_else(begun, pc.add(times, second), times)


def _cast(texts: pa.Array, kind: Any) -> pa.Array:
    """Arrow takes all or none."""
    import pyarrow as pa

    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:
        return pa.array([None if one is None else _microseconds(one) for one in texts.to_pylist()]).cast(kind)


def _microseconds(text: str) -> int:
    """Since 1970. Of a day that is in no calendar it is one of the next month, as GDAL has it elsewhere."""
    try:
        time, days = datetime.fromisoformat(text), 0
    except ValueError:
        day = DAY.fullmatch(text)
        if day is None:
            return OUTSIDE
        time, days = datetime.fromisoformat(f"{day[1]}-01{day[3]}"), int(day[2]) - 1
    begin = datetime(1970, 1, 1, tzinfo=time.tzinfo and UTC)
    return (time - begin + timedelta(days=days)) // MICROSECOND
