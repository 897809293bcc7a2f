"""Fourth stage of a load: a chunk of a layer, from the file into the staging table, batch by batch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pydantic import AliasChoices, Field

from interfaces.contracts import Contract, TaskParameters
from interfaces.errors import PermanentTaskError
from interfaces.layers import (
    Attribute,
    Chunk,
    ChunkCounts,
    ChunkWriter,
    ColumnType,
    FeatureTables,
    Rejected,
    SourceFile,
    TablePlan,
)
from interfaces.vectors import LoadOptions
from interfaces.workflows import TaskContext

from . import json_text, points, wkb, xml_values
from .areas import area_in
from .casting import cast, numbers
from .columns import arrow, arrow_type, dated, unread_numbers, unstorable
from .files import VectorOpener
from .inspecting import choose
from .parts import JSON
from .preparing import owner_of
from .reading import Stream, stream
from .shaping import Shaper

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)


class LayerToLoad(TaskParameters):
    """Of `LayerFound`, what loading it needs."""

    source: SourceFile
    layer: str
    driver: str
    crs: str
    fields: list[Attribute]
    features: int
    batch_features: int
    encoding: str | None
    null_is_lost: bool
    numbers_are_lost: bool = False
    odd_values: list[str] = Field(
        default_factory=list, validation_alias=AliasChoices("odd_values", "odd_dates")
    )
    """Tasks that were made before numbers were looked at call it by the other name."""
    zoned: list[str] = Field(default_factory=list)
    times_as_text: bool = False


class LoadChunkParameters(TaskParameters):
    """A chunk, and where it goes."""

    staging: str
    chunk: int
    first: int = 0
    """Features of the table in the chunks before it."""
    part: Chunk
    layer: LayerToLoad
    options: LoadOptions


class LoadChunkResult(Contract):
    """What became of the chunk's features."""

    source: str
    layer: str
    staging: str
    chunk: int
    counts: ChunkCounts


class LoadChunk:
    """Loads a chunk in one transaction, and discovers `{"staging": …, "chunk": …, "counts": …}`."""

    def __init__(self, opener: VectorOpener, tables: FeatureTables) -> None:
        self._opener = opener
        self._tables = tables

    def __call__(self, parameters: LoadChunkParameters, context: TaskContext) -> LoadChunkResult:
        """Counts. Raises `PermanentTaskError` for a file that changed, or that ends before its end."""
        layer = parameters.layer
        options = parameters.options.model_copy(update={"encoding": layer.encoding})
        plan = self._tables.plan(parameters.staging)
        source = layer.source
        with self._opener.opened(
            source.container, source.name, context.check, source, encoding=options.encoding
        ) as opened:
            [chosen] = [one for one in choose(opened, options) if one.title == layer.layer]
            area = area_in(options, layer.crs)
            as_text = frozenset(options.column_types)
            reading = stream(
                chosen,
                options,
                batch=layer.batch_features,
                area=area,
                chunk=parameters.part,
                as_text=as_text,
                odd_values=layer.odd_values,
                zoned=layer.zoned if layer.zoned or layer.times_as_text else None,
            )
            with (
                reading as features,
                self._tables.loading(parameters.staging, owner_of(context), parameters.chunk) as writer,
            ):
                load = ChunkLoad(plan, parameters, features, writer)
                counts = load.all_batches(context)
        logger.info("%s, layer %s, chunk %d: %s", source.name, layer.layer, parameters.chunk, counts)
        context.discover(
            [
                {
                    "staging": parameters.staging,
                    "chunk": parameters.chunk,
                    "counts": counts.model_dump(mode="json"),
                }
            ]
        )
        return LoadChunkResult(
            source=source.name,
            layer=layer.layer,
            staging=parameters.staging,
            chunk=parameters.chunk,
            counts=counts,
        )


