"""Models that the stages of a load hand on, and the port to feature tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import AliasChoices, Field

from .containers import ReadContainer
from .contracts import Contract
from .vectors import IfExists

if TYPE_CHECKING:
    import pyarrow as pa

ColumnType = Literal[
    "boolean",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double precision",
    "numeric",
    "text",
    "bytea",
    "date",
    "time",
    "timestamp",
    "timestamptz",
    "jsonb",
    "uuid",
    "boolean[]",
    "integer[]",
    "bigint[]",
    "double precision[]",
    "text[]",
]


class SourceFile(Contract):
    """A blob that is read, as it was when it was inspected. A folder has no etag."""

    container: ReadContainer
    name: str
    etag: str | None
    size: int
    """Bytes; of all its files where it is a folder or has sidecars."""


class Attribute(Contract):
    """An attribute of a layer: what the file calls it, and what PostgreSQL can hold it in."""

    name: str
    type: ColumnType


class Chunk(Contract):
    """Features of one layer that one task reads: so many after the first so many, or by feature id."""

    skip: int = 0
    features: int
    fids: tuple[int, int] | None = None
    """First and last feature id, inclusive, where the format finds features by id."""


class LayerFound(Contract):
    """One layer of one file, as the inspection found it."""

    source: SourceFile
    layer: str
    """As it is shown: of a file with one unnamed layer, the file's own name."""
    driver: str
    crs: str | None
    """An authority's code or WKT; None where the layer names none and nothing is assumed."""
    fields: list[Attribute]
    geometry_types: dict[str, int]
    """ISO WKB type codes as text ("1" Point … "3006" MultiPolygon ZM; "null"), and how many there are."""
    features: int
    batch_features: int
    """So many are read at a time."""
    encoding: str | None
    """Of its text, where the file does not say it, or what was asked for."""
    null_is_lost: bool
    """Null geometries are not what the file says: GDAL could not read what is there."""
    chunks: list[Chunk]
    notes: list[str]
    numbers_are_lost: bool = False
    """There are whole numbers of more than 64 bits, of which GDAL makes the largest that it knows."""
    odd_values: list[str] = Field(
        default_factory=list, validation_alias=AliasChoices("odd_values", "odd_dates")
    )
    """Columns of a database that have values which are not of their types, of which GDAL makes others."""
    zoned: list[str] = Field(default_factory=list)
    """All columns of times with zones, where times are read as text."""
    times_as_text: bool = False
    """As GDAL writes them: the numbers that it makes of them may be a second off, or without their zones."""


class Column(Contract):
    """A column of the table, and what the files call it."""

    name: str
    type: ColumnType
    original: str


Kind = Literal["point", "line", "polygon", "collection", "none"]


class KindTable(Contract):
    """Of a layer that is split by kind of geometry, the table of one kind."""

    kind: Kind
    """`none` has what has no geometry."""
    table: str
    geometry_type: str
    """Of its column, such as MultiPolygonZ."""


class TablePlan(Contract):
    """A table that is being loaded. It is kept with the staging table, and read by every task of it."""

    target_schema: str
    target_table: str
    original: str
    """What the table's name was made of."""
    if_exists: IfExists
    columns: list[Column]
    key: list[str]
    """Names of the columns that are the primary key; empty: `generated_key` is."""
    generated_key: str
    geometry_column: str
    geometry_type: str
    """Of the column, such as MultiPolygonZ; Geometry for any."""
    srid: int
    crs: str
    """What the geometries are transformed into; WKT or an authority's code."""
    chunks: int
    features: int
    sources: list[SourceFile]
    parameters_hash: str
    notes: list[str]
    kinds: list[KindTable] = Field(default_factory=list)
    """The tables that it becomes, where it is split by kind of geometry; then `target_table` is none."""
    cast: list[str] = Field(default_factory=list)
    """Names of the columns whose types were asked for: what does not fit is not loaded."""
    subdivide: int | None = None
    """Vertices that a piece has at most, in the view beside the table; None for no view."""
    numbered: bool = False
    """Rows come with their generated key, which is their place among all features, from 1."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The attempt of a task that writes: what it writes counts only while its fence holds the task."""

    job_id: str
    run: int
    stage: int
    task_index: int
    fence: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """A feature that is not in the table, and why."""

    source: str
    layer: str
    feature_id: str
    reason: str
    geometry: bytes | None
    """WKB, where it could be read."""


