"""One quick look at a database: what it says needs no other look, the other looks say too."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy
import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from interfaces.layers import LayerFound, SourceFile
from interfaces.vectors import LoadOptions
from services.vector import dates, inspecting, parts, reading, sqlite_screening, sqlite_values, usual_tables
from services.vector.usual_tables import LARGEST, Range, Usual

KEYED = "fid INTEGER PRIMARY KEY"


def nothing() -> None: ...


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small a file is."""
    monkeypatch.setattr(usual_tables, "TOGETHER", 0)


def made(path: Path, columns: str, rows: list[tuple[object, ...]], after: str = "") -> Path:
    with closing(sqlite3.connect(path)) as database:
        database.execute(f"CREATE TABLE a ({columns}) {after}")
        for row in rows:
            database.execute(f"INSERT INTO a VALUES ({', '.join('?' * len(row))})", row)
        database.commit()
    return path


def looked_at(path: Path) -> Usual | None:
    return usual_tables.usual_tables(path, nothing).get("a")


def test_a_usual_table_is_told_in_two_ranges_of_its_keys(tmp_path: Path) -> None:
    columns = f'{KEYED}, "a ""b" POLYGON, n INTEGER, x REAL, d DATE, t DATETIME, s TEXT(20)'
    usual = (b"x" * 9, 5, 2.5, "2024-02-29", "2024-02-29T23:59:59.125Z", "été")
    others = (None, None, 5, None, "0001-01-01", None)
    rows = [(key, *(usual if key % 2 else others)) for key in (-3, -2, 0, 5, 6)]
    found = looked_at(made(tmp_path / "a.db", columns, rows))
    assert found == Usual([Range(3, -3, 1), Range(2, 2, 6)], small=True)
    assert found.rows == 5
    one = looked_at(made(tmp_path / "b.db", columns, [(2**62, *usual)]))
    assert one == Usual([Range(1, 2**62, 2**62)], small=True)
    far = looked_at(made(tmp_path / "c.db", columns, [(0, *usual), (1, *usual), (2**62, *usual)]))
    assert far == Usual([Range(2, 0, 2**61), Range(1, 2**61 + 1, 2**62)], small=True)
    assert looked_at(made(tmp_path / "d.db", columns, [])) is None


