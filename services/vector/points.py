"""Geometries of tables that have none of their own, made of columns of coordinates or of texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from . import casting, wkb

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

HEXADECIMAL = re.compile(r"(?:[0-9A-Fa-f]{2})+")
COMMA = r"^([^.,]*),([^.,]*)$"
NUMBER = r"(?:[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|nan|[+-]?inf(?:inity)?)"
GROUP = rf"(?:[(,\s]|{NUMBER}[\s,]|[a-z]+[\s(,])*(?:{NUMBER}|empty)?\s*(?:\)\s*)+"
WHOLE = rf"(?i)^\s*(?:[a-z]+\s*(?:z|m|zm)?\s*(?:empty|(?:{GROUP},)*{GROUP};?)|[0-9a-f]+|\{{[\s\S]*\}})\s*$"
"""WKT, as far as a machine without memory can tell; hexadecimal digits; or what may be JSON."""
OPENING, CLOSING = list(b"({"), list(b")}")


def placed(batches: Iterator[pa.RecordBatch], columns: Sequence[int]) -> Iterator[pa.RecordBatch]:
    """Batches with a last column of WKB, made of those of x and y or of the one of texts.

    Null where one of them is no number, or where the text is no geometry.
    """
    import pyarrow as pa

    for batch in batches:
        taken = [batch.column(place) for place in columns]
        made = _from_texts(taken[0]) if len(taken) == 1 else _points(*taken)
        names = [*batch.schema.names, "geometry"]
        yield pa.RecordBatch.from_arrays([*batch.columns, pa.array(made, pa.binary())], names)


def with_decimal_points(
    batches: Iterator[pa.RecordBatch], columns: Sequence[int]
) -> Iterator[pa.RecordBatch]:
    """Batches with a point where numbers in columns of text have a decimal comma."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for batch in batches:
        arrays = list(batch.columns)
        for place in columns:
            arrays[place] = pc.replace_substring_regex(arrays[place], COMMA, r"\1.\2")
        yield pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def unread(names: Sequence[str], said: Sequence[Any]) -> str:
    """Why columns made no geometry: one of coordinates has no number, or the one of geometries none."""
    if len(said) == 1:
        return f"{str(said[0])[: casting.SHOWN]!r} cannot be read as a geometry"
    pairs = list(zip(names, said, strict=True))
    name, value = next((pair for pair in pairs if not _is_finite(pair[1])), pairs[0])
    if value is None or is_blank(value):
        return f"column {name!r} has no coordinate"
    return f"column {name!r}: {str(value)[: casting.SHOWN]!r} is no number"


def partly_read(texts: pa.Array) -> list[int]:
    """The rows of a column of texts with one that is not all of it a geometry, whatever is made of it.

    GDAL reads a number of WKT as far as it goes, and passes over what follows the last parenthesis.
    """
    import pyarrow.compute as pc
    import pyarrow.types as t

    if not (t.is_string(texts.type) or t.is_large_string(texts.type)) or not len(texts):
        return []
    wrong = pc.fill_null(pc.invert(pc.match_substring_regex(texts, WHOLE)), False).to_numpy(False)
    wrong |= _unbalanced(texts)
    return [int(row) for row in wrong.nonzero()[0] if not is_blank(texts[int(row)].as_py())]


def _unbalanced(texts: pa.Array) -> NDArray[Any]:
    """Where something follows the parenthesis, or brace, that closes the first, or nothing closes it."""
    import numpy

    data, starts, lengths = wkb.buffers(texts)
    signs = numpy.zeros(256, numpy.int8)
    signs[OPENING], signs[CLOSING] = 1, -1
    every = signs[data]
    places = numpy.flatnonzero(every)
    depths = numpy.concatenate([[0], numpy.cumsum(every[places])])
    first, after = numpy.searchsorted(places, starts), numpy.searchsorted(places, starts + lengths)
    rows = numpy.repeat(numpy.arange(len(texts)), after - first)
    inside = numpy.flatnonzero(depths[1:][first[0] : after[-1]] <= depths[first][rows]) if len(rows) else rows
    ends = numpy.bincount(rows[inside], minlength=len(texts))
    found: NDArray[Any] = (depths[after] != depths[first]) | (ends > 1)
    return found


def is_blank(value: Any) -> bool:
    """Whether it says nothing."""
    return value is None or (isinstance(value, str) and not value.strip())


def _is_finite(value: Any) -> bool:
    text = str(value).strip()
    return casting.NUMBER.fullmatch(text) is not None and abs(float(text)) < float("inf")


def _points(x: pa.Array, y: pa.Array) -> list[bytes | None]:
    import numpy
    import shapely

    xs, ys = _numbers(x), _numbers(y)
    there = numpy.isfinite(xs) & numpy.isfinite(ys)
    made = numpy.full(len(xs), None, dtype=object)
    made[there] = shapely.to_wkb(shapely.points(xs[there], ys[there]))
    found: list[bytes | None] = made.tolist()
    return found


def _numbers(column: pa.Array) -> Any:
    """NaN for what is none."""
    import numpy
    import pyarrow as pa
    import pyarrow.types as t

    column = casting.numbers(column, "double precision")[0]
    if not (t.is_integer(column.type) or t.is_floating(column.type)):
        return numpy.full(len(column), numpy.nan)
    return column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def _from_texts(column: pa.Array) -> list[bytes | None]:
    return [_geometry(value.strip()) if isinstance(value, str) else None for value in column.to_pylist()]


def _geometry(text: str) -> bytes | None:
    """WKT, hexadecimal WKB or GeoJSON as WKB; None for anything else."""
    import shapely

    if HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    read: Callable[..., Any] = shapely.from_geojson if text.startswith("{") else shapely.from_wkt
    made = read(text, on_invalid="ignore")
    return None if made is None else bytes(shapely.to_wkb(made, flavor="iso"))
