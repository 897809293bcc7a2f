"""What becomes of the geometries of a batch.

In this order: lines for curves, dimensions, the antimeridian, the CRS, mending, simplifying, the precision
grid, winding, the column's type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interfaces.layers import ChunkCounts, TablePlan
from interfaces.vectors import GeometryOptions

from . import ewkb, generalising, mending, plain, wkb, wrapping
from .lonlat import LonLat, is_geographic, transformation
from .preparing import flat

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

Linearise = Callable[[Sequence[bytes], float], list[bytes | None]]
TYPE_IDS = {
    "Point": (0, 0),
    "LineString": (1, 1),
    "Polygon": (3, 3),
    "MultiPoint": (4, 0),
    "MultiLineString": (5, 1),
    "MultiPolygon": (6, 3),
    "GeometryCollection": (7, 7),
}
"""GEOS's numbers of a column's type and of its single geometries. Those of multi geometries are WKB's."""
TURN = 360.0
"""Longitudes may go on over the antimeridian; beyond one turn they are mistakes."""
EMPTY = "its geometry is empty"
COLLAPSED = f"{EMPTY}: nothing is left of it, simplified or on the precision grid"
POLE = 90.0 + 1e-9


@dataclass
class Shaped:
    """The geometries of a batch as EWKB (an array of binary), or why a feature is rejected."""

    ewkb: pa.Array
    reasons: list[str | None]
    counts: ChunkCounts