@pytest.mark.parametrize("value", ["x" * LARGEST, b"x" * LARGEST, "é" * (LARGEST // 2)])
def test_a_table_with_large_values_is_usual_and_not_small(tmp_path: Path, value: object) -> None:
    path = made(tmp_path / "a.db", f"{KEYED}, s, n INTEGER", [(1, "x", 1), (2, value, 1)])
    assert looked_at(path) == Usual([Range(1, 1, 1), Range(1, 2, 2)], small=False)
    assert sqlite_screening._rows_of(sqlite3.connect(path), "a") > 1


def test_a_table_of_very_many_columns_is_told_too(tmp_path: Path) -> None:
    """SQLite takes no expression of 1,000 levels."""
    columns = ", ".join(f"n{number} INTEGER, s{number} TEXT" for number in range(900))
    path = made(tmp_path / "a.db", f"{KEYED}, {columns}", [])
    with closing(sqlite3.connect(path)) as database:
        database.execute("INSERT INTO a (fid, s899) VALUES (1, ?)", ["x" * LARGEST])
        database.commit()
        assert looked_at(path) == Usual([Range(1, 1, 1)], small=False)
        assert sqlite_screening._rows_of(database, "a") > 1


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        *[
            (kind, value)
            for kind in ("INTEGER", "BOOLEAN", "MEDIUMINT")
            for value in ("x", b"5", 2.5, "1e999x")
        ],
        *[(kind, value) for kind in ("TEXT(9)", "") for value in ("a\0b", "\0", b"a\0b")],
        *[(kind, value) for kind in ("BLOB", "BLOB(9)") for value in (5, 2.5)],
        *[(kind, value) for kind in ("REAL", "DOUBLE") for value in ("x", b"5", "")],
        *[
            (kind, value)
            for kind in ("DATE", "DATETIME", "TIMESTAMP")
            for value in (
                5,
                2.5,
                b"2024-01-01",
                "",
                "2024-02-30",
                "2024-13-01",
                "24-01-01",
                "noon",
                "2024-01",
            )
        ],
        *[
            ("DATETIME", value)
            for value in (
                "2024-02-30T00:00:00Z",
                "2024-01-01T25:00:00Z",
                "2024-01-01 x",
                "2024-01-01T" + "0" * 30,
            )
        ],
        ("DATE", "2024-01-01\0x"),
        ("DATE", "-0044-03-15"),
    ],
)
def test_what_a_column_does_not_declare_is_not_usual(tmp_path: Path, declared: str, value: object) -> None:
    usual: object = "2024-01-01" if declared.startswith(("DATE", "TIME", "BLOB", "TEXT")) else 1
    path = made(tmp_path / "a.db", f"{KEYED}, v {declared}", [(1, usual), (2, None), (3, value), (4, usual)])
    assert looked_at(path) is None


@pytest.mark.parametrize(
    ("declared", "fit", "other"),
    [
        ("BOOLEAN", [0, 1, None], 2),
        ("TINYINT", [-(2**15), 2**15 - 1, None], 2**15),
        ("SMALLINT", [-(2**15), 2**15 - 1, None], -(2**15) - 1),
        ("MEDIUMINT", [-(2**31), 2**31 - 1, None], 5_000_000_000),
        ("INTEGER", [-(2**63), 2**63 - 1, None], 2.5),
        ("FLOAT", [2.0**127, -(2.0**127), 1, 0.1015625, None], 0.1),
    ],
)
def test_a_table_with_numbers_that_a_column_has_no_room_for_is_not_told(
    tmp_path: Path, declared: str, fit: list[object], other: object
) -> None:
    path = made(tmp_path / "a.db", f"{KEYED}, n {declared}", list(enumerate(fit)))
    assert looked_at(path) is not None
    path = made(tmp_path / "b.db", f"{KEYED}, n {declared}", list(enumerate([*fit, other])))
    assert looked_at(path) is None


@pytest.mark.parametrize("kind", ["STORED", "VIRTUAL"])
def test_columns_that_are_computed_are_looked_at_too(tmp_path: Path, kind: str) -> None:
    columns = f"{KEYED}, n INTEGER, m SMALLINT AS (n * 1000) {kind}"
    for name, number in {"a": 1, "b": 70}.items():
        with closing(sqlite3.connect(tmp_path / name)) as database:
            database.execute(f"CREATE TABLE a ({columns})")
            database.execute("INSERT INTO a VALUES (1, ?)", [number])
            database.commit()
        assert (looked_at(tmp_path / name) is not None) == (number == 1)


@pytest.mark.parametrize("declared", ["DATE", "DATETIME"])
def test_a_usual_date_is_none_that_the_closer_look_finds(tmp_path: Path, declared: str) -> None:
    days = [
        f"{year}-{month}-{day:02}"
        for year in ("0001", "1900", "2024")
        for month, day in (("02", 0), ("02", 28), ("02", 29), ("02", 30), ("12", 31), ("12", 32))
    ]
    times = [
        "",
        "T24:00:00Z",
        "T12:00Z",
        "T12:00:00+01:00",
        "T23:00:00-05:00",
        " 12:00:00",
        "T12:00+00:19",
        " T 12:00Z",
        "T12:30:45.9999",
        "T12:00:60Z",
        "Z",
    ]
    values = [day + time for day in days for time in times]
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as database:
        for number, value in enumerate(values):
            database.execute(f"CREATE TABLE t{number} ({KEYED}, d {declared})")
            database.execute(f"INSERT INTO t{number} VALUES (1, ?)", [value])
        database.commit()
    usual = usual_tables.usual_tables(path, nothing)
    for number in (number for number in range(len(values)) if f"t{number}" in usual):
        kind = "OFTDate" if declared == "DATE" else "OFTDateTime"
        looked = sqlite_values.looked_over(path, f"t{number}", {"d": (kind, "OFSTNone")}, nothing)
        assert looked == sqlite_values.Looked(1, {}), values[number]
        assert dates.is_date(values[number]), values[number]
    assert len(usual) >= 7


@pytest.mark.parametrize(
    ("columns", "after"),
    [
        ("fid INTEGER", ""),
        ("fid TEXT PRIMARY KEY", ""),
        ("fid INTEGER PRIMARY KEY DESC", ""),
        ("fid INTEGER PRIMARY KEY", "WITHOUT ROWID"),
        ("fid INTEGER, n INTEGER, PRIMARY KEY (fid, n)", ""),
    ],
)
def test_a_table_whose_key_is_not_the_id_of_its_rows_is_not_told(
    tmp_path: Path, columns: str, after: str
) -> None:
    wide = 2 if "n INTEGER" in columns else 1
    path = made(tmp_path / "a.db", columns, [(1,) * wide, (2,) * wide], after)
    assert looked_at(path) is None


@pytest.mark.parametrize(
    ("declared", "told"), [("NUMERIC", False), ("BIGINT", False), ("", True), ("Text(5)", True)]
)
def test_of_types_that_are_not_known_nothing_is_told(tmp_path: Path, declared: str, told: bool) -> None:
    path = made(tmp_path / "a.db", f"{KEYED}, n {declared}", [(1, 1), (2, None)])
    assert (looked_at(path) is not None) == told


def test_small_and_damaged_files_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path / "a.db", f"{KEYED}, n INTEGER, s", [(key, 1, "x" * 3000) for key in range(20)])
    assert looked_at(path) is not None
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 4096 + whole[8192:])
    assert looked_at(path) is None
    path.write_bytes(whole)
    monkeypatch.setattr(usual_tables, "TOGETHER", len(whole))
    assert looked_at(path) is None


