"""Geometries that are not valid, and what is done about them without changing what they say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIMENSIONS = {
    "Point": 0,
    "MultiPoint": 0,
    "LineString": 1,
    "MultiLineString": 1,
    "Polygon": 2,
    "MultiPolygon": 2,
}


def mended(geometries: Any, look_at: Any, reasons: list[str | None]) -> tuple[int, float]:
    """Mend in place what is not valid (GEOS, method `structure`), or say why it cannot be.

    Answers how many were mended, and by how much an area changed at most, as a fraction of what it was.
    """
    import numpy
    import shapely

    bad = numpy.flatnonzero(look_at & ~shapely.is_valid(geometries))
    if not len(bad):
        return 0, 0.0
    before = shapely.area(geometries[bad])
    made = shapely.make_valid(geometries[bad], method="structure", keep_collapsed=False)
    count = 0
    for place, shape in zip(bad, made, strict=True):
        kept = same_dimension(shape, geometries[place])
        if kept is None or kept.is_empty:
            reason = shapely.is_valid_reason(geometries[place])
            reasons[place] = f"is not valid, and nothing is left when it is mended: {reason}"
            continue
        if kept.has_m and numpy.isnan(shapely.get_coordinates(kept, include_m=True)).any():
            reasons[place] = "is not valid, and M of the vertices that mending makes is not known"
            continue
        geometries[place] = kept
        count += 1
    after = shapely.area(geometries[bad])
    with numpy.errstate(divide="ignore", invalid="ignore"):
        change = numpy.abs(after - before) / before
    change = change[numpy.isfinite(change)]
    return count, float(change.max()) if len(change) else 0.0


def refuse_invalid(geometries: Any, look_at: Any, reasons: list[str | None]) -> None:
    """A reason for each that is not valid."""
    import numpy
    import shapely

    for place in numpy.flatnonzero(look_at & ~shapely.is_valid(geometries)):
        reasons[place] = f"is not valid: {shapely.is_valid_reason(geometries[place])}"


def without_repeated_vertices(geometries: Any) -> int:
    """Drop, in place, vertices that are where the one before is; answers of how many geometries.

    Of geometries in two dimensions: what differs in Z or M only is no repetition.
    """
    import numpy
    import shapely

    coordinates, owners = shapely.get_coordinates(geometries, return_index=True)
    if len(coordinates) < 2:
        return 0
    x, y = coordinates.T
    # Column by column: it is asked of every batch, and mostly there are none.
    same = (x[1:] == x[:-1]) & (y[1:] == y[:-1]) & (owners[1:] == owners[:-1])
    if not same.any():
        return 0
    places: NDArray[Any] = numpy.unique(owners[1:][same])
    before = shapely.get_num_coordinates(geometries[places])
    # What is valid stays so; points of a MultiPoint are none of a line's vertices, and stay.
    made = shapely.remove_repeated_points(geometries[places])
    kept = ~shapely.is_empty(made) & ~numpy.isin(shapely.get_type_id(made), (0, 4, 7))
    geometries[places[kept]] = made[kept]
    return int((shapely.get_num_coordinates(geometries[places]) < before).sum())


def same_dimension(shape: Any, original: Any) -> Any | None:
    """Of what was made of a geometry, the part that has as many dimensions; None when there is none."""
    import shapely

    wanted = DIMENSIONS.get(original.geom_type)
    if wanted is None or DIMENSIONS.get(shape.geom_type) == wanted:
        return shape
    if shape.geom_type != "GeometryCollection":
        return None
    parts = [part for part in shapely.get_parts(shape) if DIMENSIONS.get(part.geom_type) == wanted]
    return shapely.union_all(parts) if parts else None
