"""How many rows of a database are read together, by what SQLite says of their sizes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy
import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from interfaces.layers import SourceFile
from interfaces.vectors import LoadOptions
from services.vector import chunking, inspecting, parts, reading, sqlite_screening
from services.vector.chunking import MOST_FEATURES, Bound, rows_of_largest
from services.vector.sqlite_screening import rows_at_a_time

MEGABYTE = 1024**2


def nothing() -> None: ...


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes in place of megabytes."""
    monkeypatch.setattr(sqlite_screening, "TOGETHER", 0)
    monkeypatch.setattr(chunking, "TOGETHER", 16_000)
    monkeypatch.setattr(chunking, "BESIDE", 4_000)
    monkeypatch.setattr(sqlite_screening, "MAX_FEATURE_BYTES", 32_000)


def made(path: Path, script: str, values: list[object]) -> Path:
    """A database with values in the column `g` of a table `a`."""
    with closing(sqlite3.connect(path)) as database:
        database.executescript(script)
        database.executemany("INSERT INTO a (g) VALUES (?)", [[value] for value in values])
        database.commit()
    return path


TABLE = "CREATE TABLE a (fid INTEGER PRIMARY KEY, g);"
REGISTERED = """CREATE TABLE gpkg_geometry_columns (table_name, column_name);
INSERT INTO gpkg_geometry_columns VALUES ('A', 'g'), ('none', 'g');"""


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ([], MOST_FEATURES),
        ([9_000, 7_000], MOST_FEATURES),
        ([9_000, 7_000, 1], 2),
        ([100] * 200, 160),
        # What is larger by itself has a few beside it, not none.
        ([30_000, 1_000, 1_000, 1_000, 1_000, 1_000], 5),
        ([30_000, 20_000], 1),
    ],
)
def test_so_many_are_read_together_as_would_fit_were_the_largest_in_a_row(
    sizes: list[int], rows: int
) -> None:
    assert rows_of_largest(sizes) == rows


@pytest.mark.parametrize("value", [b"x" * 5_000, "x" * 5_000, "é" * 2_500, "\0" + "x" * 4_999])
@pytest.mark.parametrize("registered", ["", REGISTERED])
def test_large_values_are_counted_in_bytes_wherever_they_are(
    tmp_path: Path, value: object, registered: str
) -> None:
    few = [value, *[None, 1, 2.5] * 50]
    path = made(tmp_path / "a.db", TABLE + registered, few * 3)
    assert rows_at_a_time(path, nothing) == 3 + 1_000 // 8
    assert rows_at_a_time(made(tmp_path / "b.db", TABLE + registered, few * 4), nothing) == 3
    assert rows_at_a_time(made(tmp_path / "c.db", TABLE, [1, None]), nothing) == MOST_FEATURES


@pytest.mark.parametrize("value", [b"x", "x"])
def test_a_row_that_is_too_large_is_refused_whatever_makes_it_so(tmp_path: Path, value: str | bytes) -> None:
    table = f"{TABLE} ALTER TABLE a ADD COLUMN n integer DEFAULT '{'y' * 2_000}';"
    assert rows_at_a_time(made(tmp_path / "a.db", table, [value * 30_000]), nothing) == MOST_FEATURES
    for size in (30_001, 1_100_000):
        path = made(tmp_path / f"{size}.db", table, [value * size])
        with pytest.raises(PermanentTaskError, match="one feature is larger than 32 MiB"):
            rows_at_a_time(path, nothing)


def test_tables_of_a_geopackage_without_features_may_have_larger_values(tmp_path: Path) -> None:
    media = "CREATE TABLE media (fid INTEGER PRIMARY KEY, b); INSERT INTO media VALUES (1, zeroblob(40000));"
    path = made(tmp_path / "a.gpkg", TABLE + REGISTERED + media, [b"x" * 100] * 200)
    assert rows_at_a_time(path, nothing) == 160
    with pytest.raises(PermanentTaskError, match="one feature is larger than 32 MiB"):
        rows_at_a_time(made(tmp_path / "a.db", TABLE + media, [b"x"]), nothing)


@pytest.mark.parametrize(
    "view",
    [
        "SELECT a.fid, a.g, b.g AS h FROM a, a AS b",
        "SELECT fid, g FROM large WHERE ST_Area(g) > 1",
        "SELECT fid, g, 'ST_Area' AS x FROM missing",
    ],
)
def test_a_view_is_looked_at_too_and_its_tables_where_sqlite_lacks_its_functions(
    tmp_path: Path, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_screening, "TOGETHER", MEGABYTE)
    script = f"""{TABLE}{REGISTERED}
    CREATE TABLE large (fid INTEGER PRIMARY KEY, g);
    INSERT INTO large SELECT value, zeroblob(2000) FROM json_each('[1,2,3,4,5,6,7,8,9]');
    """
    assert rows_at_a_time(made(tmp_path / "a.gpkg", script, [b"x" * 1_000] * 3), nothing) is None
    named = f"CREATE VIEW v AS {view}; INSERT INTO gpkg_geometry_columns VALUES ('v', 'g');"
    path = made(tmp_path / "b.gpkg", script + named, [b"x" * 1_000] * 3)
    assert rows_at_a_time(path, nothing) == 7 + ("ST_Area" in view)


@pytest.mark.parametrize(("extension", "driver"), [("gpkg", "GPKG"), ("sqlite", "SQLite")])
def test_no_more_rows_than_that_are_read_at_a_time_by_whoever_reads(
    tmp_path: Path, extension: str, driver: str
) -> None:
    path = tmp_path / f"a.{extension}"
    points = shapely.to_wkb(shapely.points(numpy.random.default_rng(1).random((900, 2))))
    texts = ["x" * 3_000 if 300 <= number < 330 else "y" for number in range(900)]
    table = pyarrow.table({"said": texts, "geom": pyarrow.array(points.tolist(), pyarrow.binary())})
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326"}
    pyogrio.write_arrow(table, path, driver=driver, **asked)
    part = parts.screened(parts.Part(path, driver, "a"), None, nothing)
    assert part.together == Bound(5, 5)
    [layer] = reading.layers(part)
    source = SourceFile(container="bronze", name=path.name, etag="1", size=path.stat().st_size)
    assert inspecting.inspected(layer, source, LoadOptions(), nothing).batch_features == 5
