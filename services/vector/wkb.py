"""What the heads of WKB say of geometries, many at a time. Codes with Z, M and ZM are those of ISO SQL/MM."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pyarrow as pa

Family = Literal["Point", "LineString", "Polygon", "GeometryCollection"]
NULL = "null"
NAMES = {
    1: "Point",
    2: "LineString",
    3: "Polygon",
    4: "MultiPoint",
    5: "MultiLineString",
    6: "MultiPolygon",
    7: "GeometryCollection",
    8: "CircularString",
    9: "CompoundCurve",
    10: "CurvePolygon",
    11: "MultiCurve",
    12: "MultiSurface",
    13: "Curve",
    14: "Surface",
    15: "PolyhedralSurface",
    16: "TIN",
    17: "Triangle",
}
FAMILIES: dict[int, Family] = {
    1: "Point",
    4: "Point",
    2: "LineString",
    5: "LineString",
    8: "LineString",
    9: "LineString",
    11: "LineString",
    13: "LineString",
    3: "Polygon",
    6: "Polygon",
    10: "Polygon",
    12: "Polygon",
    14: "Polygon",
    7: "GeometryCollection",
}
SINGLE = frozenset({1, 2, 3, 8, 9, 10, 13, 14})
COLLECTION = 7
OF_VERTICES, OF_RINGS = frozenset({2, 8, 13}), frozenset({3, 17})
"""Kinds that have vertices, and lists of them; others but points have geometries."""
MAX_NESTED = 32
CURVES = range(8, 15)
EWKB_Z, EWKB_M, EWKB_SRID = 0x80000000, 0x40000000, 0x20000000
"""Bits of PostGIS's and of old software's WKB."""


@dataclass(frozen=True)
class Kinds:
    """Of what kinds the geometries of a layer are."""

    families: frozenset[Family]
    multi: bool
    """Some are multi geometries."""
    z: bool
    """Some have Z."""
    m: bool
    some_without_m: bool
    unknown: frozenset[str]
    """Names of kinds that are in no family."""


def codes(array: pa.Array) -> Any:
    """ISO codes of a binary array as a NumPy array of int64: 0 for null, -1 for what is too short."""
    import numpy

    if not len(array):
        return numpy.zeros(0, dtype=numpy.int64)
    data, starts, lengths = buffers(array)
    long_enough = lengths >= 5
    found = numpy.full(len(array), -1, dtype=numpy.int64)
    at = starts[long_enough]
    if len(at):
        heads = data[at[:, None] + numpy.arange(1, 5)]
        little = data[at] == 1
        found[long_enough] = numpy.where(little, heads.view("<u4")[:, 0], heads.view(">u4")[:, 0])
    found = numpy.where(found >= 0, iso(found), found)
    found[array.is_null().to_numpy(zero_copy_only=False)] = 0
    return found


def curved(array: pa.Array, codes: Any) -> Any:
    """Which geometries of a binary array, of these `codes`, are curves or collections with some."""
    import numpy

    found = numpy.isin(codes % 1000, list(CURVES)) & (codes > 0)
    for place in numpy.flatnonzero((codes > 0) & (codes % 1000 == COLLECTION)).tolist():
        found[place] = _has_curves(array[place].as_py())
    return found


def _has_curves(collection: bytes) -> bool:
    import shapely

    parts = [shapely.from_wkb(collection, on_invalid="ignore")]
    try:
        while parts:
            part = parts.pop()
            if shapely.get_type_id(part) == COLLECTION:
                parts += shapely.get_parts(part).tolist()
    except NotImplementedError:
        # GEOS reads them, and the library has no objects for them.
        return True
    return False


def is_whole(data: bytes) -> bool:
    """Whether it is WKB of any kind of geometry, with all that its counts say and nothing after it."""
    try:
        return _end(data, 0, MAX_NESTED) == len(data)
    except (struct.error, ValueError):
        return False


def _end(data: bytes, at: int, nested: int) -> int:
    """Where the geometry that begins there ends. Raises `ValueError` or `struct.error` if none does."""
    if data[at : at + 1] not in (b"\0", b"\1") or not nested:
        raise ValueError(at)
    order = "<" if data[at] else ">"
    [code] = struct.unpack_from(f"{order}I", data, at + 1)
    at += 9 if code & EWKB_SRID else 5
    kind, dimensions = iso(code) % 1000, iso(code) // 1000
    vertex = 8 * (2, 3, 3, 4)[dimensions] if dimensions < 4 else 0
    if kind not in NAMES or not vertex:
        raise ValueError(code)
    if kind == 1:
        return at + vertex
    [count] = struct.unpack_from(f"{order}I", data, at)
    at += 4
    if kind in OF_VERTICES:
        return int(at + count * vertex)
    for _ in range(count):
        if kind in OF_RINGS:
            [vertices] = struct.unpack_from(f"{order}I", data, at)
            at += 4 + vertices * vertex
        else:
            at = _end(data, at, nested - 1)
    return at


def lengths_and_orders(array: pa.Array) -> tuple[Any, Any]:
    """Of each of a binary array how many bytes it has, and whether the least significant come first."""
    import numpy

    if not len(array):
        return numpy.zeros(0, dtype=numpy.int64), numpy.zeros(0, dtype=bool)
    data, starts, lengths = buffers(array)
    little = numpy.zeros(len(array), dtype=bool)
    there = lengths > 0
    little[there] = data[starts[there]] == 1
    return lengths, little


def buffers(array: pa.Array) -> tuple[Any, Any, Any]:
    """All bytes of a binary array, and for each of its values where it starts and how long it is."""
    import numpy
    import pyarrow.types as t

    _, offsets_buffer, data_buffer = array.buffers()
    width = numpy.int64 if t.is_large_binary(array.type) else numpy.int32
    every: Any = numpy.frombuffer(offsets_buffer, width)
    offsets = every[array.offset : array.offset + len(array) + 1].astype(numpy.int64)
    data = (
        numpy.frombuffer(data_buffer, numpy.uint8) if data_buffer is not None else numpy.zeros(0, numpy.uint8)
    )
    return data, offsets[:-1], offsets[1:] - offsets[:-1]


def iso(code: Any) -> Any:
    """Codes with the bits of EWKB as ISO codes."""
    base = code & ~(EWKB_Z | EWKB_M | EWKB_SRID)
    return base + ((code & EWKB_Z) != 0) * 1000 + ((code & EWKB_M) != 0) * 2000


def count(into: Counter[str], array: pa.Array) -> None:
    """Count the kinds of geometries."""
    import numpy

    found, numbers = numpy.unique(codes(array), return_counts=True)
    for code, number in zip(found.tolist(), numbers.tolist(), strict=True):
        into[NULL if code == 0 else str(code)] += number


def kinds(types: Mapping[str, int]) -> Kinds:
    """What the counted codes say together."""
    known = [int(code) for code in types if code != NULL]
    bases = {code % 1000 for code in known if code > 0}
    return Kinds(
        families=frozenset(FAMILIES[base] for base in bases if base in FAMILIES),
        multi=any(base in FAMILIES and base not in SINGLE for base in bases),
        z=any(code // 1000 in (1, 3) for code in known if code > 0),
        m=any(code // 1000 in (2, 3) for code in known if code > 0),
        some_without_m=any(code // 1000 in (0, 1) for code in known if code > 0),
        unknown=frozenset(NAMES.get(base, f"type {base}") for base in bases if base not in FAMILIES),
    )
