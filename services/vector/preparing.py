"""Third stage of a load: one table of the layers that go into it, and an empty staging table."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import rfc8785

from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.layers import (
    Column,
    ColumnType,
    FeatureTables,
    Kind,
    KindTable,
    LayerFound,
    Owner,
    TablePlan,
)
from interfaces.vectors import LoadOptions, fitting
from interfaces.workflows import TaskContext

from . import wkb
from .columns import wider
from .naming import distinct

GENERATED_KEY = "fid"
GEOMETRY = "geom"
WGS84 = 4326
KINDS: dict[wkb.Family, Kind] = {
    "Point": "point",
    "LineString": "line",
    "Polygon": "polygon",
    "GeometryCollection": "collection",
}
"""What a table of such geometries is called after."""
MAX_COLUMNS = 1500
"""PostgreSQL takes 1,600, fewer where they are wide."""


class PreparedItem(Contract):
    """A layer for a table."""

    target: str
    layer: LayerFound


class PrepareTableParameters(TaskParameters):
    """The layers of one table, and what is asked."""

    target: str
    items: list[PreparedItem]
    options: LoadOptions


class PrepareTableResult(Contract):
    """What is going to be loaded."""

    tables: list[str]
    staging: str
    columns: int
    geometry_type: str
    srid: int
    features: int
    chunks: int
    notes: list[str]


class PrepareTable:
    """Makes a staging table, and discovers one item for each chunk."""

    def __init__(self, tables: FeatureTables) -> None:
        self._tables = tables

    def __call__(self, parameters: PrepareTableParameters, context: TaskContext) -> PrepareTableResult:
        """The plan in short. Raises `PermanentTaskError` with the reason why there is none."""
        found = [item.layer for item in parameters.items]
        plan = planned(parameters.target, found, parameters.options)
        tables = [kind.table for kind in plan.kinds] or [plan.target_table]
        for table in tables:
            self._tables.check_target(plan.target_schema, table, plan.if_exists, plan.srid)
        staging = self._tables.stage(plan, owner_of(context))
        number = first = 0
        items: list[dict[str, Any]] = []
        for layer in found:
            about = layer.model_dump(mode="json", exclude={"chunks", "geometry_types", "notes"})
            for chunk in layer.chunks:
                part = chunk.model_dump(mode="json")
                items.append(
                    {"staging": staging, "chunk": number, "first": first, "part": part, "layer": about}
                )
                number += 1
                first += chunk.features
        context.discover(items)
        return PrepareTableResult(
            tables=[f"{plan.target_schema}.{table}" for table in tables],
            staging=staging,
            columns=len(plan.columns),
            geometry_type=plan.geometry_type,
            srid=plan.srid,
            features=plan.features,
            chunks=plan.chunks,
            notes=plan.notes,
        )


def owner_of(context: TaskContext) -> Owner:
    """The attempt that a handler runs for."""
    return Owner(context.job_id, context.run, context.stage, context.task_index, context.fence)


def planned(target: str, found: Sequence[LayerFound], options: LoadOptions) -> TablePlan:
    """The table that holds all layers. Raises `PermanentTaskError` where one would not do."""
    if len(found) > 1 and options.target_table is None:
        names = [f"{one.source.name} ({one.layer})" for one in found[:2]]
        raise PermanentTaskError(
            f"{names[0]} and {names[1]} would both be table {target!r}: give target_table to load them "
            "together"
        )
    notes = [f"{one.source.name}: {note}" for one in found for note in one.notes]
    crs = found[0].crs if options.target_crs == "same" else options.target_crs
    assert crs is not None
    if options.target_crs == "same" and options.dimensions == "xy" and flat(crs) != crs:
        notes.append(f"{found[0].source.name}: without Z its CRS {crs} becomes {flat(crs)}"[:300])
        crs = flat(crs)
    srid = srid_of(crs)
    kind = geometry_type(found, options, notes)
    if kind.endswith("M") and any(one.crs != crs for one in found):
        raise PermanentTaskError("geometries with M cannot be transformed: give dimensions xyz or xy")
    if kind.endswith("M") and options.simplify is not None:
        raise PermanentTaskError("simplify: geometries with M cannot be simplified: give dimensions xyz")
    columns = merged(found, notes)
    columns, cast = asked_types(columns, options)
    key = [_keyed(columns, name) for name in options.key_columns]
    if len(set(key)) < len(key):
        raise PermanentTaskError(f"key_columns: names a column twice: {', '.join(options.key_columns)}")
    if options.primary_key is not None:
        key = [_keyed(columns, options.primary_key)]
    taken = {column.name for column in columns}
    return TablePlan(
        target_schema=options.target_schema,
        target_table=target,
        original=options.target_table or found[0].layer,
        if_exists=options.if_exists,
        columns=columns,
        key=key,
        generated_key=distinct([GENERATED_KEY], taken)[0],
        geometry_column=GEOMETRY,
        geometry_type=kind,
        srid=srid,
        crs=crs,
        chunks=sum(len(one.chunks) for one in found),
        features=sum(one.features for one in found),
        sources=list({one.source.name: one.source for one in found}.values()),
        parameters_hash=hashlib.sha256(rfc8785.dumps(options.model_dump(mode="json"))).hexdigest(),
        notes=notes,
        kinds=kind_tables(target, counted(found), kind, options),
        cast=cast,
        subdivide=None if _of_points(kind) else options.subdivide,
        numbered=not key,
    )


def _of_points(column: str) -> bool:
    """Whether a column's type is one of points, of which there are no pieces."""
    return column.removesuffix("M").removesuffix("Z").removeprefix("Multi") == "Point"


