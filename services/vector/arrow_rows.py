"""Rows of a table as batches of Arrow, and what is learned of them on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from interfaces.errors import PermanentTaskError
from interfaces.layer_exports import ExportColumn
from interfaces.layers import ColumnType

from . import wkb

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 10_000
BATCH_BYTES = 8 * 1024**2
"""Of values whose size varies, as they come: as Python's objects they take some three times as much."""
SIZED: frozenset[ColumnType] = frozenset(
    {
        "text",
        "bytea",
        "jsonb",
        "numeric",
        "boolean[]",
        "integer[]",
        "bigint[]",
        "double precision[]",
        "text[]",
    }
)
PLAIN: frozenset[ColumnType] = frozenset(
    {
        *("boolean", "smallint", "integer", "bigint", "real", "double precision", "text", "bytea"),
        *("date", "time", "timestamp", "timestamptz"),
        *("boolean[]", "integer[]", "bigint[]", "double precision[]", "text[]"),
    }
)
"""Types that Arrow has too; others are read as text."""
TIMES: frozenset[ColumnType] = frozenset({"timestamp", "timestamptz"})
FLOATS: frozenset[ColumnType] = frozenset({"real", "double precision"})
WORD = 8


@dataclass
class Seen:
    """What the rows are."""

    features: int = 0
    without_geometry: int = 0
    """Of which the geometry is null or empty."""
    geometry_types: Counter[str] = field(default_factory=Counter)
    """By ISO code as text, as `wkb.count` counts."""
    bounds: list[float] | None = None
    """[x min, y min, x max, y max]; None where no row has a geometry with points."""
    fine_times: bool = False
    """Some times have fractions of milliseconds."""
    with_nan: set[str] = field(default_factory=set)
    """Columns of floating-point numbers of which some are none."""

    def look(self, batch: pa.RecordBatch, bounds: Any, columns: Sequence[ExportColumn]) -> None:
        """Take a batch in, whose geometries have these bounds (an array of four numbers each)."""
        import numpy
        import pyarrow.compute as pc

        self.features += batch.num_rows
        wkb.count(self.geometry_types, batch.column(0))
        there = bounds[~numpy.isnan(bounds).any(axis=1)]
        self.without_geometry += batch.num_rows - len(there)
        if len(there):
            if not numpy.isfinite(there).all():
                raise PermanentTaskError("a geometry has infinite coordinates, or cannot be transformed")
            low, high = there[:, :2].min(axis=0).tolist(), there[:, 2:].max(axis=0).tolist()
            known = self.bounds or [*low, *high]
            self.bounds = [*map(min, known[:2], low), *map(max, known[2:], high)]
        for place, column in enumerate(columns, 1):
            if column.type in TIMES and not column.as_text and not self.fine_times:
                self.fine_times = _has_fractions(batch.column(place))
            if column.type in FLOATS and pc.any(pc.is_nan(batch.column(place))).as_py():
                self.with_nan.add(column.name)


def schema_of(columns: Sequence[ExportColumn], geometry: str) -> pa.Schema:
    """The geometry as WKB, then the columns."""
    import pyarrow as pa

    return pa.schema([pa.field(geometry, pa.binary()), *(_field(column) for column in columns)])


def batches_of(
    rows: Iterator[tuple[object, ...]],
    columns: Sequence[ExportColumn],
    schema: pa.Schema,
    check: Callable[[], None],
) -> Iterator[pa.RecordBatch]:
    """Batches of the rows, none of which is large. `check` is called before each, and may raise.

    Raises `PermanentTaskError` for values that no column of Arrow holds.
    """
    sized = [0, *(place for place, column in enumerate(columns, 1) if column.type in SIZED)]
    held: list[tuple[object, ...]] = []
    size = 0
    for row in rows:
        held.append(row)
        size += sum(_size(row[place]) for place in sized)
        if len(held) == BATCH_ROWS or size >= BATCH_BYTES:
            check()
            yield _batch(held, schema)
            held, size = [], 0
    if held:
        check()
        yield _batch(held, schema)


def _size(value: object) -> int:
    if isinstance(value, list):
        return sum(map(_size, value)) + WORD
    return len(value) if isinstance(value, str | bytes) else WORD


def _batch(rows: list[tuple[object, ...]], schema: pa.Schema) -> pa.RecordBatch:
    import pyarrow as pa

    arrays = []
    for place, values in enumerate(zip(*rows, strict=True)):
        kind = schema.field(place).type
        plain = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        try:
            made = pa.array(values, type=plain)
        except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
            name = schema.field(place).name
            raise PermanentTaskError(f"column {name!r} cannot be written: {error}"[:400]) from error
        arrays.append(made if plain is kind else pa.ExtensionArray.from_storage(kind, made))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _field(column: ExportColumn) -> pa.Field:
    import pyarrow as pa

    if column.type == "jsonb":
        return pa.field(column.name, pa.json_())
    return pa.field(column.name, pa.string() if column.as_text else _types()[column.type])


def _types() -> dict[ColumnType, pa.DataType]:
    import pyarrow as pa

    return {
        "boolean": pa.bool_(),
        "smallint": pa.int16(),
        "integer": pa.int32(),
        "bigint": pa.int64(),
        "real": pa.float32(),
        "double precision": pa.float64(),
        "text": pa.string(),
        "bytea": pa.binary(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", "UTC"),
        "boolean[]": pa.list_(pa.bool_()),
        "integer[]": pa.list_(pa.int32()),
        "bigint[]": pa.list_(pa.int64()),
        "double precision[]": pa.list_(pa.float64()),
        "text[]": pa.list_(pa.string()),
    }


def bounds_of(batch: pa.RecordBatch) -> Any:
    """Of each geometry [x min, y min, x max, y max], NaN where it is null or empty."""
    import shapely

    try:
        return shapely.bounds(shapely.from_wkb(batch.column(0).to_pylist()))
    except (shapely.GEOSException, NotImplementedError) as error:
        raise PermanentTaskError(f"a geometry cannot be read: {error}"[:300]) from error


def _has_fractions(times: pa.Array) -> bool:
    import pyarrow as pa

    micro = times.drop_null().cast(pa.int64()).to_numpy(zero_copy_only=False)
    return bool((micro % 1000).any())
