"""Geometries as EWKB, the way PostGIS takes them: those that stayed as they were keep their bytes."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from . import wkb

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

BASES = {"Point": 1, "LineString": 2, "Polygon": 3}
MULTI = {"MultiPoint": 4, "MultiLineString": 5, "MultiPolygon": 6, "GeometryCollection": 7}
HEAD = 5
"""Bytes of WKB's byte order and code."""


def unchanged(given: pa.Array, codes: NDArray[Any], before: Any, after: Any) -> NDArray[Any]:
    """Which geometries of a column of WKB have the very bytes that GEOS would write of them.

    `codes` are those of `wkb.codes`, `before` what GEOS read, `after` what became of it. Of single
    geometries only: of others it is not known without a look at each part whether more follows, or in
    which order the bytes are.
    """
    import numpy
    import shapely

    same: NDArray[Any] = shapely.equals_identical(before, after) & (codes > 0)
    bases = codes % 1000
    dimensions = 2 + (codes // 1000 > 0) + (codes // 1000 == 3)
    length = HEAD + 8 * dimensions * shapely.get_num_coordinates(after)
    length += numpy.where(bases > 1, 4, 0)
    length += numpy.where(bases == 3, 4 * (shapely.get_num_interior_rings(after) + 1), 0)
    lengths, little = wkb.lengths_and_orders(given)
    same &= (bases < 4) & little & (lengths == length)
    return same


def written(given: pa.Array, keep: NDArray[Any], geometries: Any, wrap: NDArray[Any], srid: int) -> pa.Array:
    """EWKB with its SRID: of what is kept the bytes that were given, else as GEOS writes it.

    `wrap` has for a geometry the code of the multi geometry whose only part it becomes, or 0.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import shapely

    made = given
    if not keep.all():
        new = shapely.to_wkb(geometries[~keep], output_dimension=4, byte_order=1, flavor="iso")
        made = pc.replace_with_mask(given, pa.array(~keep), pa.array(new.tolist(), given.type))
    return kept(made, wkb.codes(made), wrap, srid)


def kept(made: pa.Array, codes: NDArray[Any], wrap: NDArray[Any], srid: int) -> pa.Array:
    """EWKB with its SRID of WKB whose least significant bytes come first, and whose `codes` are known.

    `wrap` is as above.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kinds, places = _distinct(codes * 8 + wrap)
    heads = pa.array([_head(kind // 8, kind % 8, srid) for kind in kinds.tolist()], made.type)
    wrapped = wrap > 0
    bodies = made
    if not wrapped.all():
        longest = int(wkb.lengths_and_orders(made)[0].max(initial=HEAD))
        # Without an end PyArrow 26 reckons with more bytes than there can be.
        bodies = pc.binary_slice(made, HEAD, longest)
        if wrapped.any():
            bodies = pc.if_else(pa.array(wrapped), made, bodies)
    return pc.binary_join_element_wise(heads.take(pa.array(places)), bodies, pa.scalar(b"", made.type))


def merged(some: pa.Array, others: pa.Array, where: NDArray[Any]) -> pa.Array:
    """One array of two: the next of `some` where it says so, else the next of the others."""
    import numpy
    import pyarrow as pa

    places = numpy.where(where, numpy.cumsum(where) - 1, len(some) + numpy.cumsum(~where) - 1)
    return pa.concat_arrays([some, others]).take(pa.array(places))


def empty(base: str, srid: int, *, z: bool, m: bool) -> bytes:
    """An empty geometry: no parts, and for a point coordinates that are none."""
    code = BASES.get(base) or MULTI[base]
    head = _extended(code, srid, z=z, m=m)
    if base == "Point":
        return head + struct.pack("<d", float("nan")) * (2 + z + m)
    return head + struct.pack("<I", 0)


def _head(code: int, wrap: int, srid: int) -> bytes:
    z, m = code // 1000 in (1, 3), code // 1000 in (2, 3)
    if wrap:
        return _extended(wrap, srid, z=z, m=m) + struct.pack("<I", 1)
    return _extended(code % 1000, srid, z=z, m=m)


def _extended(base: int, srid: int, *, z: bool, m: bool) -> bytes:
    flags = wkb.EWKB_SRID | (wkb.EWKB_Z if z else 0) | (wkb.EWKB_M if m else 0)
    return struct.pack("<BII", 1, base | flags, srid)


def _distinct(numbers: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The different numbers, and for each its place among them; quickly where there is but one."""
    import numpy

    if len(numbers) and (numbers == numbers[0]).all():
        return numbers[:1], numpy.zeros(len(numbers), dtype=numpy.int64)
    return numpy.unique(numbers, return_inverse=True)
