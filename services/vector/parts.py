"""Datasets in scratch space, which are looked into before GDAL or PyArrow opens them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from . import (
    chunking,
    encodings,
    feature_sizes,
    json_records,
    json_text,
    parquet_pages,
    screening,
    sqlite_screening,
    text_records,
    workbooks,
    xml_records,
)
from .chunking import Bound
from .usual_tables import Usual, usual_tables

DATABASES = frozenset({"GPKG", "SQLite"})
WITHOUT_CRS = frozenset({".shp", ".shx", ".dbf"})
"""Of the files of a shapefile, those that have no place for one."""
XML = frozenset({"LIBKML", "GML", "GPX"})
JSON = frozenset({"GeoJSON", "GeoJSONSeq", "TopoJSON"})


@dataclass(frozen=True)
class Part:
    """A dataset that GDAL, or PyArrow, opens."""

    path: Path
    driver: str
    title: str
    """What its file, or its member of a zip, is called, without extension."""
    together: Bound | None = None
    """How many rows may be read so, where it matters how large they are, attributes too."""
    has_larger_numbers: bool = False
    """Has some that do not fit into 64 bits, which `json_text` made the last that do."""
    usual: Mapping[str, Usual] = field(default_factory=dict)
    """By name, tables of a database of which no more need be asked."""

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return f"{self.title}{self.path.suffix}"


def at_most(part: Part, rows: int, *, filtered: bool) -> int:
    """So many rows, or as few as may be read together, of all or of those that a filter leaves."""
    if part.together is None:
        return rows
    return min(rows, part.together.chosen if filtered else part.together.rows)


def screened(part: Part, encoding: str | None, check: Callable[[], None], *, before: bool = False) -> Part:
    """The part, once it is known to be harmless; a GeoJSON sequence whose name does not say so is told.

    A table of text is brought into UTF-8. What was screened `before`, of the same version, is not read as a
    whole once more.
    """
    if not before:
        _refuse_crs_of_files(part, check)
    if part.path.is_dir():
        return replace(part, together=feature_sizes.rows_at_a_time(part.path, part.driver, check))
    screening.refuse_references(part.path)
    if part.driver in DATABASES:
        return _screened_database(part, check, before=before)
    together = _screen_content(part, check, before=before)
    if part.driver == "CSV":
        foreign = encodings.foreign(part.path, encoding, check)
        table = part if foreign is None else _in_utf8(part, foreign, check)
        return replace(table, together=text_records.rows_at_a_time(table.path, check))
    if part.driver == "Parquet":
        return replace(part, together=_any(parquet_pages.rows_at_a_time(part.path, check)))
    if part.driver == "GeoJSON" and screening.is_json_sequence(part.path):
        part = replace(part, driver="GeoJSONSeq")
    if part.driver in JSON:
        part = replace(part, has_larger_numbers=json_text.made_readable(part.path, check))
    screening.refuse_large_document(part.path, part.driver)
    if part.driver == "GeoJSONSeq":
        together = _any(json_records.rows_of_sequence(part.path, check))
    elif part.driver == "GeoJSON":
        together = _any(json_records.rows_of_collection(part.path, check))
    return replace(part, together=together)


def _refuse_crs_of_files(part: Part, check: Callable[[], None]) -> None:
    """In what has a place for a CRS; of the tables for it in a database `screen_sqlite` sees the values."""
    beside = part.path.iterdir() if part.path.is_dir() else part.path.parent.glob(f"{part.path.stem}.*")
    for file in beside:
        if file.suffix in WITHOUT_CRS or (file == part.path and part.driver in DATABASES):
            continue
        if file.is_file():
            screening.refuse_crs_of_files(file, check)


def _screen_content(part: Part, check: Callable[[], None], *, before: bool) -> Bound | None:
    """How many rows may be read together, where the file tells it and was not asked before."""
    if before:
        return None
    together = feature_sizes.rows_at_a_time(part.path, part.driver, check)
    if part.driver in XML:
        together = _any(_screen_xml(part, check))
    if part.driver in workbooks.DRIVERS:
        workbooks.screen(part.path, check)
    if part.driver in JSON:
        screening.refuse_linked_crs(part.path, check)
    return together


def _screened_database(part: Part, check: Callable[[], None], *, before: bool) -> Part:
    sqlite_screening.screen_sqlite(part.path)
    if before:
        return part
    usual = usual_tables(part.path, check) if part.driver == "GPKG" else {}
    small = {name for name, table in usual.items() if table.small}
    together = sqlite_screening.rows_at_a_time(part.path, check, small)
    return replace(part, together=_any(together), usual=usual)


def _any(rows: int | None) -> Bound | None:
    """That many rows, whichever they are."""
    return None if rows is None else Bound(rows, rows)


def _screen_xml(part: Part, check: Callable[[], None]) -> int | None:
    schema = part.path.with_suffix(".xsd")
    if schema.exists():
        screening.screen_xml(schema, check)
    # A document that is read as a whole is bounded as such.
    streamed = part.driver != "LIBKML" and part.path.stat().st_size > chunking.TOGETHER
    records = xml_records.Records() if streamed else None
    screening.screen_xml(part.path, check, records)
    return records.rows if records else None


def _in_utf8(part: Part, encoding: str, check: Callable[[], None]) -> Part:
    """Under its own name, which is what its layer is called."""
    folder = part.path.with_suffix(".utf8")
    folder.mkdir()
    path = folder / part.path.name
    encodings.to_utf8(part.path, path, encoding, check)
    return Part(path, part.driver, part.title)