def srid_of(crs: str) -> int:
    """The EPSG code as which PostGIS knows a CRS. Raises `PermanentTaskError` where it has none."""
    from pyproj import CRS

    parsed = CRS.from_user_input(crs)
    authority = parsed.to_authority(min_confidence=90)
    if authority is not None and authority[0] == "OGC" and authority[1] in ("CRS84", "CRS84h"):
        return WGS84
    if authority is None or authority[0] not in ("EPSG", "ESRI"):
        raise PermanentTaskError(
            f"the CRS {parsed.name[:100]!r} has no code that PostGIS knows: give target_crs"
        )
    return int(authority[1])


def flat(crs: str) -> str:
    """The authority's code of a CRS without its heights; itself where it has none, or that has no code."""
    from pyproj import CRS

    parsed = CRS.from_user_input(crs)
    if len(parsed.axis_info) < 3:
        return crs
    made = parsed.sub_crs_list[0] if parsed.sub_crs_list else parsed.to_2d()
    authority = made.to_authority(min_confidence=90)
    return ":".join(authority) if authority else crs


def counted(found: Sequence[LayerFound]) -> dict[str, int]:
    """The kinds of geometries of all layers: codes as in `LayerFound`, and how many there are."""
    together: dict[str, int] = {}
    for one in found:
        for code, number in one.geometry_types.items():
            together[code] = together.get(code, 0) + number
    return together


def geometry_type(found: Sequence[LayerFound], options: LoadOptions, notes: list[str]) -> str:
    """The type of the geometry column, such as MultiPolygonZ. Raises where the layers do not go together."""
    kinds = wkb.kinds(counted(found))
    suffix = _dimensions(kinds, options, notes)
    if not kinds.families or options.mixed_geometries == "split":
        return f"Geometry{suffix}"
    if len(kinds.families) > 1:
        names = " and ".join(sorted(kinds.families))
        if options.mixed_geometries == "refuse":
            raise PermanentTaskError(f"mixed_geometries: the layer has geometries of kinds {names}")
        notes.append(f"the column takes any geometry: there are those of kinds {names}")
        return f"Geometry{suffix}"
    return f"{_base(kinds, options)}{suffix}"


def _base(kinds: wkb.Kinds, options: LoadOptions) -> str:
    """The type of a column for one kind of geometries, without its dimensions."""
    [family] = kinds.families
    if family == "GeometryCollection":
        return family
    return f"Multi{family}" if options.promote_to_multi or kinds.multi else family


