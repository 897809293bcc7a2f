"""What an export of a layer is: which features of which table, as what, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field, JsonValue, model_validator

from .conditions import Condition
from .containers import TargetContainer
from .contracts import Contract, JobParameters
from .layers import Column, ColumnType, Owner
from .rasters import Finite, TargetCrs
from .sources import checked_template
from .vectors import Name, check_bbox

ExportFormat = Literal["geoparquet", "flatgeobuf", "geopackage"]
EXTENSIONS: dict[ExportFormat, str] = {"geoparquet": "parquet", "flatgeobuf": "fgb", "geopackage": "gpkg"}
TEMPLATE_FIELDS = ("schema", "table", "extension", "date", "year", "month", "day")


def _template(template: str) -> str:
    ends = tuple(f".{extension}" for extension in EXTENSIONS.values())
    return checked_template(template, TEMPLATE_FIELDS, (*ends, ".geoparquet", ".{extension}"))


class LayerSelection(JobParameters):
    """Which features of which table, and what of them."""

    source_schema: Annotated[Name, Field(description="Schema of the table")] = "features"
    source_table: Annotated[Name, Field(description="A table that vector_to_postgis made")]
    columns: (
        Annotated[
            list[Name],
            Field(max_length=1600, description="Columns by name, or as the files called them; else all"),
        ]
        | None
    ) = None
    where: Condition | None = None
    bbox: (
        Annotated[
            list[Finite],
            Field(
                min_length=4,
                max_length=4,
                description="Only features that intersect [west, south, east, north], degrees (WGS 84)",
            ),
        ]
        | None
    ) = None
    without_geometry: Annotated[
        Literal["keep", "skip"],
        Field(description="Features whose geometry is null or empty. FlatGeobuf takes none of them"),
    ] = "keep"
    target_crs: Annotated[TargetCrs, Field(description='"same", or an authority code such as EPSG:3857')] = (
        "same"
    )
    order: Annotated[
        Literal["stored", "spatial"],
        Field(
            description="spatial: neighbours beside each other (Hilbert curve, sorted by the database), so "
            "that readers of GeoParquet skip what is elsewhere"
        ),
    ] = "stored"

    @model_validator(mode="after")
    def _rectangle(self) -> LayerSelection:
        if self.bbox is not None:
            check_bbox(self.bbox)
        return self


class ExportTarget(JobParameters):
    """As what, and where."""

    format: ExportFormat
    target_container: TargetContainer
    path_template: Annotated[
        str,
        AfterValidator(_template),
        Field(
            description="Name of the file: text with {schema}, {table}, {extension}, and {date}, {year}, "
            "{month}, {day} of when the table was last loaded (UTC)"
        ),
    ] = "{schema}/{table}.{extension}"
    overwrite: Annotated[
        Literal["never", "always"], Field(description="never: what is there stays, and is no failure")
    ] = "never"

    @model_validator(mode="after")
    def _extension_of_the_format(self) -> ExportTarget:
        end = self.path_template.rpartition(".")[2].lower()
        known = {EXTENSIONS[self.format], "{extension}"} | ({"geoparquet"} & {self.format})
        if end not in known:
            raise ValueError(f"path_template: a {self.format} file ends in .{EXTENSIONS[self.format]}")
        return self


class RegisteredLayer(Contract):
    """A table as its row in `geo.layers` says it is."""

    target_schema: str
    target_table: str
    srid: int
    crs: str | None
    """An authority's code or WKT; None where the geometries have no SRID."""
    geometry_column: str
    geometry_type: str
    """Such as MultiPolygonZ; Geometry for any."""
    key: list[str]
    columns: list[Column]
    """Without a generated key."""
    rows: int
    loaded_at: datetime


class ExportColumn(Contract):
    """A column that is read; `as_text` where the format has no such type."""

    name: str
    type: ColumnType
    as_text: bool


class LayerQuery(Contract):
    """What is read of a table. Geometries come as ISO WKB, in the target's CRS."""

    layer: RegisteredLayer
    columns: list[ExportColumn]
    where: dict[str, JsonValue] | None = None
    bounds: list[float] | None = None
    """[x min, y min, x max, y max] in the table's CRS."""
    target_srid: int
    target_crs: str | None
    """An authority's code or WKT; None where it is unknown."""
    dimensions: Literal["keep", "xyz"]
    """xyz: without M."""
    without_geometry: Literal["keep", "skip"]
    order: Literal["stored", "spatial"]


class LayerMeasure(Contract):
    """How much a query reads, at the time it was asked."""

    rows: int
    without_geometry: int
    size: int
    """Bytes of the rows as the database keeps them, compressed or not."""


class LayerReader(Protocol):
    """Reads tables of features. All raise `ServiceUnavailable` where the database cannot be reached."""

    def check_held(self, owner: Owner) -> None:
        """Raise `LeaseLost` where the attempt no longer holds its task."""
        ...

    def find(self, schema: str, table: str) -> RegisteredLayer:
        """A layer. Raises `PermanentTaskError` where none is registered, or its table is gone."""
        ...

    def check(self, query: LayerQuery) -> None:
        """Raise `PermanentTaskError` with the reason why the database cannot carry it out."""
        ...

    def measure(self, query: LayerQuery) -> LayerMeasure:
        """How much it would read now."""
        ...

    def reading(self, query: LayerQuery) -> AbstractContextManager[Iterator[tuple[object, ...]]]:
        """The geometry and the columns of each row, all as of one moment, without holding them in memory.

        Raises `PermanentTaskError` for a layer that was replaced since it was found and for values that
        cannot be read, `Conflict` while it is being replaced.
        """
        ...
