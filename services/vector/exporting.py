"""Handlers of export_vector: what is to be read, then the file, which is published whole or not at all.

The file is made in scratch space from one reading of the table, opened and counted there, uploaded under a
name that only this attempt uses, and copied to its target on the server. A crash, or an error, before the
copy leaves the target as it was, and at most a scratch blob, which the engine removes when the run has ended;
after it, a target that bears the mark of its task, which the next attempt replaces by its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from interfaces.blobs import BlobRepository
from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.layer_exports import (
    EXTENSIONS,
    ExportColumn,
    ExportFormat,
    ExportTarget,
    LayerMeasure,
    LayerQuery,
    LayerReader,
    LayerSelection,
    RegisteredLayer,
)
from interfaces.layers import ColumnType
from interfaces.vectors import ReadOptions
from interfaces.workflows import TaskContext
from services.budget import size_text
from services.cog.naming import filled
from services.cog.resources import Resources
from services.export_blobs import ExportBlobs
from services.storage_access import container_must_answer, target_must_exist

from . import gdal_files, geoparquet
from .areas import area_in
from .arrow_rows import PLAIN, Seen, batches_of, bounds_of, schema_of
from .naming import distinct
from .preparing import owner_of, srid_of

if TYPE_CHECKING:
    import pyarrow as pa

MARK = "export_vector"
"""Key in a file's metadata that says which attempt of which job wrote it."""
MEDIA_TYPES: dict[ExportFormat, str] = {
    "geoparquet": "application/vnd.apache.parquet",
    "flatgeobuf": "application/vnd.flatgeobuf",
    "geopackage": "application/geopackage+sqlite3",
}
WRITING_BYTES = 192 * 1024**2
"""Of memory: rows as they come and as Arrow, a row group, and what GDAL keeps."""
SPARE = 64 * 1024**2
SPACE: dict[ExportFormat, float] = {"geoparquet": 1.5, "flatgeobuf": 4.0, "geopackage": 2.5}
"""Of disk, for each byte that the database keeps, perhaps compressed. FlatGeobuf is written twice."""


class FindLayerParameters(TaskParameters):
    """What is asked."""

    selection: LayerSelection
    target: ExportTarget


class FindLayerResult(Contract):
    """The layer, and where it goes."""

    layer: str
    rows: int
    name: str
    notes: list[str]


class FindLayer:
    """Discovers one item, `{"query": LayerQuery, "name": …, "notes": […]}`, which all attempts then share."""

    def __init__(self, layers: LayerReader, blobs: BlobRepository) -> None:
        self._layers = layers
        self._blobs = blobs

    def __call__(self, parameters: FindLayerParameters, context: TaskContext) -> FindLayerResult:
        """Look it up. Raises `PermanentTaskError` for whatever the layer, or the target, is not fit for."""
        selection, target = parameters.selection, parameters.target
        target_must_exist(self._blobs, target.target_container)
        layer = self._layers.find(selection.source_schema, selection.source_table)
        query, notes = asked(layer, selection, target.format)
        self._layers.check(query)
        shown = f"{layer.target_schema}.{layer.target_table}"
        values = {
            "schema": layer.target_schema,
            "table": layer.target_table,
            "extension": EXTENSIONS[target.format],
        }
        name = filled(target.path_template, values, layer.loaded_at, shown)
        context.discover([{"query": query.model_dump(mode="json"), "name": name, "notes": [*notes]}])
        return FindLayerResult(layer=shown, rows=layer.rows, name=name, notes=notes)


class ExportLayerParameters(TaskParameters):
    """What `FindLayer` found."""

    query: LayerQuery
    name: str
    notes: list[str]
    target: ExportTarget


class ExportLayerResult(Contract):
    """A file, or why there is no new one."""

    layer: str
    status: Literal["written", "unchanged"]
    reason: str | None
    """Why it is unchanged."""
    container: str
    name: str
    url: str
    format: ExportFormat
    features: int = 0
    without_geometry: int = 0
    size: int = 0
    """Bytes."""
    crs: str | None = None
    extent: list[float] | None = None
    """[x min, y min, x max, y max] in the file's CRS."""
    row_groups: int | None = None
    notes: list[str]


@dataclass(frozen=True)
class _Made:
    """A file in scratch space."""

    path: Path
    seen: Seen
    row_groups: int | None