class Shaper:
    """Makes geometries of one layer fit one table. Holds no state between batches."""

    def __init__(self, plan: TablePlan, crs: str, options: GeometryOptions) -> None:
        self._options = options
        self._srid = plan.srid
        self._base, self._z, self._m = _dimensions(plan.geometry_type)
        # Of a layer that is split, by kind; else one for all.
        self._bases = [_dimensions(kind.geometry_type)[0] for kind in plan.kinds if kind.kind != "none"]
        # Without heights the same coordinates, whose digits a transformation would not keep.
        same = not self._z and flat(crs) == plan.crs
        self._transform = None if same else transformation(crs, plan.crs)
        self._from_degrees = is_geographic(crs)
        self._to_degrees = is_geographic(plan.crs)
        self._served = LonLat(plan.crs)
        self._crs = plan.crs if len(plan.crs) < 30 else f"SRID {plan.srid}"
        self._plain = _plain_wraps(self._base, self._bases)
        if self._transform or self._z or self._m or options.simplify or options.precision:
            self._plain = {}

    def shape(self, column: pa.Array, linearise: Linearise) -> Shaped:
        """All geometries of a column of WKB. `linearise` is asked for curves only."""
        import pyarrow as pa

        codes = wkb.codes(column)
        found = plain.look(column, codes, self._plain, degrees=self._from_degrees, served=self._served)
        right = found.right
        if not right.any():
            return self._shape(column, codes, linearise)
        kept = column if right.all() else column.filter(pa.array(right))
        if found.clockwise.any():
            kept = plain.turned(kept, codes[right], found.clockwise[right])
        made = ewkb.kept(kept, codes[right], _looked_up(codes[right], self._plain), self._srid)
        if len(kept) == len(column):
            return Shaped(made, [None] * len(column), ChunkCounts())
        others = self._shape(column.filter(pa.array(~right)), codes[~right], linearise)
        reasons = _spread(others.reasons, right)
        return Shaped(ewkb.merged(made, others.ewkb, right), reasons, others.counts)

    def _shape(self, column: pa.Array, codes: NDArray[Any], linearise: Linearise) -> Shaped:
        """The whole way, for any geometries."""
        import numpy
        import shapely

        given: list[bytes | None] = column.to_pylist()
        reasons: list[str | None] = [None] * len(given)
        curves = wkb.curved(column, codes)
        given, linearised = self._linear(given, codes, curves, reasons, linearise)
        geometries, closed = _parsed(given, reasons, close=self._options.repair == "make_valid")
        read = geometries.copy()
        self._without_dimensions(geometries)
        wrapped = self._placed(geometries, reasons)
        repaired, area_change, repeated = self._repair(geometries, reasons)
        _leave_out(geometries, reasons)
        collapsed = generalising.generalised(
            geometries, self._options.simplify, self._options.precision, reasons
        )
        geometries[:] = shapely.orient_polygons(geometries)
        empty = ~shapely.is_missing(geometries) & shapely.is_empty(geometries)
        wrap = self._typed(geometries, empty, reasons)
        same = ewkb.unchanged(column, codes, read, geometries) & ~empty
        made = ewkb.written(column, same, geometries, wrap, self._srid)
        made = self._settle_empty(made, geometries, empty, collapsed, reasons)
        if self._options.null_geometries == "reject" and column.null_count:
            for place in numpy.flatnonzero(codes == 0):
                reasons[place] = reasons[place] or "the feature has no geometry"
        counts = ChunkCounts(
            repaired=repaired + closed,
            empty_geometries=int(empty.sum()),
            linearised=linearised,
            antimeridian=wrapped,
            collapsed=int(collapsed.sum()),
            repeated_vertices=repeated,
            largest_area_change=area_change,
        )
        return Shaped(made, reasons, counts)

    def _linear(
        self,
        given: list[bytes | None],
        codes: Any,
        curves: Any,
        reasons: list[str | None],
        linearise: Linearise,
    ) -> tuple[list[bytes | None], int]:
        curved = curves.nonzero()[0].tolist()
        for place, code in enumerate(codes.tolist()):
            if code < 0 or (code > 0 and code % 1000 not in wkb.FAMILIES):
                name = wkb.NAMES.get(code % 1000, "unknown kind") if code > 0 else "geometry that is cut off"
                reasons[place] = f"a {name} cannot be stored"
        if not curved:
            return given, 0
        lines = linearise([given[place] or b"" for place in curved], self._options.curve_step_degrees)
        made = list(given)
        for place, line in zip(curved, lines, strict=True):
            made[place] = line
            if line is None:
                reasons[place] = "the curve cannot be read"
        return made, len(curved)

    def _without_dimensions(self, geometries: Any) -> None:
        """Drop Z and M that the column does not have; Z that it has and some lack is 0."""
        import shapely

        if not self._z and not self._m:
            if shapely.has_z(geometries).any() or shapely.has_m(geometries).any():
                geometries[:] = shapely.force_2d(geometries)
            return
        if self._z and not self._m and shapely.has_m(geometries).any():
            measured = shapely.has_m(geometries)
            # Written with three dimensions, of which M is the last to go.
            geometries[measured] = shapely.from_wkb(
                shapely.to_wkb(geometries[measured], output_dimension=3, flavor="iso")
            )
            only_m = shapely.has_m(geometries)
            geometries[only_m] = shapely.force_2d(geometries[only_m])
        if self._z:
            flat = (
                ~shapely.is_missing(geometries) & ~shapely.has_z(geometries) & ~shapely.is_empty(geometries)
            )
            if flat.any():
                geometries[flat] = shapely.force_3d(geometries[flat], z=0.0)

    def _placed(self, geometries: Any, reasons: list[str | None]) -> int:
        """Transform, and reject what then lies nowhere; how many were wrapped at the antimeridian."""
        import shapely

        wrapped = 0
        bounds = _finite_bounds(geometries, reasons, "has infinite coordinates")
        if self._from_degrees:
            _refuse_unearthly(geometries, bounds, reasons)
            wrapped += self._wrap(geometries, bounds, reasons)
        if self._transform is not None:
            geometries[:] = shapely.transform(
                geometries, self._transform, include_z=self._z, interleaved=False
            )
            bounds = _finite_bounds(geometries, reasons, f"cannot be transformed into {self._crs}")
        if self._to_degrees and not self._from_degrees:
            _refuse_unearthly(geometries, bounds, reasons)
            wrapped += self._wrap(geometries, bounds, reasons)
        self._served.refuse(geometries, bounds, reasons)
        return wrapped

    def _wrap(self, geometries: Any, bounds: NDArray[Any], reasons: list[str | None]) -> int:
        import numpy

        if self._options.antimeridian == "keep":
            return 0
        count = 0
        for place in numpy.flatnonzero(wrapping.candidates(bounds)):
            try:
                made = wrapping.wrapped(geometries[place])
            except wrapping.Uncut as error:
                reasons[place], geometries[place] = str(error), None
                continue
            count += made is not geometries[place]
            geometries[place] = made
        return count

    def _repair(self, geometries: Any, reasons: list[str | None]) -> tuple[int, float, int]:
        """Mend or reject what is not valid.

        How many were mended, by how much an area changed at most, and how many had vertices twice.
        """
        import shapely

        if self._options.repair == "off":
            return 0, 0.0, 0
        look_at = ~shapely.is_missing(geometries) & ~shapely.is_empty(geometries)
        if self._options.repair == "drop":
            mending.refuse_invalid(geometries, look_at, reasons)
            return 0, 0.0, 0
        repaired, area_change = mending.mended(geometries, look_at, reasons)
        flat = not self._z and not self._m
        return repaired, area_change, mending.without_repeated_vertices(geometries) if flat else 0

    def _typed(self, geometries: Any, empty: Any, reasons: list[str | None]) -> NDArray[Any]:
        """Reject what the column does not hold; which multi geometry is to be made of each single one."""
        import numpy
        import shapely

        ids = shapely.get_type_id(geometries)
        wrap = numpy.zeros(len(ids), dtype=numpy.int64)
        if self._base == "Geometry" and not self._bases:
            return wrap
        fits = empty | (ids < 0)
        for base in self._bases or [self._base]:
            own, single = TYPE_IDS[base]
            alone = (ids == single) & ~empty
            if base == "GeometryCollection":
                # Where a layer is split, all but collections have tables of their own.
                alone = (ids >= 0) & (ids != own) & ~empty if not self._bases else ids < -1
            if base in ewkb.MULTI:
                wrap[alone] = ewkb.MULTI[base]
                fits |= alone
            fits |= ids == own
        holds = f"the column holds {self._base}" if not self._bases else "there is no table for those"
        for place in numpy.flatnonzero(~fits):
            reasons[place] = reasons[place] or f"is a {geometries[place].geom_type}, and {holds}"
        return wrap

    def _settle_empty(
        self, made: pa.Array, geometries: Any, empty: Any, collapsed: Any, reasons: list[str | None]
    ) -> pa.Array:
        import numpy
        import pyarrow as pa
        import pyarrow.compute as pc

        if not empty.any():
            return made
        instead: list[bytes | None] = []
        for place in numpy.flatnonzero(empty):
            settled = None
            if self._options.empty_geometries == "reject":
                reasons[place] = reasons[place] or (COLLAPSED if collapsed[place] else EMPTY)
            elif self._options.empty_geometries != "null":
                # Of the column's own type and dimensions, whatever the file's empty one was.
                base = geometries[place].geom_type if self._base == "Geometry" else self._base
                base = base if not self._bases else _of_kind(base, self._bases)
                settled = ewkb.empty(base, self._srid, z=self._z, m=self._m)
            instead.append(settled)
        return pc.replace_with_mask(made, pa.array(empty), pa.array(instead, made.type))


