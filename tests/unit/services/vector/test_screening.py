"""What is looked for in files before GDAL opens them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from interfaces import crs_references
from interfaces.errors import PermanentTaskError
from services.vector import parts, screening, sqlite_screening


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


LINK = '{"type": "link", "properties": {"href": "http://example.com/crs/42", "type": "proj4"}}'


@pytest.mark.parametrize(
    ("text", "href"),
    [
        (f'{{"crs": {LINK}, "features": []}}', "to 'http://example.com/crs/42'"),
        ('{"features": [], "crs" :\n{"properties": {"href": "data.crs"}, "type": "Link"}}', "to 'data.crs'"),
        (f'{{"features": [{" " * (1024**2 - 30)}], "crs": {LINK}}}', "to 'http://example.com/crs/42'"),
        (f'{{"crs": {{"type": "link", "properties": {{"href": "{"x" * 5000}"}}}}}}', "to 'elsewhere'"),
        ('{"crs": {"type": "URL", "properties": {"url": "file:///a"}}}', "to 'file:///a'"),
        ('{"crs": {"type": "name", "properties": {"name": "https://example.com/a"}}}', "to 'https://ex"),
        ('{"crs": {"type": "name", "properties": {"name": "http://www.opengis.net/def/crs/x"}}}', None),
        (f'{{"crs": {{"type": "name", "properties": {{"name": "EPSG:3857"}}}}, "other": {LINK}}}', None),
        ('{"crs": null}', None),
        ('{"crs": {"type": "link"', None),
    ],
    ids=range(10),
)
def test_json_whose_crs_is_to_be_read_elsewhere_is_refused(
    tmp_path: Path, text: str, href: str | None
) -> None:
    path = written(tmp_path, text)
    if href is None:
        screening.refuse_linked_crs(path, nothing)
        return
    with pytest.raises(PermanentTaskError, match=f"its crs is a link {href}.*, and references"):
        screening.refuse_linked_crs(path, nothing)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ('CREATE VIEW v AS SELECT ogr_datasource_load_layers("/etc/a.gpkg")', "'v' calls ogr_datasource"),
        ("CREATE VIEW v AS SELECT \"LOAD_EXTENSION\" ('x.so')", "'v' calls LOAD_EXTENSION"),
        ("CREATE TABLE t (a, b AS (gdal_get_pixel_value('/etc/a.tif')))", "'t' calls gdal_get_pixel_value"),
        ("CREATE TABLE ogr_empty_table (a)", None),
        ("CREATE VIRTUAL TABLE r USING rtree(id, a, b)", None),
        (
            "CREATE VIEW v AS WITH n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n",
            "'v' has WITH",
        ),
        ("CREATE VIEW v AS SELECT ZeroBlob(900000000) AS geom", "'v' has ZEROBLOB"),
        ("CREATE TABLE t (a, b AS (printf('%.900000000c', a)))", "'t' has PRINTF"),
        ("CREATE TABLE t (a, b AS (hex(hex(a))))", "'t' has HEX"),
        ("CREATE TABLE t (a, b GENERATED ALWAYS AS (a || a) VIRTUAL)", "'t' has ..,"),
        ("CREATE TABLE t (a CHECK (hex(a) <> ''), replace text, b, c)", None),
        ("CREATE TABLE t (a, b AS (lower(a)))", None),
        ("CREATE TABLE format (width)", None),
        ("CREATE VIEW v AS SELECT name AS a FROM sqlite_master", None),
        (
            "CREATE VIEW v AS SELECT st_area(name), name FROM sqlite_master m WHERE st_isempty(name) = 0",
            None,
        ),
        ("CREATE VIEW v AS SELECT replace(name, 'a', 'b') || '!' FROM sqlite_master", None),
        (f"CREATE VIEW v AS SELECT {'hex(' * 28}name{')' * 28} AS a FROM sqlite_master", "'v': one feature"),
        (
            f"CREATE VIEW v AS SELECT length({'hex(' * 26}name{')' * 26}) FROM sqlite_master",
            "'v': one feature",
        ),
        (
            "CREATE VIEW v AS SELECT st_area(a.name) FROM sqlite_master a, sqlite_master b, sqlite_master c"
            " WHERE a.name = 'x'",
            "'v' cannot be looked through",
        ),
        (
            "CREATE VIEW v AS SELECT st_area(m.name) FROM sqlite_master m CROSS JOIN sqlite_master",
            "'v' cannot be",
        ),
        (
            "CREATE VIEW v AS SELECT st_area(name), (SELECT 1) FROM sqlite_master",
            "'v' cannot be looked through",
        ),
        (
            "CREATE VIEW v AS SELECT hex(hex(st_astext(name))) FROM sqlite_master",
            "'v' cannot be looked through",
        ),
    ],
)
def test_a_database_that_reaches_beyond_itself_is_refused(
    tmp_path: Path, statement: str, reason: str | None
) -> None:
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        database.create_function("gdal_get_pixel_value", 1, str, deterministic=True)
        database.execute(statement)
    if reason is None:
        sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")
    else:
        with pytest.raises(PermanentTaskError, match=reason):
            sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")


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
        sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")


def test_what_is_no_database_says_so(tmp_path: Path) -> None:
    with pytest.raises(PermanentTaskError, match="cannot be read: file is not a database"):
        sqlite_screening.screen_sqlite(
            written(tmp_path, b"not a database, but long enough to have a header" * 20)
        )


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
    ("driver", "head", "megabytes", "refused"),
    [
        ("LIBKML", "<kml>", 50, False),
        ("LIBKML", "<kml>", 60, True),
        ("TopoJSON", '{"type": "Topology"', 30, True),
        ("GeoJSON", '{"name": "a", "type": "FeatureCollection", "features" : [', 3000, False),
        ("GeoJSON", '{"type": "FeatureCollection", "features": [{"geometryType": "house"', 3000, False),
        ("GeoJSON", '{"geometryType": "esriGeometryPoint", "features": [', 30, True),
        ("GeoJSON", '{"spatialReference": {"wkid": 1}, "features": [', 30, True),
        ("GeoJSON", '{"type": "MultiPoint", "coordinates": [', 30, True),
        ("GeoJSON", '{"type": "MultiPoint", "coordinates": [', 10, False),
        ("GML", "<gml>", 3000, False),
    ],
)
def test_documents_that_must_be_in_memory_as_a_whole_are_bounded(
    tmp_path: Path, driver: str, head: str, megabytes: int, refused: bool
) -> None:
    path = written(tmp_path, head)
    with path.open("r+b") as file:
        file.truncate(megabytes * 1024**2)
    if not refused:
        screening.refuse_large_document(path, driver)
        return
    with pytest.raises(PermanentTaskError, match="must be read as a whole, and has more than"):
        screening.refuse_large_document(path, driver)


def test_a_view_of_more_rows_than_anybody_reads_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_screening, "SQLITE_STEPS", 10_000)
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        database.execute("CREATE TABLE t (a)")
        database.executemany("INSERT INTO t VALUES (?)", [(number,) for number in range(200)])
        database.execute("CREATE VIEW pairs AS SELECT a.a FROM t a, t b")
        database.commit()
        sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")
        database.execute("CREATE VIEW endless AS SELECT a.a FROM t a, t b, t c, t d, t e")
        database.commit()
    with pytest.raises(PermanentTaskError, match="its view 'endless' takes too long"):
        sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")


def test_a_view_that_asks_gdal_through_a_computed_column_is_not_looked_through(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.gpkg")) as database:
        database.create_function("ST_MinX", 1, len, deterministic=True)
        database.execute("CREATE TABLE t (a, x REAL AS (ST_MinX(a)))")
        database.execute("INSERT INTO t VALUES ('a')")
        database.execute("CREATE VIEW endless AS SELECT a.a FROM t a, t b, t c WHERE a.x = b.x")
        database.commit()
    with pytest.raises(PermanentTaskError, match="its view 'endless' cannot be looked through"):
        sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")


def test_geometries_of_a_geopackage_that_are_none_are_not_null(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(
            """
            CREATE TABLE gpkg_geometry_columns (table_name, column_name);
            CREATE TABLE t (g blob);
            INSERT INTO gpkg_geometry_columns VALUES ('t', 'g');
            INSERT INTO t VALUES (NULL), ('text'), (x'00'), (NULL);
            """
        )
    assert sqlite_screening.unreadable_geometries(path, "T", 4, nothing) == 2
    assert sqlite_screening.unreadable_geometries(path, "other", 4, nothing) == 0


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        ("SELECT '+' || 'in' || 'it=/etc/a:key' AS definition", "its CRS names a file"),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
            "may grow without end",
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
        sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")
    else:
        with pytest.raises(PermanentTaskError, match=reason):
            sqlite_screening.screen_sqlite(tmp_path / "a.gpkg")


def test_a_crs_of_a_file_is_found_where_the_text_is_read_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crs_references, "BLOCK", 700)
    path = written(tmp_path, b"x" * 690 + b'{"crs": "+init=/etc/a:key"}')
    with pytest.raises(PermanentTaskError, match="its CRS names a file"):
        screening.refuse_crs_of_files(path, nothing)
    screening.refuse_crs_of_files(written(tmp_path, b"x" * 5000), nothing)


def test_a_version_that_was_screened_is_not_read_as_a_whole_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.fgb"
    path.write_bytes(b'"crs": "+init=/etc/a:key"')
    part = parts.Part(path, "FlatGeobuf", "a")
    with pytest.raises(PermanentTaskError, match="its CRS names a file"):
        parts.screened(part, None, nothing)
    assert parts.screened(part, None, nothing, before=True) == part


@pytest.mark.parametrize("driver", ["GPKG", "SQLite"])
def test_a_crs_in_a_table_of_a_database_is_found_by_its_value(tmp_path: Path, driver: str) -> None:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE other_spatial_ref_sys (id, proj4)")
        database.execute("INSERT INTO other_spatial_ref_sys VALUES (1, ?)", ["+init=/etc/a:key"])
        database.commit()
    with pytest.raises(PermanentTaskError, match="its CRS names a file"):
        parts.screened(parts.Part(path, driver, "a"), None, nothing)