class ExportLayer:
    """Writes the file."""

    def __init__(self, layers: LayerReader, exports: ExportBlobs, resources: Resources) -> None:
        self._layers = layers
        self._exports = exports
        self._resources = resources

    def __call__(self, parameters: ExportLayerParameters, context: TaskContext) -> ExportLayerResult:
        """Make, check and publish it. Raises `PermanentTaskError`, `Conflict` (to be tried again)."""
        query, target, name = parameters.query, parameters.target, parameters.name
        replace = target.overwrite == "always"
        with container_must_answer():
            if not replace and not self._exports.free(target.target_container, name, context):
                return self._result(parameters, None, 0)
            measure = self._layers.measure(query)
            if target.format == "flatgeobuf" and measure.without_geometry:
                raise PermanentTaskError(
                    f"FlatGeobuf takes no features without a geometry, and {measure.without_geometry} have "
                    "none or an empty one: give without_geometry skip, or another format"
                )
            space = min(int(measure.size * SPACE[target.format]) + SPARE, self._resources.scratch_bytes)
            check = context.check
            memory = min(WRITING_BYTES, self._resources.free_bytes)
            with self._resources.memory(memory, check), self._resources.room(check)(space) as folder:
                made = self._made(parameters, measure, folder, _bounded(folder, space, check))
                size = made.path.stat().st_size
                written = self._exports.publish_file(
                    target.target_container,
                    name,
                    made.path,
                    MEDIA_TYPES[target.format],
                    context,
                    overwrite=replace,
                    held=lambda: self._layers.check_held(owner_of(context)),
                )
        return self._result(parameters, made if written else None, size)

    def _made(
        self,
        parameters: ExportLayerParameters,
        measure: LayerMeasure,
        folder: Path,
        check: Callable[[], None],
    ) -> _Made:
        """Write, then open and count what was written."""
        query, kind = parameters.query, parameters.target.format
        path = folder / f"data.{EXTENSIONS[kind]}"
        schema = schema_of(query.columns, query.layer.geometry_column)
        seen = Seen()
        row_groups = None
        crs = query.target_crs
        with self._layers.reading(query) as rows:
            batches = _looked_at(batches_of(rows, query.columns, schema, check), seen, query)
            if kind == "geoparquet":
                row_groups = geoparquet.write(path, schema, batches, crs, seen)
            else:
                gdal_files.write(
                    path,
                    gdal_files.DRIVERS[kind],
                    query.layer.target_table,
                    schema,
                    (batch for batch, _ in batches),
                    geometry_type=query.layer.geometry_type,
                    crs=crs,
                    options=_options(kind, query, measure),
                )
        found = geoparquet.read(path) if kind == "geoparquet" else gdal_files.read(path)
        if found != seen.features:
            raise PermanentTaskError(f"of {seen.features} features that were read, {found} are in the file")
        return _Made(path, seen, row_groups)

    def _result(self, parameters: ExportLayerParameters, made: _Made | None, size: int) -> ExportLayerResult:
        query, target = parameters.query, parameters.target
        result = ExportLayerResult(
            layer=f"{query.layer.target_schema}.{query.layer.target_table}",
            status="unchanged",
            reason=f"{parameters.name!r} exists, and overwrite is never",
            container=target.target_container,
            name=parameters.name,
            url=self._exports.url(target.target_container, parameters.name),
            format=target.format,
            notes=[],
        )
        if made is None:
            return result
        return result.model_copy(
            update={
                "status": "written",
                "reason": None,
                "features": made.seen.features,
                "without_geometry": made.seen.without_geometry,
                "size": size,
                "crs": query.target_crs,
                "extent": made.seen.bounds,
                "row_groups": made.row_groups,
                "notes": [*parameters.notes, *_noted(made.seen, target.format)],
            }
        )


def asked(
    layer: RegisteredLayer, selection: LayerSelection, kind: ExportFormat
) -> tuple[LayerQuery, list[str]]:
    """What is read of a layer, and what its format makes of it. Raises `PermanentTaskError`."""
    notes: list[str] = []
    if layer.crs is None and (selection.target_crs != "same" or selection.bbox is not None):
        raise PermanentTaskError("target_crs, bbox: the layer has no CRS")
    srid = layer.srid if selection.target_crs == "same" else srid_of(selection.target_crs)
    area = area_in(ReadOptions(bbox=selection.bbox), layer.crs) if layer.crs is not None else None
    keeps_m = kind != "geoparquet"
    if layer.geometry_type.endswith("M") and not keeps_m:
        notes.append("geometries are written without M, which GeoParquet does not take")
    columns = [_column(name, kind_, kind, notes) for name, kind_ in _chosen(layer, selection.columns)]
    query = LayerQuery(
        layer=layer,
        columns=columns,
        where=selection.where,
        bounds=None if area is None else list(area.bounds),
        target_srid=srid,
        target_crs=layer.crs if selection.target_crs == "same" else selection.target_crs,
        dimensions="keep" if keeps_m else "xyz",
        without_geometry=selection.without_geometry,
        order=selection.order,
    )
    return query, notes


