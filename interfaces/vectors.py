"""What jobs about vector files share: which files, how they are read, and how they become tables."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from .containers import Time
from .contracts import JobParameters
from .ogr_conditions import checked_condition
from .rasters import Crs, Finite, TargetCrs
from .registrations import CollectionId
from .sources import BlobSources

AskedType = Literal[
    "text",
    "integer",
    "bigint",
    "double",
    "numeric",
    "boolean",
    "date",
    "timestamp",
    "timestamptz",
    "jsonb",
    "uuid",
]
IfExists = Literal["fail", "replace", "append", "upsert"]
RESERVED_SCHEMAS = frozenset(
    {"app", "audit", "geo", "geo_staging", "information_schema", "pgstac", "topology", "tiger"}
)
"""Where the app itself, the catalog and extensions keep theirs."""
MAX_NAME_BYTES = 63
"""https://www.postgresql.org/docs/current/sql-syntax-lexical.html#SQL-SYNTAX-IDENTIFIERS"""


def fitting(name: str, end: str) -> str:
    """A name with this end. Of one that is too long, as much as fits, and what tells it from others."""
    most = MAX_NAME_BYTES - len(end.encode())
    if len(name.encode()) > most:
        mark = f"_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        name = name.encode()[: most - len(mark)].decode("utf-8", "ignore") + mark
    return name + end


class VectorSources(BlobSources):
    """Which vector files a job is about.

    A shapefile is named by its `.shp`, a File Geodatabase by its folder (`….gdb`) or a zip of it. Without a
    glob or extensions in the filter, only names with the extension of a vector format are taken.
    """


Name = Annotated[str, Field(min_length=1, max_length=500)]
"""Of a layer or a column as the file spells it."""


def _schema(name: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name) or len(name) > MAX_NAME_BYTES:
        raise ValueError("a schema has lower-case letters, digits and underscores, and at most 63 of them")
    if name in RESERVED_SCHEMAS or name.startswith("pg_"):
        raise ValueError(f"schema {name} is not for layers")
    return name


def text_encoding(name: str) -> str:
    """Python's name of an encoding of text. Raises `LookupError` for others, such as zlib or base64."""
    import codecs
    from contextlib import suppress

    found = codecs.lookup(name).name
    # Only this tells encodings of text from others. One byte need not be text in them.
    with suppress(UnicodeError):
        b" ".decode(found)
    return found


def _encoding(name: str) -> str:
    try:
        return text_encoding(name)
    except LookupError:
        raise ValueError("is no encoding that Python knows; examples are utf-8, latin1, cp1252") from None


def _filter_polygon(value: Any) -> Any:
    """GeoJSON geometry or WKT, as WKT; a polygon that is not valid selects nobody knows what."""
    if not isinstance(value, str | dict):
        return value
    import shapely

    try:
        shape = (
            shapely.from_geojson(json.dumps(value)) if isinstance(value, dict) else shapely.from_wkt(value)
        )
    except shapely.GEOSException as error:
        raise ValueError(f"is neither WKT nor a GeoJSON geometry: {error}"[:300]) from None
    if shape.geom_type not in ("Polygon", "MultiPolygon") or shape.is_empty:
        raise ValueError("should be a Polygon or a MultiPolygon that is not empty")
    if not shape.is_valid:
        raise ValueError(f"is not valid: {shapely.is_valid_reason(shape)}")
    wkt: str = shape.wkt
    return wkt


def check_bbox(bbox: Sequence[float]) -> None:
    """Raise `ValueError` for what is no [west, south, east, north]."""
    west, south, east, north = bbox
    if west >= east or south >= north:
        raise ValueError("bbox: west must be below east and south below north; split it at 180°")


class CsvOptions(JobParameters):
    """Where a table of text has its geometry. Without it usual names are looked for."""

    x: Annotated[Name, Field(description="Column of the longitude or easting")] | None = None
    y: Annotated[Name, Field(description="Column of the latitude or northing")] | None = None
    geometry: Annotated[Name, Field(description="Column of WKT, hexadecimal WKB or GeoJSON")] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.x is None) != (self.y is None):
            raise ValueError("x and y go together")
        if self.x is not None and self.geometry is not None:
            raise ValueError("give either x and y, or geometry")
        return self


class ReadOptions(JobParameters):
    """What is read of each file."""

    layers: (
        Annotated[list[Name], Field(min_length=1, max_length=1000, description="Layers to load; else all")]
        | None
    ) = None
    columns: (
        Annotated[
            list[Name], Field(max_length=1600, description="Attributes to load, as the file names them")
        ]
        | None
    ) = None
    where: (
        Annotated[
            str,
            Field(min_length=1, max_length=10_000, description="Only features for which this OGR SQL holds"),
            AfterValidator(checked_condition),
        ]
        | None
    ) = None
    bbox: (
        Annotated[
            list[Finite],
            Field(
                min_length=4,
                max_length=4,
                description="Only features that reach into [west, south, east, north], degrees (WGS 84)",
            ),
        ]
        | None
    ) = None
    polygon: (
        Annotated[
            str,
            BeforeValidator(_filter_polygon, json_schema_input_type=str | dict[str, Any]),
            Field(description="Only features that intersect it; WKT or GeoJSON, degrees (WGS 84)"),
        ]
        | None
    ) = None
    encoding: (
        Annotated[
            str,
            AfterValidator(_encoding),
            Field(description="Of text in shapefiles, MapInfo files and CSV; else as they say"),
        ]
        | None
    ) = None
    csv: CsvOptions = CsvOptions()
    assume_crs: Annotated[Crs, Field(description="CRS of layers that name none")] | None = None
    chunk_features: Annotated[
        int, Field(ge=1000, le=10_000_000, description="Features that one task loads at most")
    ] = 100_000

    @model_validator(mode="after")
    def _one_area(self) -> Self:
        if self.bbox is not None:
            if self.polygon is not None:
                raise ValueError("give either bbox or polygon")
            check_bbox(self.bbox)
        return self