class ChunkLoad:
    """One chunk on its way, to wherever the writer puts it."""

    def __init__(
        self, plan: TablePlan, parameters: LoadChunkParameters, features: Stream, writer: ChunkWriter
    ) -> None:
        self._features = features
        self._writer = writer
        self._source = parameters.layer.source.name
        self._layer = parameters.layer.layer
        self._wanted = parameters.part.features
        self._first = parameters.part.skip
        self._null_is_lost = parameters.layer.null_is_lost
        self._shaper = Shaper(plan, parameters.layer.crs, parameters.options)
        self._columns = _placed(plan, features)
        self._is_json = parameters.layer.driver in JSON
        self._numbers_are_lost = parameters.layer.numbers_are_lost
        self._fails = parameters.options.column_type_errors == "fail"
        self._cast = [column.name in plan.cast for column in plan.columns]
        self._originals = [column.original for column in plan.columns]
        self._before = parameters.first if plan.numbered else None
        self._names = [
            plan.geometry_column,
            *([plan.generated_key] if plan.numbered else []),
            *(column.name for column in plan.columns),
        ]

    def all_batches(self, context: TaskContext) -> ChunkCounts:
        """Load until the chunk's end."""
        total = ChunkCounts()
        if self._wanted:
            for batch in self._features.batches:
                context.check()
                left = self._wanted - total.read
                counts = self._batch(batch.slice(0, left) if batch.num_rows > left else batch, total.read)
                total = _sum(total, counts)
                if total.read >= self._wanted:
                    break
        if total.read != self._wanted:
            raise PermanentTaskError(
                f"the file ends early: of {self._wanted} features that were found, {total.read} can be read"
            )
        return total

    def _batch(self, batch: pa.RecordBatch, before: int) -> ChunkCounts:
        import numpy
        import pyarrow as pa

        place = self._features.geometry
        assert place is not None
        geometry = batch.column(place)
        shaped = self._shaper.shape(geometry, self._writer.linearise)
        reasons = shaped.reasons
        columns = [self._values(batch, number, reasons) for number in range(len(self._columns))]
        self._find_lost(batch, geometry, reasons)
        self._find_misread(batch, reasons)
        if self._before is not None:
            first = self._before + before + 1
            columns.insert(0, pa.array(numpy.arange(first, first + batch.num_rows, dtype=numpy.int64)))
        rows = pa.RecordBatch.from_arrays([shaped.ewkb, *columns], names=self._names)
        rejected: list[Rejected] = []
        # All of them are looked at in no time: most often there is none.
        if any(reasons):
            rejected = [
                self._rejected(batch, number, before + number, reason)
                for number, reason in enumerate(reasons)
                if reason is not None
            ]
            rows = rows.filter(pa.array([reason is None for reason in reasons]))
        self._writer.write(rows)
        self._writer.reject(rejected)
        nulls = 0
        if geometry.null_count:
            missing = geometry.is_null().to_pylist()
            nulls = sum(one and reason is None for one, reason in zip(missing, reasons, strict=True))
        return shaped.counts.model_copy(
            update={
                "read": batch.num_rows,
                "loaded": rows.num_rows,
                "rejected": len(rejected),
                "null_geometries": nulls,
            }
        )

    def _values(self, batch: pa.RecordBatch, number: int, reasons: list[str | None]) -> pa.Array:
        """One column; of values that the table cannot hold, the reasons."""
        import pyarrow as pa

        at, source, target = self._columns[number]
        if at is None:
            return pa.nulls(batch.num_rows, arrow_type(target))
        array, outside = dated(batch.column(at))
        if self._is_json:
            array = json_text.as_written(array, is_json=source == "jsonb")
        array, misread = numbers(array, source)
        lost = unread_numbers(array, source) if self._numbers_are_lost else {}
        if self._cast[number]:
            found, unfit = cast(array, source, target)
        else:
            found, unfit = arrow(array, source, target), {}
        if self._fails and unfit:
            raise PermanentTaskError(f"column_types: {self._named(number, next(iter(unfit.values())))}")
        for row, reason in (unfit | lost | misread | outside | unstorable(found, target)).items():
            reasons[row] = reasons[row] or self._named(number, reason)
        return found

    def _named(self, number: int, reason: str) -> str:
        return f"column {self._originals[number]!r}: {reason}"

    def _find_lost(self, batch: pa.RecordBatch, geometry: pa.Array, reasons: list[str | None]) -> None:
        """What should be a geometry and is none becomes null in GDAL, with no word of it."""
        if not geometry.null_count:
            return
        missing = geometry.is_null().to_pylist()
        if self._null_is_lost:
            for number, lost in enumerate(missing):
                if lost:
                    reasons[number] = "its geometry is missing, or cannot be read"
        places = self._features.text_geometry
        if not places:
            return
        names = [batch.schema.field(place).name for place in places]
        texts = [batch.column(place).to_pylist() for place in places]
        for number, lost in enumerate(missing):
            said = [text[number] for text in texts]
            if lost and not all(map(points.is_blank, said)):
                reasons[number] = reasons[number] or points.unread(names, said)

    def _find_misread(self, batch: pa.RecordBatch, reasons: list[str | None]) -> None:
        """Of what is no date GDAL makes one that stands nowhere in the file."""
        if self._features.marked is not None:
            ids = batch.column(self._features.marked)
            for row, reason in xml_values.marked(ids, self._features.names).items():
                reasons[row] = reason
        if len(self._features.text_geometry) == 1:
            [place] = self._features.text_geometry
            texts = batch.column(place)
            for row in points.partly_read(texts):
                reasons[row] = points.unread([], [texts[row].as_py()])
        if self._features.misread is None:
            return
        assert self._features.fid is not None
        ids = batch.column(self._features.fid).to_numpy()
        for row, reason in self._features.misread.rows(ids).items():
            reasons[row] = reasons[row] or reason

    def _rejected(self, batch: pa.RecordBatch, number: int, place: int, reason: str) -> Rejected:
        fid, geometry = self._features.fid, self._features.geometry
        assert geometry is not None
        feature = str(batch.column(fid)[number].as_py()) if fid is not None else str(self._first + place)
        read: bytes | None = batch.column(geometry)[number].as_py()
        if read is not None and (reason.endswith(xml_values.NO_COORDINATES) or not wkb.is_whole(read)):
            read = None
        return Rejected(self._source, self._layer, feature, reason, read)


def _placed(plan: TablePlan, features: Stream) -> list[tuple[int | None, ColumnType, ColumnType]]:
    """For each column of the table: its place in a batch (None where the file has none), and both types."""
    seen: dict[str, int] = {}
    found: dict[tuple[str, int], tuple[int, ColumnType]] = {}
    for name, kind, place in zip(features.names, features.types, features.places, strict=True):
        seen[name] = seen.get(name, 0) + 1
        found[name, seen[name]] = (place, kind)
    wanted: dict[str, int] = {}
    placed: list[tuple[int | None, ColumnType, ColumnType]] = []
    for column in plan.columns:
        wanted[column.original] = wanted.get(column.original, 0) + 1
        at, kind = found.get((column.original, wanted[column.original]), (None, column.type))
        placed.append((at, kind, column.type))
    return placed


def _sum(one: ChunkCounts, other: ChunkCounts) -> ChunkCounts:
    mine, others = one.model_dump(), other.model_dump()
    added = {name: mine[name] + others[name] for name in mine if name != "largest_area_change"}
    largest = max(one.largest_area_change, other.largest_area_change)
    return ChunkCounts(**added, largest_area_change=largest)