def _chosen(layer: RegisteredLayer, wanted: list[str] | None) -> list[tuple[str, ColumnType]]:
    """Columns by name, a generated key among them."""
    named = {column.name: column.type for column in layer.columns}
    every: dict[str, ColumnType] = {name: "bigint" for name in layer.key if name not in named}
    every |= named
    if wanted is None:
        return list(every.items())
    called = {column.original: column.name for column in layer.columns}
    chosen: dict[str, ColumnType] = {}
    for name in wanted:
        own = name if name in every else called.get(name)
        if own is None:
            raise PermanentTaskError(f"columns: there is no column {name!r} in {', '.join(every)}"[:500])
        chosen[own] = every[own]
    return list(chosen.items())


def _column(name: str, type_: ColumnType, kind: ExportFormat, notes: list[str]) -> ExportColumn:
    """How a column is read for a format."""
    as_text = type_ not in PLAIN
    if as_text and type_ != "jsonb":
        notes.append(f"column {name!r} is {type_}, and is written as text")
    if kind == "geoparquet":
        return ExportColumn(name=name, type=type_, as_text=as_text)
    if type_.endswith("[]"):
        notes.append(f"column {name!r} is a list, and is written as JSON text")
    elif type_ == "time":
        notes.append(f"column {name!r} is a time of day, and is written as text")
    elif type_ == "date" and kind == "flatgeobuf":
        notes.append(f"column {name!r} is a date, and FlatGeobuf has only times: readers see its midnight")
    elif type_ == "timestamp" and kind == "geopackage":
        notes.append(f"column {name!r} has times without a zone, which GeoPackage takes for UTC")
    elif type_ == "jsonb" and kind == "flatgeobuf":
        notes.append(f"column {name!r} is jsonb, and is text to readers of FlatGeobuf")
    elif type_ == "timestamptz" and kind == "flatgeobuf":
        notes.append(f"column {name!r} has times in UTC, which readers of FlatGeobuf may not be told")
    return ExportColumn(name=name, type=type_, as_text=as_text or type_ == "time" or type_.endswith("[]"))


def _options(kind: ExportFormat, query: LayerQuery, measure: LayerMeasure) -> dict[str, str]:
    """Of GDAL's driver."""
    if kind == "flatgeobuf":
        return {"SPATIAL_INDEX": "YES" if measure.rows <= gdal_files.INDEXED else "NO"}
    layer, taken = query.layer, {column.name for column in query.columns}
    generated = set(layer.key) - {column.name for column in layer.columns}
    [key] = generated & taken or distinct(["fid"], taken)
    return {"FID": key}


def _looked_at(
    batches: Iterator[pa.RecordBatch], seen: Seen, query: LayerQuery
) -> Iterator[tuple[pa.RecordBatch, Any]]:
    for batch in batches:
        bounds = bounds_of(batch)
        seen.look(batch, bounds, query.columns)
        yield batch, bounds


def _bounded(folder: Path, space: int, check: Callable[[], None]) -> Callable[[], None]:
    """`check`, and the end for what takes more of the disk than was reserved for it."""

    def checked() -> None:
        check()
        used = 0
        for file in folder.iterdir():
            # What GDAL keeps beside its file comes and goes.
            with suppress(FileNotFoundError):
                used += file.stat().st_size
        if used > space:
            raise PermanentTaskError(
                f"the file takes more than {size_text(space)} of temporary disk space: select less of it"
            )

    return checked


def _noted(seen: Seen, kind: ExportFormat) -> list[str]:
    notes = []
    if kind != "geoparquet" and seen.fine_times:
        notes.append("times are cut to milliseconds, which are the finest that GDAL keeps")
    if kind == "geopackage":
        # SQLite has no such number.
        notes += [
            f"column {name!r}: NaN, of which GeoPackage has none, is null" for name in sorted(seen.with_nan)
        ]
    if kind == "flatgeobuf" and seen.features > gdal_files.INDEXED:
        notes.append(f"has no spatial index, which only files of up to {gdal_files.INDEXED:,} features get")
    return notes
