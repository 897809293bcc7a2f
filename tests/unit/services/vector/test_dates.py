"""Dates that are none, and such as no calendar of ours has: only the feature is rejected."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pyogrio
import pytest
import shapely

from services.vector.files import DRIVERS

from .loads import found_in, written

DATES = ["2024-02-29", "2024/05/01", "2024-05-01T00:00:00Z", " 2024-05-01", None]
NO_DATES: list[Any] = [
    *("foo", "", "01.05.2024", "2024-02-30", "2024-13-01", "20240501", "2024-05-01Tfoo"),
    *("2024-05-01T24:00:00Z", "2024-05-01T10:00:00Z"),
    b"\x00\xff",
]


def database(path: Path, values: Sequence[Any]) -> Path:
    """A layer with two columns of dates, in the first of which are these values."""
    points = shapely.to_wkb(shapely.points([[n, n] for n in range(len(values))])).tolist()
    table = pyarrow.table(
        {
            "day": pyarrow.array([date(2020, 1, 1)] * len(values)),
            "at": pyarrow.array([datetime(2020, 1, 1, tzinfo=UTC)] * len(values)),
            "geom": pyarrow.array(points, pyarrow.binary()),
        }
    )
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326", "SPATIAL_INDEX": "NO"}
    if path.suffix == ".sqlite":
        del asked["SPATIAL_INDEX"]
    pyogrio.write_arrow(table, path, driver=DRIVERS[path.suffix[1:]], **asked)
    with closing(sqlite3.connect(path)) as made:
        for (trigger,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            made.execute(f'DROP TRIGGER "{trigger}"')
        made.executemany("UPDATE a SET day = ? WHERE rowid = ?", [(v, n) for n, v in enumerate(values, 1)])
        made.commit()
    return path


@pytest.mark.parametrize("extension", ["gpkg", "sqlite"])
def test_what_is_no_date_in_a_column_of_dates_is_rejected_with_what_it_is(
    tmp_path: Path, extension: str
) -> None:
    """GDAL makes 1970-01-01 of it, or null, or another day."""
    path = database(tmp_path / f"a.{extension}", [*DATES, *NO_DATES])
    made = written(path)
    first = date(2024, 5, 1)
    assert made.column("day") == [date(2024, 2, 29), first, first, first, None]
    assert (made.counts.read, made.counts.rejected) == (len(DATES) + len(NO_DATES), len(NO_DATES))
    reasons = made.reasons()
    assert list(reasons) == [str(number) for number in range(len(DATES) + 1, len(DATES) + len(NO_DATES) + 1)]
    assert reasons[str(len(DATES) + 1)] == "column 'day': 'foo' is no date"
    timed = "column 'day': '2024-05-01T10:00:00Z' has a time of day, and the column has days"
    assert timed in reasons.values()
    [note] = found_in(path).notes
    assert note.startswith("column 'day' has 13 values that are not written as those of its type")


def test_a_number_with_a_fraction_is_a_day_to_sqlite_and_none_to_a_geopackage(tmp_path: Path) -> None:
    made = written(database(tmp_path / "a.sqlite", [2460000.5, 2460000.75]))
    assert made.column("day") == [date(2023, 2, 25)]
    assert made.reasons() == {"2": "column 'day': '2460000.75' has a time of day, and the column has days"}
    refused = written(database(tmp_path / "a.gpkg", [2460000.5]))
    assert refused.reasons() == {"1": "column 'day': '2460000.5' is no date"}


def test_a_column_that_is_not_asked_for_rejects_nothing(tmp_path: Path) -> None:
    path = database(tmp_path / "a.gpkg", ["foo", "bar"])
    assert written(path, columns=["at"]).counts.loaded == 2
    assert found_in(path, columns=["at"]).notes == []


def parquet(path: Path, values: pyarrow.Array) -> Path:
    points = shapely.to_wkb(shapely.points([[n, n] for n in range(len(values))])).tolist()
    table = pyarrow.table({"at": values, "geom": pyarrow.array(points, pyarrow.binary())})
    about = {"primary_column": "geom", "version": "1.1.0", "columns": {"geom": {"encoding": "WKB"}}}
    pyarrow.parquet.write_table(table.replace_schema_metadata({"geo": json.dumps(about)}), path)
    return path


DAYS = (-719_162, -719_163, 2_932_896, 2_932_897, None)
"""Of the years 1, before, 9999 and after, since 1970."""


@pytest.mark.parametrize("unit", ["days", "ms", "us"])
def test_a_time_that_no_calendar_of_ours_has_rejects_its_feature_alone(tmp_path: Path, unit: str) -> None:
    if unit == "days":
        values = pyarrow.array(DAYS, pyarrow.int32()).cast(pyarrow.date32())
    else:
        per_day = 86_400 * {"ms": 10**3, "us": 10**6}[unit]
        many = [None if day is None else day * per_day for day in DAYS]
        values = pyarrow.array(many, pyarrow.int64()).cast(pyarrow.timestamp(unit, "UTC"))
    made = written(parquet(tmp_path / "a.parquet", values))
    assert made.reasons() == dict.fromkeys("13", "column 'at': a time is outside the years 1 to 9999")
    kept = [None if one is None else (one.year, one.month, one.day) for one in made.column("at")]
    assert kept == [(1, 1, 1), (9999, 12, 31), None]


def test_so_does_one_so_far_that_its_number_would_come_around(tmp_path: Path) -> None:
    values = pyarrow.array([2**60, 0], pyarrow.int64()).cast(pyarrow.timestamp("ms"))
    assert list(written(parquet(tmp_path / "a.parquet", values)).reasons()) == ["0"]


def test_so_does_one_in_a_list(tmp_path: Path) -> None:
    days = pyarrow.array([0, 0, 2**30], pyarrow.int32()).cast(pyarrow.date32())
    values = pyarrow.ListArray.from_arrays([0, 1, 3], days)
    made = written(parquet(tmp_path / "a.parquet", values))
    assert (list(made.reasons()), made.column("at")) == (["1"], ['["1970-01-01"]'])


def test_a_date_before_christ_which_gdal_reads_by_days_off_is_rejected(
    tmp_path: Path,
) -> None:
    made = written(database(tmp_path / "a.gpkg", ["-0044-03-15", "0000-01-01", "0001-01-01", "12024-05-01"]))
    assert list(made.reasons()) == ["1", "2", "4"]
    assert made.column("day") == [date(1, 1, 1)]