@pytest.mark.parametrize(("row", "key"), [(50, 16_000), (200, 0), (200, 70)])
def test_a_table_whose_keys_do_not_rise_is_not_told(tmp_path: Path, row: int, key: int) -> None:
    """Whoever asks for a range of them would miss all that comes after one that is damaged."""
    columns = f"{KEYED}, s"
    path = made(tmp_path / "a.db", columns, [(number, f"row {number};") for number in range(101, 301)])
    whole = path.read_bytes()
    # Before a row's values: its size, its key in two bytes, and three bytes of what they are.
    place = whole.index(f"row {row + 100};".encode()) - 5
    assert whole[place : place + 2] == bytes([0x80 | (row + 100) >> 7, (row + 100) & 0x7F])
    path.write_bytes(whole[:place] + bytes([0x80 | key >> 7, key & 0x7F]) + whole[place + 2 :])
    assert looked_at(path) is None


def test_a_text_too_large_for_any_row_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usual_tables, "MAX_FEATURE_BYTES", 0)
    size = sqlite_screening.LEAST_LENGTH
    for number, (kind, value) in enumerate((("TEXT", "x" * 2 * size), ("DATETIME", " " * 2 * size))):
        path = made(tmp_path / f"{number}.db", f"{KEYED}, s {kind}", [(1, None), (2, value)])
        with closing(sqlite_screening.opened(path)) as database:
            assert database.execute("SELECT length(s) FROM a WHERE fid = 2").fetchone() == (2 * size,)
        assert looked_at(path) is None


def found_in(path: Path, driver: str, **asked: Any) -> LayerFound:
    part = parts.screened(parts.Part(path, driver, "a"), None, nothing)
    [layer] = reading.layers(part)
    source = SourceFile(container="bronze", name=path.name, etag="1", size=path.stat().st_size)
    return inspecting.inspected(layer, source, LoadOptions(**asked), nothing)


@pytest.mark.parametrize("asked", [{}, {"where": "number < 4000"}, {"bbox": [0, 0, 0.5, 1]}])
def test_a_layer_is_found_the_same_by_either_way(
    tmp_path: Path, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.gpkg"
    random = numpy.random.default_rng(1)
    shapes = shapely.to_wkb(shapely.points(random.random((5300, 2)))).tolist()
    shapes[17], shapes[4000] = None, shapely.to_wkb(shapely.LineString([(0, 0), (0.1, 0.1)]))
    table = pyarrow.table({"number": range(5300), "geom": pyarrow.array(shapes, pyarrow.binary())})
    about = {"geometry_name": "geom", "geometry_type": "Unknown", "crs": "EPSG:4326"}
    pyogrio.write_arrow(table, path, driver="GPKG", **about)
    with closing(sqlite3.connect(path)) as database:
        database.create_function("ST_IsEmpty", 1, lambda _: 0)
        for trigger in [
            name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        ]:
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("DELETE FROM a WHERE fid BETWEEN 900 AND 2100 OR fid % 7 = 0")
        database.execute("DELETE FROM gpkg_ogr_contents")
        database.commit()
    quick = found_in(path, "GPKG", chunk_features=1000, **asked)
    monkeypatch.setattr(usual_tables, "TOGETHER", 2**40)
    slow = found_in(path, "GPKG", chunk_features=1000, **asked)
    assert quick == slow
    assert quick.features > 1000


def test_a_layer_of_which_less_can_be_read_than_there_is_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.gpkg"
    table = pyarrow.table(
        {"geom": pyarrow.array(shapely.to_wkb(shapely.points([[1, 2]] * 9)).tolist(), pyarrow.binary())}
    )
    pyogrio.write_arrow(
        table, path, driver="GPKG", geometry_name="geom", geometry_type="Point", crs="EPSG:4326"
    )
    told = {"a": Usual([Range(5, 1, 5), Range(5, 6, 9)], small=True)}
    monkeypatch.setattr(parts, "usual_tables", lambda *_: told)
    with pytest.raises(PermanentTaskError, match="tells of 10 features, and 9 can be read"):
        found_in(path, "GPKG")
