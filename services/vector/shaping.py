"""What becomes of the geometries of a batch: lines for curves, mended, transformed, of the column's type."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from interfaces.layers import ChunkCounts, TablePlan
from interfaces.vectors import GeometryOptions

from . import wkb

if TYPE_CHECKING:
    import pyarrow as pa

Linearise = Callable[[Sequence[bytes], float], list[bytes | None]]
BASES = {"Point": 1, "LineString": 2, "Polygon": 3}
MULTI = {"MultiPoint": 4, "MultiLineString": 5, "MultiPolygon": 6, "GeometryCollection": 7}
DIMENSIONS = {
    "Point": 0,
    "MultiPoint": 0,
    "LineString": 1,
    "MultiLineString": 1,
    "Polygon": 2,
    "MultiPolygon": 2,
}
TURN = 360.0
"""Longitudes may go on over the antimeridian; beyond one turn they are mistakes."""
POLE = 90.0 + 1e-9


@dataclass
class Shaped:
    """The geometries of a batch as EWKB, or why a feature is rejected."""

    ewkb: list[bytes | None]
    reasons: list[str | None]
    counts: ChunkCounts


class Shaper:
    """Makes geometries of one layer fit one table. Holds no state between batches."""

    def __init__(self, plan: TablePlan, crs: str, options: GeometryOptions) -> None:
        self._options = options
        self._srid = plan.srid
        base = plan.geometry_type
        self._m = base.endswith("M")
        base = base.removesuffix("M")
        self._z = base.endswith("Z")
        self._base = base.removesuffix("Z")
        self._transform = _transformation(crs, plan.crs)
        self._geographic = _is_geographic(plan.crs)
        self._crs = plan.crs if len(plan.crs) < 30 else f"SRID {plan.srid}"

    def shape(self, column: pa.Array, linearise: Linearise) -> Shaped:
        """All geometries of a column of WKB. `linearise` is asked for curves only."""
        import numpy
        import shapely

        given: list[bytes | None] = column.to_pylist()
        reasons: list[str | None] = [None] * len(given)
        codes = wkb.codes(column)
        given, linearised = self._linear(given, codes, reasons, linearise)
        geometries = _parsed(given, reasons)
        self._without_dimensions(geometries)
        present = ~shapely.is_missing(geometries)
        empty = present & shapely.is_empty(geometries)
        repaired, area_change = self._repair(geometries, present & ~empty, reasons)
        self._moved(geometries, reasons)
        self._typed(geometries, empty, reasons)
        ewkb = self._written(geometries)
        self._settle_empty(ewkb, geometries, empty, reasons)
        nulls = numpy.array([one is None for one in given], dtype=bool)
        if self._options.null_geometries == "reject":
            for place in numpy.flatnonzero(nulls):
                reasons[place] = reasons[place] or "the feature has no geometry"
        counts = ChunkCounts(
            repaired=repaired,
            empty_geometries=int(empty.sum()),
            linearised=linearised,
            largest_area_change=area_change,
        )
        return Shaped(ewkb, reasons, counts)

    def _linear(
        self, given: list[bytes | None], codes: Any, reasons: list[str | None], linearise: Linearise
    ) -> tuple[list[bytes | None], int]:
        curved = [
            place for place, code in enumerate(codes.tolist()) if code > 0 and code % 1000 in wkb.CURVES
        ]
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

    def _repair(self, geometries: Any, look_at: Any, reasons: list[str | None]) -> tuple[int, float]:
        """Mend or reject what is not valid; how many were mended, and by how much an area changed at most."""
        import numpy
        import shapely

        if self._options.repair == "off":
            return 0, 0.0
        bad = numpy.flatnonzero(look_at & ~shapely.is_valid(geometries))
        if not len(bad):
            return 0, 0.0
        if self._options.repair == "drop":
            for place in bad:
                reasons[place] = f"is not valid: {shapely.is_valid_reason(geometries[place])}"
            return 0, 0.0
        before = shapely.area(geometries[bad])
        mended = shapely.make_valid(geometries[bad], method="structure", keep_collapsed=False)
        count = 0
        for place, shape in zip(bad, mended, strict=True):
            kept = _same_dimension(shape, geometries[place])
            if kept is None or kept.is_empty:
                reason = shapely.is_valid_reason(geometries[place])
                reasons[place] = f"is not valid, and nothing is left when it is mended: {reason}"
                continue
            geometries[place] = kept
            count += 1
        after = shapely.area(geometries[bad])
        with numpy.errstate(divide="ignore", invalid="ignore"):
            change = numpy.abs(after - before) / before
        change = change[numpy.isfinite(change)]
        return count, float(change.max()) if len(change) else 0.0

    def _moved(self, geometries: Any, reasons: list[str | None]) -> None:
        """Transform, and reject what then lies nowhere."""
        import numpy
        import shapely

        if self._transform is not None:
            geometries[:] = shapely.transform(
                geometries, self._transform, include_z=self._z, interleaved=False
            )
        bounds = shapely.bounds(geometries)
        there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
        lost = there & ~numpy.isfinite(bounds).all(axis=1)
        for place in numpy.flatnonzero(lost):
            moved = (
                f"cannot be transformed into {self._crs}" if self._transform else "has infinite coordinates"
            )
            reasons[place] = reasons[place] or moved
        if self._geographic:
            outside = (
                there
                & ~lost
                & (
                    (bounds[:, 1] < -POLE)
                    | (bounds[:, 3] > POLE)
                    | (bounds[:, 0] < -TURN)
                    | (bounds[:, 2] > TURN)
                )
            )
            for place in numpy.flatnonzero(outside):
                west, south, east, north = (f"{edge:.6g}" for edge in bounds[place])
                reasons[place] = reasons[place] or (
                    f"is not on Earth: its coordinates go from {west} {south} to {east} {north} degrees"
                )

    def _typed(self, geometries: Any, empty: Any, reasons: list[str | None]) -> None:
        """Single geometries into multi ones where the column holds those; others are rejected."""
        import numpy
        import shapely

        if self._base == "Geometry":
            return
        make = {
            "MultiPoint": (0, shapely.multipoints),
            "MultiLineString": (1, shapely.multilinestrings),
            "MultiPolygon": (3, shapely.multipolygons),
            "GeometryCollection": (None, shapely.geometrycollections),
        }
        ids = shapely.get_type_id(geometries)
        wanted = {"Point": 0, "LineString": 1, "Polygon": 3, "MultiPoint": 4, "MultiLineString": 5}
        own = wanted.get(self._base, 6 if self._base == "MultiPolygon" else 7)
        if self._base in make:
            single, collect = make[self._base]
            alone = (ids == single) if single is not None else (ids >= 0) & (ids != own)
            alone = alone & ~empty
            if alone.any():
                geometries[alone] = collect(geometries[alone].reshape(-1, 1))
                ids[alone] = own
        for place in numpy.flatnonzero((ids >= 0) & (ids != own) & ~empty):
            reasons[place] = reasons[place] or (
                f"is a {geometries[place].geom_type}, and the column holds {self._base}"
            )

    def _written(self, geometries: Any) -> list[bytes | None]:
        import shapely

        dimension = 2 + self._z + self._m
        written: list[bytes | None] = shapely.to_wkb(
            shapely.set_srid(geometries, self._srid), include_srid=True, output_dimension=dimension
        ).tolist()
        return written

    def _settle_empty(
        self, ewkb: list[bytes | None], geometries: Any, empty: Any, reasons: list[str | None]
    ) -> None:
        import numpy

        for place in numpy.flatnonzero(empty):
            if self._options.empty_geometries == "reject":
                reasons[place] = reasons[place] or "its geometry is empty"
            elif self._options.empty_geometries == "null":
                ewkb[place] = None
            else:
                # Of the column's own type and dimensions, whatever the file's empty one was.
                base = geometries[place].geom_type if self._base == "Geometry" else self._base
                ewkb[place] = empty_ewkb(base, self._srid, z=self._z, m=self._m)


def empty_ewkb(base: str, srid: int, *, z: bool, m: bool) -> bytes:
    """An empty geometry as PostGIS takes it (EWKB): no parts, and for a point coordinates that are none."""
    code = BASES.get(base) or MULTI[base]
    flags = wkb.EWKB_SRID | (wkb.EWKB_Z if z else 0) | (wkb.EWKB_M if m else 0)
    head = struct.pack("<BII", 1, code | flags, srid)
    if base == "Point":
        return head + struct.pack("<d", float("nan")) * (2 + z + m)
    return head + struct.pack("<I", 0)


def _parsed(given: Sequence[bytes | None], reasons: list[str | None]) -> Any:
    """Shapely's geometries; what cannot be read is missing, with the reason."""
    import numpy
    import shapely

    readable = [None if reason else one for one, reason in zip(given, reasons, strict=True)]
    geometries = numpy.asarray(shapely.from_wkb(numpy.array(readable, dtype=object), on_invalid="ignore"))
    for place in numpy.flatnonzero(shapely.is_missing(geometries)):
        one = readable[place]
        if one is None:
            continue
        try:
            shapely.from_wkb(one)
        except (shapely.GEOSException, NotImplementedError) as error:
            reasons[place] = f"its geometry cannot be read: {error}"[:300]
    return geometries


def _same_dimension(shape: Any, original: Any) -> Any | None:
    """Of what was mended, the part that has as many dimensions as before; None when there is none."""
    import shapely

    wanted = DIMENSIONS.get(original.geom_type)
    if wanted is None or DIMENSIONS.get(shape.geom_type) == wanted:
        return shape
    if shape.geom_type != "GeometryCollection":
        return None
    parts = [part for part in shapely.get_parts(shape) if DIMENSIONS.get(part.geom_type) == wanted]
    return shapely.union_all(parts) if parts else None


def _transformation(source: str, target: str) -> Callable[..., Any] | None:
    """Coordinates (x, y[, z]) to coordinates, x first whatever the CRS says; None where they stay."""
    from pyproj import CRS, Transformer

    one, other = CRS.from_user_input(source), CRS.from_user_input(target)
    if one == other or one.equals(other, ignore_axis_order=True):
        return None
    transform: Callable[..., Any] = Transformer.from_crs(one, other, always_xy=True).transform
    return transform


def _is_geographic(crs: str) -> bool:
    from pyproj import CRS

    parsed = CRS.from_user_input(crs)
    return bool(parsed.is_geographic and parsed.axis_info and parsed.axis_info[0].unit_name == "degree")