def kind_tables(target: str, types: Mapping[str, int], column: str, options: LoadOptions) -> list[KindTable]:
    """The tables that a layer is split into, one for each kind of its geometries; none where it is not split.

    `column` is the type of the staging table's column: dimensions are those of the whole layer.
    """
    families = wkb.kinds(types).families
    if options.mixed_geometries != "split" or not families:
        return []
    suffix = column.removeprefix("Geometry")
    made = []
    for family, kind in KINDS.items():
        if family in families:
            own = {code: types[code] for code in types if wkb.kinds({code: 1}).families == {family}}
            made.append(_kind_table(target, kind, f"{_base(wkb.kinds(own), options)}{suffix}"))
    kept = types.get(wkb.NULL) and options.null_geometries == "keep"
    if kept or options.empty_geometries == "null":
        made.append(_kind_table(target, "none", column))
    return made


def _kind_table(target: str, kind: Kind, type_: str) -> KindTable:
    return KindTable(kind=kind, table=fitting(target, f"_{kind}"), geometry_type=type_)


def _dimensions(kinds: wkb.Kinds, options: LoadOptions, notes: list[str]) -> str:
    if options.dimensions == "xy":
        return ""
    suffix = "Z" if kinds.z else ""
    if options.dimensions == "xyz" or not kinds.m:
        return suffix
    if kinds.some_without_m:
        raise PermanentTaskError(
            "dimensions: some geometries have M and others have not; give xyz to drop M, or xy"
        )
    notes.append("geometries have M")
    return f"{suffix}M"


def merged(found: Sequence[LayerFound], notes: list[str]) -> list[Column]:
    """The columns of all layers by what the files call them, each of a type that holds all its values."""
    types: dict[tuple[str, int], ColumnType] = {}
    for layer in found:
        seen: dict[str, int] = {}
        for field in layer.fields:
            # The second column of one name is the second of that name in every layer.
            seen[field.name] = seen.get(field.name, 0) + 1
            place = (field.name, seen[field.name])
            known = types.get(place, field.type)
            types[place] = wider(known, field.type)
            if types[place] != known and known != field.type:
                notes.append(f"column {field.name!r} is {known} and {field.type}: it becomes {types[place]}")
    if len(types) > MAX_COLUMNS:
        raise PermanentTaskError(f"there are {len(types)} columns, more than {MAX_COLUMNS}")
    originals = [name for name, _ in types]
    names = distinct(originals, {GEOMETRY, GENERATED_KEY})
    return [
        Column(name=name, type=kind, original=original)
        for name, original, kind in zip(names, originals, types.values(), strict=True)
    ]


def asked_types(columns: Sequence[Column], options: LoadOptions) -> tuple[list[Column], list[str]]:
    """The columns with the types of `column_types`, and their names. Raises for one that is not there."""
    asked: dict[str, ColumnType] = {}
    for wanted, kind in options.column_types.items():
        type_: ColumnType = "double precision" if kind == "double" else kind
        name = _named(columns, wanted, "column_types")
        if asked.setdefault(name, type_) != type_:
            raise PermanentTaskError(f"column_types: {wanted!r} is a column that has another type there too")
    made = [column.model_copy(update={"type": asked.get(column.name, column.type)}) for column in columns]
    return made, list(asked)


def _keyed(columns: Sequence[Column], wanted: str) -> str:
    return _named(columns, wanted, "primary_key or key_columns")


def _named(columns: Sequence[Column], wanted: str, parameter: str) -> str:
    """The name of a column that is called as the file has it, else of one that the table calls so."""
    # The file's names first: of "Name" and "name" the first is `name` in the table.
    called = [*((column.original, column.name) for column in columns), *((c.name, c.name) for c in columns)]
    for known, name in called:
        if wanted == known:
            return name
    names = ", ".join(column.original for column in columns)
    raise PermanentTaskError(f"{parameter}: there is no column {wanted!r} in {names}"[:500])