def _plain_wraps(base: str, bases: Sequence[str]) -> dict[int, int]:
    """For codes of WKB that a column takes, of which multi geometry they become the part; 0 for none."""
    if base == "Geometry" and not bases:
        return dict.fromkeys((*ewkb.BASES.values(), *ewkb.MULTI.values()), 0)
    wraps: dict[int, int] = {}
    for one in bases or [base]:
        if one in ewkb.BASES:
            wraps[ewkb.BASES[one]] = 0
        elif one != "GeometryCollection":
            multi = ewkb.MULTI[one]
            wraps |= {multi: 0, multi - 3: multi}
    return wraps


def _looked_up(codes: NDArray[Any], wraps: Mapping[int, int]) -> NDArray[Any]:
    import numpy

    table = numpy.zeros(max(wraps) + 1, dtype=numpy.int64)
    table[list(wraps)] = list(wraps.values())
    found: NDArray[Any] = table[codes]
    return found


def _spread(reasons: Sequence[str | None], right: NDArray[Any]) -> list[str | None]:
    """Of all features, given those of the ones that are not right."""
    import numpy

    spread: list[str | None] = [None] * len(right)
    for place, reason in zip(numpy.flatnonzero(~right).tolist(), reasons, strict=True):
        spread[place] = reason
    return spread