class GeometryOptions(JobParameters):
    """What becomes of geometries."""

    target_crs: Annotated[TargetCrs, Field(description='"same", or an authority code such as EPSG:3857')] = (
        "same"
    )
    dimensions: Annotated[
        Literal["keep", "xy", "xyz"], Field(description="keep Z and M; xy: drop both; xyz: drop M")
    ] = "keep"
    promote_to_multi: Annotated[bool, Field(description="Single geometries become multi ones")] = True
    mixed_geometries: Annotated[
        Literal["geometry", "refuse", "split"],
        Field(
            description="Of layers that mix points, lines and polygons: a column for any; fail; or a table "
            "for each kind, …_point, …_line, …_polygon, also of layers that have only one"
        ),
    ] = "geometry"
    repair: Annotated[
        Literal["off", "make_valid", "drop"],
        Field(description="Of geometries that are not valid: keep, mend, or reject them"),
    ] = "make_valid"
    antimeridian: Annotated[
        Literal["split", "keep"],
        Field(
            description="Geometries in degrees that cross the antimeridian: cut there, with all longitudes "
            "between -180 and 180, or as they are"
        ),
    ] = "split"
    simplify: (
        Annotated[
            float,
            Field(
                gt=0,
                allow_inf_nan=False,
                description="Vertices nearer than this to the line without them go; units of the CRS",
            ),
        ]
        | None
    ) = None
    precision: (
        Annotated[
            float,
            Field(
                gt=0,
                allow_inf_nan=False,
                description="Coordinates become multiples of this; units of the CRS",
            ),
        ]
        | None
    ) = None
    null_geometries: Literal["keep", "reject"] = "keep"
    empty_geometries: Literal["keep", "null", "reject"] = "keep"
    curve_step_degrees: Annotated[
        float,
        Field(gt=0, le=90, description="Curves become lines that turn so much at each vertex"),
    ] = 4.0

    @model_validator(mode="after")
    def _only_what_is_valid_is_generalised(self) -> Self:
        if self.repair == "off" and (self.simplify is not None or self.precision is not None):
            raise ValueError("simplify and precision need geometries that are valid: repair must not be off")
        return self


class TableOptions(JobParameters):
    """The table that layers become."""

    target_schema: Annotated[str, AfterValidator(_schema)] = "features"
    target_table: (
        Annotated[Name, Field(description="Of all files and layers together; else one for each layer")] | None
    ) = None
    if_exists: IfExists = "fail"
    key_columns: Annotated[
        list[Name], Field(max_length=32, description="Of upsert: columns that tell features apart")
    ] = Field(default_factory=list)
    primary_key: Annotated[Name, Field(description="A column of the file; else a number is made")] | None = (
        None
    )

    column_types: Annotated[
        dict[Name, AskedType],
        Field(max_length=1600, description="Types of columns, by their names in the file"),
    ] = Field(default_factory=dict)
    column_type_errors: Annotated[
        Literal["reject", "fail"],
        Field(description="Of features with a value that does not fit into the type of column_types"),
    ] = "reject"
    subdivide: (
        Annotated[
            int,
            Field(
                ge=5,
                le=100_000,
                description="Beside each table of lines or polygons a materialized view, …_parts, of its "
                "geometries in pieces of at most so many vertices, for use by an index",
            ),
        ]
        | None
    ) = None

    @model_validator(mode="after")
    def _keys_go_with_upsert(self) -> Self:
        if (self.if_exists == "upsert") != bool(self.key_columns):
            raise ValueError("key_columns go with if_exists upsert, and upsert needs them")
        if self.key_columns and self.primary_key is not None:
            raise ValueError("key_columns are the primary key; leave primary_key out")
        return self


class TableCatalog(JobParameters):
    """The items of tables in the STAC catalog."""

    collection_id: (
        Annotated[
            CollectionId,
            Field(
                description="Collection of the STAC catalog for an item of each table; else there are none"
            ),
        ]
        | None
    ) = None
    datetime: Annotated[Time, Field(description="Of those items; else when the table was loaded")] | None = (
        None
    )

    @model_validator(mode="after")
    def _times_are_of_items(self) -> Self:
        if self.datetime is not None and self.collection_id is None:
            raise ValueError("datetime is that of items: it goes with collection_id")
        return self


class LoadOptions(ReadOptions, GeometryOptions, TableOptions):
    """All that is asked of a load."""

    @model_validator(mode="after")
    def _only_what_is_valid_is_subdivided(self) -> Self:
        if self.subdivide is not None and self.repair == "off":
            raise ValueError("subdivide needs geometries that are valid: repair must not be off")
        return self
