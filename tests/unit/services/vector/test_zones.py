"""Times of which each has a zone of its own, or none."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow
import pytest
import shapely

from .loads import found_in, written

EIGHT, TEN = (datetime(2024, 1, 1, hour, tzinfo=UTC) for hour in (8, 10))
NAIVE = TEN.replace(tzinfo=None)
TIMES = ["2024-01-01T10:00:00+02:00", "2024-01-01T10:00:00Z"]
KML = "".join(
    f"<Placemark><TimeStamp><when>{time}</when></TimeStamp><Point><coordinates>1,2</coordinates></Point>"
    "</Placemark>"
    for time in TIMES
)
POINT = {"type": "Point", "coordinates": [1, 2]}


@pytest.mark.parametrize(
    ("name", "content", "column"),
    [
        ("a.csv", "lon,lat,t\n" + "".join(f"1,2,{time}\n" for time in TIMES), "t"),
        (
            "a.kml",
            f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{KML}</Document></kml>',
            "timestamp",
        ),
    ],
)
def test_times_with_different_zones_are_the_moments_that_the_file_says(
    tmp_path: Path, name: str, content: str, column: str
) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert written(path).column(column) == [EIGHT, TEN]


def test_fractions_that_are_rounded_are_to_whole_seconds_and_minutes(tmp_path: Path) -> None:
    """Such times GDAL ends with characters of 0, or with a second 60."""
    path = tmp_path / "a.csv"
    times = ["10:00:00.0002Z", "09:59:59.9998Z", "10:00:00.0002", "09:59:59.9998+00:00", "09:59:60Z"]
    path.write_text("lon,lat,t\n" + "".join(f"1,2,2024-01-01T{time}\n" for time in times))
    assert written(path).column("t") == [TEN] * 5
    note = "column 't' has times with a zone, and 1 without, which are taken for UTC"
    assert note in found_in(path).notes


@pytest.mark.parametrize("zone", ["Z", "", "+02:00"])
def test_fractions_of_nearly_a_second_are_not_lost(tmp_path: Path, zone: str) -> None:
    """GDAL's numbers are those of the second before."""
    features = [
        {"type": "Feature", "properties": {"t": f"2024-01-01T09:59:59.{fraction}{zone}"}, "geometry": POINT}
        for fraction in ("9996", "999999")
    ]
    path = tmp_path / "a.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    time = {"Z": TEN, "": NAIVE, "+02:00": EIGHT}[zone]
    assert written(path).column("t") == [time, time - timedelta(milliseconds=1)]


def test_times_without_a_zone_are_utc_where_others_have_one_and_the_notes_say_so(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    properties = [
        {"t": TIMES[0], "n": "2024-01-01T10:00:00"},
        {"t": "2024-01-01T10:00:00", "n": None},
        {"t": None},
    ]
    features = [{"type": "Feature", "properties": one, "geometry": POINT} for one in properties]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    made = written(path)
    assert made.column("t") == [EIGHT, TEN, None]
    # Where no time has a zone, none is made up.
    assert made.column("n") == [NAIVE, None, None]
    note = "column 't' has times with a zone, and 1 without, which are taken for UTC"
    assert found_in(path).notes == [note]


@pytest.mark.parametrize(
    ("extension", "driver"), [("fgb", "FlatGeobuf"), ("sqlite", "SQLite"), ("gml", "GML")]
)
def test_a_zone_that_a_file_writes_with_each_time_is_kept(
    tmp_path: Path, extension: str, driver: str
) -> None:
    from pyogrio.raw import write_arrow

    path = tmp_path / f"a.{extension}"
    kinds = {"t": pyarrow.timestamp("ms", "+02:00"), "n": pyarrow.timestamp("ms")}
    times = {"t": EIGHT, "n": NAIVE}
    columns = {name: pyarrow.array([times[name]], kind) for name, kind in kinds.items()}
    rows = pyarrow.table(columns | {"geometry": [shapely.to_wkb(shapely.Point(1, 2))]})
    write_arrow(rows, path, driver=driver, geometry_name="geometry", geometry_type="Point", crs="EPSG:4326")
    made = written(path)
    assert (made.column("t"), made.column("n")) == ([EIGHT], [NAIVE])