def _dimensions(kind: str) -> tuple[str, bool, bool]:
    """A column's type without Z and M, and whether it has them."""
    m = kind.endswith("M")
    kind = kind.removesuffix("M")
    return kind.removesuffix("Z"), kind.endswith("Z"), m


def _of_kind(name: str, bases: Sequence[str]) -> str:
    """Of the columns' types the one that is of the kind of a geometry; itself where there is none."""
    return next((base for base in bases if base.removeprefix("Multi") == name.removeprefix("Multi")), name)


def _parsed(given: Sequence[bytes | None], reasons: list[str | None], *, close: bool) -> tuple[Any, int]:
    """Shapely's geometries, and how many had rings to close; what cannot be read is missing."""
    import numpy
    import shapely

    readable = [None if reason else one for one, reason in zip(given, reasons, strict=True)]
    geometries = numpy.asarray(shapely.from_wkb(numpy.array(readable, dtype=object), on_invalid="ignore"))
    closed = 0
    for place in numpy.flatnonzero(shapely.is_missing(geometries)):
        one = readable[place]
        if one is None:
            continue
        if close:
            geometries[place] = shapely.from_wkb(one, on_invalid="fix")
        if geometries[place] is not None:
            closed += 1
            continue
        try:
            shapely.from_wkb(one)
        except (shapely.GEOSException, NotImplementedError) as error:
            reasons[place] = f"its geometry cannot be read: {error}"[:300]
    return geometries, closed


def _leave_out(geometries: Any, reasons: list[str | None]) -> None:
    """What is rejected need not be looked at any more, and might be what a library refuses."""
    for place, reason in enumerate(reasons):
        if reason is not None:
            geometries[place] = None


def _finite_bounds(geometries: Any, reasons: list[str | None], reason: str) -> NDArray[Any]:
    """West, south, east and north of each, NaN of what is missing or empty; what is infinite is rejected."""
    import numpy
    import shapely

    bounds: NDArray[Any] = shapely.bounds(geometries)
    there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    for place in numpy.flatnonzero(there & ~numpy.isfinite(bounds).all(axis=1)):
        reasons[place], geometries[place] = reasons[place] or reason, None
        bounds[place] = numpy.nan
    return bounds


def _refuse_unearthly(geometries: Any, bounds: NDArray[Any], reasons: list[str | None]) -> None:
    """Reject, of degrees, latitudes beyond the poles and longitudes beyond a whole turn."""
    import numpy

    outside = (bounds[:, 1] < -POLE) | (bounds[:, 3] > POLE) | (bounds[:, 0] < -TURN) | (bounds[:, 2] > TURN)
    for place in numpy.flatnonzero(outside):
        west, south, east, north = (f"{edge:.6g}" for edge in bounds[place])
        reasons[place] = reasons[place] or (
            f"is not on Earth: its coordinates go from {west} {south} to {east} {north} degrees"
        )
        geometries[place] = None
        bounds[place] = numpy.nan
