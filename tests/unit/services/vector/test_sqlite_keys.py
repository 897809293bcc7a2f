"""Which features have values that are misread is known by their keys, or the layer is refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from interfaces.errors import PermanentTaskError, TaskCancelled
from services.vector import sqlite_values

from .databases import database, remade, view
from .loads import found_in, written


@pytest.mark.parametrize(
    ("columns", "selected"),
    [
        ("geom POINT, v SMALLINT", "geom, v"),
        ("geom POINT, rowid INTEGER, v SMALLINT", "geom, 10 - fid, v"),
        ("geom POINT, k TEXT PRIMARY KEY, v SMALLINT", "geom, fid, v"),
        ("geom POINT, k INTEGER, l INTEGER, v SMALLINT, PRIMARY KEY (k, l)", "geom, fid, 1, v"),
        ("geom POINT, k INT PRIMARY KEY, v SMALLINT", "geom, CASE fid WHEN 2 THEN 'x' ELSE fid END, v"),
    ],
)
def test_what_cannot_be_found_by_a_key_is_refused(tmp_path: Path, columns: str, selected: str) -> None:
    """Its features have the id 0, all of them."""
    path = remade(database(tmp_path / "a.gpkg", "TEXT", [1, "x", 5 * 10**9, 2]), columns, selected)
    with pytest.raises(PermanentTaskError, match=r"column 'v': '.*' is no whole .* no key of whole numbers"):
        found_in(path)
    assert written(path, columns=[]).counts.loaded == 4
    with closing(sqlite3.connect(path)) as made:
        made.execute("UPDATE a SET v = 1 WHERE v NOT IN (1, 2)")
        made.commit()
    assert written(path).column("v") == [1, 1, 1, 2]


@pytest.mark.parametrize("extra", ["", ", ST_MinX(geom) AS x"])
def test_ids_that_are_null_are_refused(tmp_path: Path, extra: str) -> None:
    """Of four features GDAL reads the fourth twice, and the second not at all."""
    said = "layer 'a': of 1 features the id '.*' is null"
    looked = database(tmp_path / "a.gpkg", "TEXT", ["a", "b", "c", "d"])
    with pytest.raises(PermanentTaskError, match=said):
        found_in(view(looked, f"nullif(fid, 2) AS fid, geom, v{extra} FROM b"))
    looked.unlink()
    table = database(looked, "TEXT", ["a", "b", "c", "d"])
    columns = "geom POINT, k INT PRIMARY KEY, v TEXT"
    with pytest.raises(PermanentTaskError, match=said):
        found_in(remade(table, columns, "geom, nullif(fid, 2), v"))


def test_whoever_is_stopped_is_not_told_that_there_is_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = database(tmp_path / "a.gpkg", "SMALLINT", ["x"])
    monkeypatch.setattr(sqlite_values, "SQLITE_STEPS", 1)

    def stopped() -> None:
        raise TaskCancelled("stopped")

    with pytest.raises(TaskCancelled):
        sqlite_values.are_findable(path, "a", "fid", {"v": ("OFTReal", "OFSTNone")}, {"v": 1}, stopped)


def test_what_is_odd_and_read_rightly_needs_no_key(tmp_path: Path) -> None:
    days = ["2024/05/01", "2024-05-01T00:00:00Z"]
    path = remade(database(tmp_path / "a.gpkg", "DATE", days), "geom POINT, v DATE")
    assert found_in(path).notes == []
    assert written(path).counts.loaded == 2


def test_features_without_a_key_are_told_by_their_places(tmp_path: Path) -> None:
    days = ["2024-01-01", "0000-01-01", "2024-01-02"]
    made = written(remade(database(tmp_path / "a.gpkg", "DATE", days), "geom POINT, v DATE"))
    assert (len(made.column("v")), list(made.reasons())) == (2, ["1"])


def test_a_column_that_is_called_as_sqlite_calls_the_ids_of_rows_is_not_taken_for_them(
    tmp_path: Path,
) -> None:
    columns, selected = "geom BLOB, rowid INTEGER, v MEDIUMINT", "geom, 10 - ogc_fid, v"
    path = remade(database(tmp_path / "a.sqlite", "TEXT", [1, "x", 5 * 10**9, 2]), columns, selected)
    made = written(path)
    assert (made.column("v"), list(made.reasons())) == ([1, 2], ["2", "3"])


@pytest.mark.parametrize(
    ("selected", "told"),
    [
        ("fid * 10 AS id, geom, v FROM b", True),
        ("geom, v FROM b", False),
        ("fid, geom, v FROM b UNION ALL SELECT fid, geom, v FROM b", False),
        ("fid, geom, v, ST_MinX(geom) AS x FROM b", False),
        ("fid, geom, v FROM b WHERE ST_MinX(geom) > 0.5", False),
    ],
)
def test_what_a_view_has_is_found_by_its_key_or_refused(tmp_path: Path, selected: str, told: bool) -> None:
    path = view(database(tmp_path / "a.gpkg", "SMALLINT", [1, "x", 70_000, 2]), selected)
    if told:
        assert list(written(path).reasons()) == ["20", "30"]
        return
    with pytest.raises(PermanentTaskError, match=r"column 'v'.*; and layer 'a' has no key of whole numbers"):
        found_in(path)
    path.unlink()
    fit = view(database(path, "SMALLINT", [1, 2]), selected)
    assert written(fit).counts.rejected == 0
