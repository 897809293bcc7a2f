"""What is looked for in files before GDAL opens them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from interfaces import crs_references
from interfaces.errors import PermanentTaskError
from services.vector import screening


def written(folder: Path, content: bytes | str) -> Path:
    path = folder / "data"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('<!DOCTYPE k [<!ENTITY a "b">]><k>&a;</k>', "declares the entity 'a'"),
        ('<!DOCTYPE k SYSTEM "http://example.com/x.dtd"><k/>', "refers to a document type elsewhere"),
        ("<kml><NetworkLink/></kml>", "has a NetworkLink"),
        ("<kml><open></kml>", "the XML cannot be read: mismatched tag"),
    ],
)
def test_xml_that_leads_elsewhere_or_explodes_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    with pytest.raises(PermanentTaskError, match=reason):
        screening.screen_xml(written(tmp_path, content), nothing)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ('CREATE VIEW v AS SELECT ogr_datasource_load_layers("/etc/a.gpkg")', "'v' calls ogr_datasource"),
        ("CREATE VIEW v AS SELECT \"LOAD_EXTENSION\" ('x.so')", "'v' calls LOAD_EXTENSION"),
        ("CREATE TABLE t (a, b AS (gdal_get_pixel_value('/etc/a.tif')))", "'t' calls gdal_get_pixel_value"),
        ("CREATE TABLE ogr_empty_table (a)", None),
        ("CREATE VIRTUAL TABLE r USING rtree(id, a, b)", None),
    ],
)
def test_a_database_that_reaches_beyond_itself_is_refused(
    tmp_path: Path, statement: str, reason: str | None
) -> None:
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        database.create_function("gdal_get_pixel_value", 1, str, deterministic=True)
        database.execute(statement)
    if reason is None:
        screening.screen_sqlite(tmp_path / "a.gpkg")
    else:
        with pytest.raises(PermanentTaskError, match=reason):
            screening.screen_sqlite(tmp_path / "a.gpkg")


def test_a_virtual_table_of_a_module_that_may_read_files_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        database.execute("CREATE TABLE t (a)")
        # As SQLite stores it; the module itself need not be there to be named.
        database.execute("PRAGMA writable_schema = on")
        database.execute(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql) VALUES"
            " ('table', 'x', 'x', 0, 'CREATE VIRTUAL TABLE x USING VirtualOGR(''/etc/a.shp'')')"
        )
        database.commit()
    with pytest.raises(PermanentTaskError, match="'x' is a virtual table of VirtualOGR"):
        screening.screen_sqlite(tmp_path / "a.gpkg")


def test_what_is_no_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(PermanentTaskError, match="cannot be read: file is not a database"):
        screening.screen_sqlite(written(tmp_path, b"not a database, but long enough to have a header" * 20))


def test_plain_xml_passes(tmp_path: Path) -> None:
    screening.screen_xml(written(tmp_path, "<kml><Placemark/></kml>"), nothing)


@pytest.mark.parametrize(
    ("content", "sequence"),
    [
        ('{"type": "Feature"}\n{"type": "Feature"}\n', True),
        ('\x1e{"type": "Feature"}\n', True),
        ('{"type": "FeatureCollection", "features": []}', False),
        ('{"type": "Feature"}\n', False),
        ('{\n"type": "Feature"\n}', False),
    ],
)
def test_a_sequence_of_geojson_is_told_by_its_content(tmp_path: Path, content: str, sequence: bool) -> None:
    assert screening.is_json_sequence(written(tmp_path, content)) is sequence


def test_the_record_is_named_that_gdal_left_out(tmp_path: Path) -> None:
    path = written(tmp_path, '{"type": "Feature"}\n\n{"type": \n{"type": "Feature"}\n')
    screening.check_json_sequence(path, 3, nothing)
    with pytest.raises(PermanentTaskError, match="record 3 is not JSON"):
        screening.check_json_sequence(path, 1, nothing)


def test_geometries_that_are_written_as_null_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screening, "BLOCK", 7)
    path = written(tmp_path, '{"geometry": null}, {"geometry" :\n null}, {"geometry": {}}' * 20)
    assert screening.written_nulls(path, nothing) == 40


@pytest.mark.parametrize(
    ("text", "larger"),
    [
        ("a,9223372036854775807,-9223372036854775808", False),
        ("a,9223372036854775808", True),
        ('{"n": -9223372036854775809}', True),
        ("0.12345678901234567890,12345678901234567890.5,0000000000000000000001", False),
        ("x" * 20 + ",12345678901234567890", True),
    ],
)
def test_whole_numbers_of_more_than_64_bits_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, larger: bool
) -> None:
    monkeypatch.setattr(screening, "BLOCK", 30)
    assert screening.has_larger_numbers(written(tmp_path, text), nothing) is larger


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("SELECT '+' || 'in' || 'it=/etc/a:key' AS definition", "its CRS names a file"),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
            "interrupted",
        ),
        ("SELECT 'GEOGCS[...]' AS definition", None),
    ],
)
def test_a_view_in_place_of_the_table_of_crs_is_asked_too(
    tmp_path: Path, made: str, reason: str | None
) -> None:
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        database.execute(f"CREATE VIEW gpkg_spatial_ref_sys AS {made}")
    if reason is None:
        screening.screen_sqlite(tmp_path / "a.gpkg")
    else:
        with pytest.raises(PermanentTaskError, match=reason):
            screening.screen_sqlite(tmp_path / "a.gpkg")


def test_a_crs_of_a_file_is_found_where_the_text_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crs_references, "BLOCK", 700)
    path = written(tmp_path, b"x" * 690 + b'{"crs": "+init=/etc/a:key"}')
    with pytest.raises(PermanentTaskError, match="its CRS names a file"):
        screening.refuse_crs_of_files(path, nothing)
    screening.refuse_crs_of_files(written(tmp_path, b"x" * 5000), nothing)
