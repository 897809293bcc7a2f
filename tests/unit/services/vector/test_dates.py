"""Dates that are none, and such as no calendar of ours has: only the feature is rejected."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import pytest
import shapely

from services.vector.files import DRIVERS

from .loads import found_in, written

DATES = ["2024-02-29", "2024/05/01", "2024-05-01T10:00:00Z", " 2024-05-01", None]
NO_DATES: list[Any] = [
    *("foo", "", "01.05.2024", "2024-02-30", "2024-13-01", "20240501", "2024-05-01Tfoo"),
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
    [note] = found_in(path).notes
    assert note.startswith("column 'day' is of dates, and 10 values are written otherwise")


def test_a_number_with_a_fraction_is_a_day_to_sqlite_and_none_to_a_geopackage(tmp_path: Path) -> None:
    assert written(database(tmp_path / "a.sqlite", [2460000.5])).column("day") == [date(2023, 2, 25)]
    refused = written(database(tmp_path / "a.gpkg", [2460000.5]))
    assert refused.reasons() == {"1": "column 'day': '2460000.5' is no date"}


def test_a_column_that_is_not_asked_for_rejects_nothing(tmp_path: Path) -> None:
    path = database(tmp_path / "a.gpkg", ["foo", "bar"])
    assert written(path, columns=["at"]).counts.loaded == 2
    assert found_in(path, columns=["at"]).notes == []