class ChunkCounts(Contract):
    """What became of the features that one task read: `read` = `loaded` + `rejected`."""

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    repaired: int = 0
    null_geometries: int = 0
    empty_geometries: int = 0
    linearised: int = 0
    antimeridian: int = 0
    """Cut at the antimeridian, or moved to where longitudes are between -180 and 180."""
    collapsed: int = 0
    """Of which nothing was left, simplified or on the precision grid; they are among the empty ones."""
    repeated_vertices: int = 0
    """Of whose vertices some were where the one before is, and are gone."""
    largest_area_change: float = 0.0
    """Of repaired polygons, as a fraction of the area before."""


SUMMED_COUNTS = (
    "read",
    "rejected",
    "repaired",
    "null_geometries",
    "empty_geometries",
    "linearised",
    "antimeridian",
    "collapsed",
    "repeated_vertices",
)
"""Of `ChunkCounts`, what adds up to the counts of a table or a job as it is."""


class Parts(Contract):
    """The materialized view, beside a table and in its schema, that has its geometries in pieces."""

    view: str
    rows: int
    max_vertices: int


class TableColumn(Contract):
    """A column of a table in the database, whoever made it."""

    name: str
    type: str


class LoadedTable(Contract):
    """A table that was published."""

    target_schema: str
    target_table: str
    rows: int
    """In the table after it, with those that were there before."""
    loaded: int
    rejected: int
    """Features of the load that are in none of its tables: the same number for each of them."""
    extent: list[float] | None
    """[x min, y min, x max, y max] in the table's CRS; None for a table without geometries."""
    replaced: bool
    srid: int
    geometry_type: str
    columns: list[Column] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)
    parts: Parts | None = None
    title: str | None = None
    crs: str | None = None
    """An authority's code or WKT."""
    geometry_column: str = "geom"
    table_columns: list[TableColumn] = Field(default_factory=list)
    """All that it has now, those of this load and others."""
    loaded_at: str | None = None
    """When the load's transaction began; RFC 3339."""
    address: str | None = None
    """Where it is, without user and password: postgresql://HOST:PORT/DATABASE?table=SCHEMA.TABLE."""
    sources: list[str] = Field(default_factory=list)
    """The first files of this load, with their containers."""
    source_count: int = 0


class ChunkWriter(Protocol):
    """One transaction that loads a chunk."""

    def linearise(self, geometries: Sequence[bytes], step_degrees: float) -> list[bytes | None]:
        """WKB of curves as WKB of lines and polygons; None for what cannot be read."""
        ...

    def write(self, rows: pa.RecordBatch) -> None:
        """COPY rows: the geometry as EWKB, their key where the plan says so, then the plan's columns.

        Those are of Arrow's own types; `numeric` and `jsonb`, which it has not, come as text, and `uuid` as
        16 bytes.
        """
        ...

    def reject(self, features: Sequence[Rejected]) -> None:
        """Write down features that are not loaded."""
        ...


class FeatureTables(Protocol):
    """Tables of features in PostGIS. All raise `ServiceUnavailable` where the database cannot be reached."""

    def check_target(self, schema: str, table: str, if_exists: IfExists, srid: int) -> None:
        """Raise `PermanentTaskError` where a load cannot end well: no PostGIS, no such SRID, a table."""
        ...

    def linearise(self, geometries: Sequence[bytes], step_degrees: float) -> list[bytes | None]:
        """As `ChunkWriter.linearise`, for whoever writes nothing."""
        ...

    def stage(self, plan: TablePlan, owner: Owner) -> str:
        """Make an empty staging table of this attempt's own; answers its name. Raises `LeaseLost`."""
        ...

    def plan(self, staging: str) -> TablePlan:
        """The plan that a staging table was made by. Raises `PermanentTaskError` where it is gone."""
        ...

    def loading(self, staging: str, owner: Owner, chunk: int) -> AbstractContextManager[ChunkWriter]:
        """Load a chunk: all of it is there after the block, or nothing. Replaces what another attempt wrote.

        Raises `LeaseLost`, and nothing is loaded, when the attempt no longer holds its task.
        """
        ...

    def publish(self, staging: str, owner: Owner, counts: dict[int, ChunkCounts]) -> list[LoadedTable]:
        """Make a staging table the target, or part of it; or several, where it is split by kind of geometry.

        All of them are published at once. `counts` are those of the tasks, by chunk.
        """
        ...

    def sweep(self, age: timedelta) -> Iterator[str]:
        """Drop staging tables whose runs ended so long ago; gives the name of each."""
        ...
