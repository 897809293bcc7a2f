"""Tables of text: which columns GDAL is to make geometries of, and its options for other text formats."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from interfaces import ogr_conditions
from interfaces.errors import PermanentTaskError
from interfaces.layers import ColumnType
from interfaces.vectors import CsvOptions

from .naming import safe_name

LONGITUDES = ("longitude", "lon", "long", "lng", "longitude_deg", "lon_deg", "decimallongitude")
LATITUDES = ("latitude", "lat", "latitude_deg", "lat_deg", "decimallatitude")
EASTINGS = ("x", "easting", "x_coord", "coord_x")
NORTHINGS = ("y", "northing", "y_coord", "coord_y")
GEOMETRIES = ("wkt", "geometry", "geom", "the_geom", "geojson", "wkb", "wkb_geometry", "geomwkt", "wkt_geom")


WORKBOOKS = frozenset({"XLSX", "ODS"})


@dataclass(frozen=True)
class TextGeometry:
    """Where a table has its geometries."""

    columns: tuple[str, ...]
    """x and y, or the one of geometries."""
    keep: bool
    """Whether the columns stay: coordinates are often read by people, WKT is not."""
    crs: str | None
    """WGS 84 where columns are called longitude and latitude."""
    notes: list[str] = field(default_factory=list)


def find_geometry(names: Sequence[str], options: CsvOptions) -> TextGeometry:
    """The columns that were named, else those with usual names. Raises `PermanentTaskError` without any."""
    if options.geometry is not None:
        return TextGeometry((_column(names, options.geometry, "csv.geometry"),), False, None)
    if options.x is not None and options.y is not None:
        x, y = _column(names, options.x, "csv.x"), _column(names, options.y, "csv.y")
        return TextGeometry((x, y), True, _crs(x, y))
    lower = {name.strip().lower(): name for name in reversed(names)}
    for one in GEOMETRIES:
        if one in lower:
            return TextGeometry(
                (lower[one],), False, None, [f"geometries are those of column {lower[one]!r}"]
            )
    for horizontal, vertical in ((LONGITUDES, LATITUDES), (EASTINGS, NORTHINGS)):
        found = [next((lower[n] for n in usual if n in lower), None) for usual in (horizontal, vertical)]
        if found[0] is not None and found[1] is not None:
            x, y = found[0], found[1]
            crs = _crs(x, y)
            notes = [f"points are made of columns {x!r} and {y!r}"]
            return TextGeometry((x, y), True, crs, notes + (["they are taken for WGS 84"] if crs else []))
    raise PermanentTaskError(
        "no column is known to hold coordinates or geometries: name them in csv.x and csv.y, or "
        f"csv.geometry; columns are {', '.join(names)}"[:500]
    )


def has_geometry(names: Sequence[str], options: CsvOptions) -> bool:
    """Whether a sheet of several is one of places."""
    try:
        find_geometry(names, options)
    except PermanentTaskError:
        return False
    return True


def open_options(driver: str, geometry: TextGeometry | None) -> dict[str, str]:
    """Open options of a driver."""
    if driver == "GML":
        return {"DOWNLOAD_SCHEMA": "NO"}
    if driver in WORKBOOKS:
        # Else a sheet of nothing but texts has no header.
        return {"HEADERS": "FORCE"}
    if driver != "CSV":
        return {}
    options = {"AUTODETECT_TYPE": "YES", "AUTODETECT_SIZE_LIMIT": "0", "EMPTY_STRING_AS_NULL": "YES"}
    if geometry is None or len(geometry.columns) > 1:
        return options
    if any("," in name or "*" in name for name in geometry.columns):
        raise PermanentTaskError("csv: the column of geometries has a comma or an asterisk in its name")
    return options | {"KEEP_GEOM_COLUMNS": "YES", "GEOM_POSSIBLE_NAMES": geometry.columns[0]}


QUOTED = re.compile(r'"(?:[^"]|"")*"?')
DELIMITERS = ",;\t|"
"""Of which GDAL takes the one that the first line has most of, and of several the first."""
HEADER_BYTES = 64 * 1024


def delimiter(path: Path) -> str:
    """What is between the values of a table of text in UTF-8, as GDAL finds it."""
    with path.open("rb") as file:
        lines = file.read(HEADER_BYTES).lstrip(b"\r\n").splitlines()
    first = QUOTED.sub("", lines[0].decode("utf-8", "replace")) if lines else ""
    return max(DELIMITERS, key=first.count)


DECLARED = {"OFTDate": "Date", "OFTTime": "Time", "OFTDateTime": "DateTime"}
"""Names of types in a .csvt (https://gdal.org/en/stable/drivers/vector/csv.html); others are texts."""
NUMBERS: dict[str, ColumnType] = {
    "OFTInteger": "integer",
    "OFTInteger64": "bigint",
    "OFTReal": "double precision",
}
SQL_TYPES = {"OFTInteger": "BIGINT", "OFTInteger64": "BIGINT", "OFTReal": "FLOAT"}
BOOLEAN = "OFSTBoolean"


def numbers(
    described: Mapping[str, Any], geometry: TextGeometry, as_text: Collection[str]
) -> dict[int, ColumnType]:
    """By place the types of the columns of numbers of a table, as GDAL found them; coordinates are such.

    Not of those that are to be read as text, called as the file has them, or as the table will.
    """
    coordinates = geometry.columns if len(geometry.columns) > 1 else ()
    found: dict[int, ColumnType] = {}
    for place, (name, kind, subtype) in enumerate(_fields(described)):
        if _is_one_of(name, as_text):
            continue
        if name in coordinates:
            found[place] = "double precision"
        elif kind in NUMBERS and subtype != BOOLEAN:
            found[place] = NUMBERS[kind]
    return found


def declare(
    path: Path,
    described: Mapping[str, Any],
    numbers: Collection[int],
    as_text: Collection[str],
    *,
    compared: bool,
) -> Path:
    """Write the types of a CSV beside it, as GDAL found them, but text for some: whose digits and signs stay.

    Of numbers too: with a blank before or after them they are null to GDAL. `compared` are columns with a
    condition: `compared` makes it one about texts of numbers; of other types they stay.
    """
    commas = compared and has_decimal_commas(path)
    declared = []
    for place, (name, kind, subtype) in enumerate(_fields(described)):
        number = kind in NUMBERS and subtype != BOOLEAN
        text = place in numbers or (_is_one_of(name, as_text) and (number or not compared))
        if text and commas and kind == "OFTReal":
            declared.append("Real")
        elif subtype == BOOLEAN and not text:
            declared.append("Integer(Boolean)")
        else:
            declared.append("String" if text else DECLARED.get(kind, "String"))
    types = path.with_suffix(".csvt")
    types.write_text(",".join(f'"{one}"' for one in declared) + "\n")
    return types


def compared(where: str, path: Path, described: Mapping[str, Any]) -> tuple[str, dict[int, str]]:
    """A condition about the numbers of a CSV whose columns of numbers `declare` made texts.

    And by place the columns that it left to GDAL: those of decimal commas, which OGR SQL does not cast. With
    a blank after it GDAL takes one of them for null.
    """
    commas = has_decimal_commas(path)
    types: dict[str, str] = {}
    left: dict[int, str] = {}
    for place, (name, kind, subtype) in enumerate(_fields(described)):
        if commas and kind == "OFTReal":
            left[place] = name
        elif kind in SQL_TYPES and subtype != BOOLEAN:
            # Of several of one name GDAL means the first.
            types.setdefault(name.lower(), SQL_TYPES[kind])
    return ogr_conditions.cast(where, types), left


def has_decimal_commas(path: Path) -> bool:
    """Whether a comma is a decimal one in a table."""
    return delimiter(path) == ";"


def _fields(described: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    return zip(described["fields"], described["ogr_types"], described["ogr_subtypes"], strict=True)


def _is_one_of(name: str, columns: Collection[str]) -> bool:
    return name in columns or safe_name(str(name), "") in columns


def _column(names: Sequence[str], wanted: str, parameter: str) -> str:
    if wanted not in names:
        raise PermanentTaskError(f"{parameter}: there is no column {wanted!r} in {', '.join(names)}"[:500])
    return wanted


def _crs(x: str, y: str) -> str | None:
    named = x.strip().lower() in LONGITUDES and y.strip().lower() in LATITUDES
    return "EPSG:4326" if named else None
