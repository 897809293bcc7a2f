"""Values that a database's column has no room for: features with such as GDAL misreads are rejected."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import pytest

from interfaces.errors import PermanentTaskError
from interfaces.layers import LayerFound
from services.vector import sqlite_values
from services.vector.loading import LayerToLoad

from .databases import database
from .loads import found_in, written

VALUES: list[Any] = [
    *(0, 1, 2, -1, 127, 128, -129, 255, 256, 2**15 - 1, 2**15, -(2**15) - 1, 2**31 - 1, 2**31, -(2**31) - 1),
    *(5 * 10**9, 2**53, 2**53 + 1, 2**62, 3.5, -0.5, 1e39, -1e39, 1e19, math.inf, -math.inf),
    *("abc", "", "5 x", "5", "true", "False", "maybe", b"5", b"", None),
]
BITS = {"BOOLEAN": 2, "TINYINT": 32, "SMALLINT": 16, "MEDIUMINT": 32, "INT": 64, "INTEGER": 64}
WIDE = [f"c{number} SMALLINT" for number in range(1200)]


def nothing() -> None: ...


def stored(path: Path) -> list[Any]:
    with closing(sqlite3.connect(path)) as made:
        return [value for (value,) in made.execute("SELECT v FROM a ORDER BY rowid")]


@pytest.mark.parametrize("extension", ["gpkg", "sqlite"])
@pytest.mark.parametrize("declared", [*BITS, "BIGINT", "INT8", "FLOAT", "DOUBLE", "REAL", "NUMERIC"])
def test_a_number_is_loaded_as_it_is_or_rejected(tmp_path: Path, extension: str, declared: str) -> None:
    path = database(tmp_path / f"a.{extension}", declared, VALUES)
    made = written(path)
    assert (made.counts.read, made.counts.rejected) == (len(VALUES), len(made.reasons()))
    kept = [value for number, value in enumerate(stored(path), 1) if str(number) not in made.reasons()]
    if (extension, declared) == ("gpkg", "BIGINT"):
        # GDAL leaves it out; that is told.
        assert found_in(path).notes == ["column 'v' is left out: GeoPackages have no type 'BIGINT'"]
        return
    words = {"true": True, "False": False}
    single = declared == "FLOAT" and extension == "gpkg"
    for value, read in zip(kept, made.column("v"), strict=True):
        if single and isinstance(value, float) and math.isfinite(value):
            assert read == pytest.approx(value, rel=2**-24)
        else:
            assert read == words.get(value, value), (declared, value, read)
    assert any(value is None for value in kept)
    assert len(kept) >= 3
    assert all(reason.startswith("column 'v': ") for reason in made.reasons().values())
    if extension == "gpkg" and declared in BITS:
        fit = [v for v in stored(path) if isinstance(v, int) and _fits(v, declared)]
        assert [value for value in kept if value is not None] == fit


def _fits(value: int, declared: str) -> bool:
    bits = BITS[declared]
    return value in (0, 1) if declared == "BOOLEAN" else -(2 ** (bits - 1)) <= value < 2 ** (bits - 1)


def test_the_reason_says_what_it_is_and_what_the_column_has(tmp_path: Path) -> None:
    made = written(
        database(tmp_path / "a.gpkg", "MEDIUMINT", [1, "x" * 300, 5_000_000_000, b"\x00\xff", 2.5])
    )
    bits = "is no whole number of 32 bits, as the column has them"
    assert made.reasons() == {
        "2": f"column 'v': '{'x' * 100}' {bits}",
        "3": f"column 'v': '5000000000' {bits}",
        "4": f"column 'v': '00ff' {bits}",
        "5": f"column 'v': '2.5' {bits}",
    }
    assert made.column("v") == [1]


def test_what_is_neither_true_nor_false_is_said_to_be(tmp_path: Path) -> None:
    made = written(database(tmp_path / "a.gpkg", "BOOLEAN", [1, 5]))
    assert made.reasons() == {"2": "column 'v': '5' is neither true nor false"}


TIMES: dict[str, datetime | None] = {
    "2024-01-01": datetime(2024, 1, 1, tzinfo=UTC),
    "2024-01-01T23:30:45.9994Z": datetime(2024, 1, 1, 23, 30, 45, 999_000, UTC),
    "2024-01-01T23:30:45-05:45": datetime(2024, 1, 2, 5, 15, 45, tzinfo=UTC),
    "2024-01-01T23:30+0100": datetime(2024, 1, 1, 22, 30, tzinfo=UTC),
    "2024-01-01T12:30:45+00:00": datetime(2024, 1, 1, 12, 30, 45, tzinfo=UTC),
    "2024-01-01T24:00:00Z": None,
    "2024-01-01T12:30:45+01:01": None,
    "2024-01-01T12:30+00:19": None,
    "2024-01-01T12:30:45 -0001": None,
    "2024-01-01 T 12:30Z": None,
}
"""Times as they are written, and what they are; None where GDAL makes others of them."""


@pytest.mark.parametrize("extension", ["gpkg", "sqlite"])
def test_a_time_is_loaded_as_it_is_or_rejected(tmp_path: Path, extension: str) -> None:
    """GDAL knows no hour 24 and no zone of other than quarters of hours."""
    made = written(database(tmp_path / f"a.{extension}", "DATETIME", list(TIMES)))
    assert made.column("v") == [time for time in TIMES.values() if time is not None]
    assert list(made.reasons()) == [str(n) for n, time in enumerate(TIMES.values(), 1) if time is None]


def test_a_time_before_the_first_year_is_rejected_beside_times_with_zones(tmp_path: Path) -> None:
    values = ["2024-01-01T00:00:00Z", "-0044-03-15T00:00:00Z", "2024-01-01"]
    made = written(database(tmp_path / "a.sqlite", "DATETIME", values))
    assert made.column("v") == [datetime(2024, 1, 1, tzinfo=UTC)] * 2
    assert made.reasons() == {"2": "column 'v': a time is outside the years 1 to 9999"}


def test_fractions_of_which_gdal_makes_none_or_a_whole_minute(tmp_path: Path) -> None:
    values = ["2024-12-31T23:59:59.9996Z", "2024-01-01T12:30:45.9999999", "2024-01-01T12:30:45.999Z"]
    made = written(database(tmp_path / "a.gpkg", "DATETIME", values))
    lost = "is read without its fraction of a second, which is nearly one"
    assert made.reasons() == {str(n): f"column 'v': '{values[n - 1]}' {lost}" for n in (1, 2)}
    assert made.column("v") == [datetime(2024, 1, 1, 12, 30, 45, 999_000, UTC)]
    rounded = written(database(tmp_path / "a.sqlite", "DATETIME", values))
    assert rounded.column("v")[:2] == [
        datetime(2025, 1, 1, tzinfo=UTC),
        datetime(2024, 1, 1, 12, 30, 46, tzinfo=UTC),
    ]


def test_a_time_of_day_is_loaded_as_it_is_or_rejected(tmp_path: Path) -> None:
    fit = {
        "23:59:59.999": time(23, 59, 59, 999_000),
        "12:30:45.9994": time(12, 30, 45, 999_000),
        "12:30": time(12, 30),
        "12:30:45": time(12, 30, 45),
        "12:30:45.5": time(12, 30, 45, 500_000),
    }
    others = ["abc", "", "24:00:00", "12:60:00", "12:30:45Z", "2024-01-01T12:30:45", "23:59:59.9999", "1:2"]
    made = written(database(tmp_path / "a.sqlite", "TIME", [*fit, None, *others, 123045, 0.5, b"12:30"]))
    assert made.column("v") == [*fit.values(), None]
    assert list(made.reasons()) == [str(number) for number in range(7, 18)]
    assert made.reasons()["7"] == "column 'v': 'abc' is no time of day"


@pytest.mark.parametrize("extension", ["gpkg", "sqlite"])
def test_a_text_that_gdal_cuts_is_rejected(tmp_path: Path, extension: str) -> None:
    made = written(database(tmp_path / f"a.{extension}", "TEXT", ["é", "b\0c", "\0", b"a\0b", "", None, "d"]))
    assert made.column("v") == ["é", "", None, "d"]
    assert list(made.reasons()) == ["2", "3", "4"]
    assert made.reasons()["2"] == "column 'v': 'b' goes on after a NUL character"


LISTS: list[Any] = [
    *("abc", "{}", "", "[", "5", b"[1]", '[1, "x"]', "[1, null]", "[[1]]", "[true]", '["a\\u0000b"]'),
    *("[2.5]", "[5000000000]", "[18446744073709551616]", "[1e400]", '["a", "b"]', "[1, 2]", "[-3]", None),
]


@pytest.mark.parametrize(
    ("declared", "fit"),
    [
        ("JSONINTEGERLIST", [[1, 2], [-3], None]),
        ("JSONINTEGER64LIST", [[5_000_000_000], [1, 2], [-3], None]),
        ("JSONREALLIST", [[2.5], [5e9], [2.0**64], [1, 2], [-3], None]),
        ("JSONSTRINGLIST", [["a", "b"], None]),
    ],
)
def test_a_list_is_loaded_as_it_is_or_rejected(tmp_path: Path, declared: str, fit: list[Any]) -> None:
    """GDAL makes 0 of what is no number, and null of what is no list."""
    made = written(database(tmp_path / "a.sqlite", declared, LISTS))
    assert made.column("v") == fit
    assert made.counts.rejected == len(LISTS) - len(fit)


@pytest.mark.parametrize("extension", ["gpkg", "sqlite"])
def test_a_number_among_bytes_is_rejected(tmp_path: Path, extension: str) -> None:
    made = written(database(tmp_path / f"a.{extension}", "BLOB", [b"\xff", "text", 5, 2.5, None]))
    assert made.column("v") == [b"\xff", b"text", None]
    assert list(made.reasons()) == ["3", "4"]
    assert made.reasons()["3"] == "column 'v': '5' is a number, and the column has bytes"


def test_numbers_that_single_precision_rounds_are_noted(tmp_path: Path) -> None:
    values = [0.5, 16_777_216, 16_777_217, 123_456_789.125, 0.1, -0.1, 2.0**127, 1e-300, None, "x", math.inf]
    path = database(tmp_path / "a.gpkg", "FLOAT", values)
    odd, rounded = found_in(path).notes
    assert odd.startswith("column 'v' has 1 values that are not written")
    assert (
        rounded == "column 'v' has 5 values of more digits than its single precision: they are rounded to it"
    )
    assert written(path).column("v")[2:4] == [16_777_216, 123_456_792]
    path.unlink()
    assert found_in(database(path, "FLOAT", [0.5, 16_777_216, 2.0**-126, -(2.0**127)])).notes == []


def test_another_column_of_geometries_is_said_to_be_left_out(tmp_path: Path) -> None:
    notes = found_in(database(tmp_path / "a.gpkg", "POLYGON", [None])).notes
    assert notes == ["column 'v' is left out: a layer has one of geometries"]


def test_of_a_filtered_layer_too(tmp_path: Path) -> None:
    path = database(tmp_path / "a.gpkg", "SMALLINT", [1, "x", 70_000, 3])
    made = written(path, where="fid > 2")
    assert (list(made.reasons()), made.column("v")) == (["3"], [3])
    assert found_in(path, columns=[]).notes == []


def test_of_a_table_with_a_column_that_only_gdal_can_compute(tmp_path: Path) -> None:
    path = database(tmp_path / "a.gpkg", "SMALLINT", [1, "x"])
    with closing(sqlite3.connect(path)) as made:
        made.create_function("ST_MinX", 1, len, deterministic=True)
        made.execute("ALTER TABLE a ADD COLUMN x REAL AS (ST_MinX(geom))")
        made.commit()
    loaded = written(path)
    assert (loaded.column("x"), list(loaded.reasons())) == ([0.0], ["2"])


def test_bytes_that_are_no_text_are_no_number_either(tmp_path: Path) -> None:
    path = database(tmp_path / "a.gpkg", "SMALLINT", [1, 2])
    with closing(sqlite3.connect(path)) as made:
        made.execute("UPDATE a SET v = CAST(x'ff41' AS TEXT) WHERE fid = 2")
        made.commit()
    assert list(written(path).reasons()) == ["2"]


def test_of_as_many_columns_as_a_table_may_have(tmp_path: Path) -> None:
    """SQLite takes no expression of 1,000 levels, and answers 2,000 columns."""
    path = database(tmp_path / "a.gpkg", "SMALLINT", [1, 2])
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"CREATE TABLE b (fid INTEGER PRIMARY KEY, geom POINT, {', '.join(WIDE)})")
        made.execute("INSERT INTO b (fid, geom) SELECT fid, geom FROM a")
        made.execute(f"UPDATE b SET {', '.join(f'{one.split()[0]} = 2.5' for one in WIDE)} WHERE fid = 2")
        made.executescript("DROP TABLE rtree_a_geom; DROP TABLE a; ALTER TABLE b RENAME TO a;")
        made.execute("DELETE FROM gpkg_extensions")
        made.commit()
    assert len(found_in(path).odd_values) == len(WIDE)
    made_of = written(path)
    assert list(made_of.reasons()) == ["2"]
    assert made_of.column("c1199") == [None]


def test_a_table_is_gone_over_once_for_its_rows_and_its_odd_values(tmp_path: Path) -> None:
    path = tmp_path / "a.gpkg"
    with closing(sqlite3.connect(path)) as made:
        made.executescript(
            """
            CREATE TABLE t (fid INTEGER PRIMARY KEY, "a ""x" MEDIUMINT, b REAL, c TEXT(10), e BOOLEAN);
            INSERT INTO t VALUES (1, 'x', 1, 1, 1), (2, 1.5, 'y', 'z', 0), (3, 2, 2.5, x'00', NULL);
            CREATE VIEW v AS SELECT * FROM t;
            """
        )
    types = {
        'a "x': ("OFTInteger", "OFSTNone"),
        "b": ("OFTReal", "OFSTNone"),
        "e": ("OFTInteger", "OFSTBoolean"),
    }
    odd = {'a "x': 2, "b": 1}
    assert sqlite_values.looked_over(path, "t", types, nothing) == sqlite_values.Looked(3, odd)
    assert sqlite_values.looked_over(path, "v", types, nothing) == sqlite_values.Looked(None, odd)
    for name in ("v", "none"):
        assert sqlite_values.looked_over(path, name, {}, nothing) == sqlite_values.Looked(None, {})
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * 8192)
    with pytest.raises(PermanentTaskError, match="cannot be read"):
        sqlite_values.looked_over(path, "t", types, nothing)


def test_tasks_that_were_made_before_numbers_were_looked_at_say_it_by_another_name(tmp_path: Path) -> None:
    path = database(tmp_path / "a.gpkg", "DATE", ["2024-02-30"])
    found = found_in(path).model_dump(mode="json")
    found["odd_dates"] = found.pop("odd_values")
    assert LayerFound.model_validate(found).odd_values == ["v"]
    needed = {name: found[name] for name in [*LayerToLoad.model_fields, "odd_dates"] if name in found}
    assert LayerToLoad.model_validate(needed).odd_values == ["v"]


def test_of_very_many_columns_each_is_looked_at(tmp_path: Path) -> None:
    """SQLite answers 2,000 columns at most, and of those of single precision two are asked each."""
    names = [f"v{number}" for number in range(1100)]
    path = tmp_path / "a.gpkg"
    with closing(sqlite3.connect(path)) as made:
        made.execute(f"CREATE TABLE t (fid INTEGER PRIMARY KEY, {', '.join(f'{n} FLOAT' for n in names)})")
        made.execute("INSERT INTO t (v0, v700, v1099) VALUES (1e300, 0.1, 'x')")
        made.commit()
    types = dict.fromkeys(names, ("OFTReal", "OFSTFloat32"))
    looked = sqlite_values.looked_over(path, "t", types, nothing, "fid")
    assert looked == sqlite_values.Looked(1, {"v0": 1, "v1099": 1}, {"v700": 1})


def test_a_table_that_cannot_be_looked_through_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.gpkg"
    with closing(sqlite3.connect(path)) as made:
        made.execute("CREATE TABLE t (fid INTEGER PRIMARY KEY)")
    monkeypatch.setattr(sqlite_values, "COLUMNS_AT_ONCE", 3000)
    types = {f"v{number}": ("OFTReal", "OFSTNone") for number in range(2500)}
    with pytest.raises(PermanentTaskError, match="layer 't' cannot be looked through: too many columns"):
        sqlite_values.looked_over(path, "t", types, nothing, "fid")
