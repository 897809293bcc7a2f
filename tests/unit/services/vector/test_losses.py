"""Files of which GDAL reads less than they have, without a word."""

from __future__ import annotations

from pathlib import Path

import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from services.vector import sqlite_values
from services.vector.files import DRIVERS
from services.vector.losses import refuse_incomplete, told
from services.vector.parts import Part
from services.vector.reading import layers
from services.vector.sqlite_values import Looked

from .loads import found_in


def nothing() -> None: ...


def made(folder: Path, extension: str) -> Path:
    """Of ten points."""
    path = folder / f"a.{extension}"
    points = shapely.to_wkb(shapely.points([[number, number] for number in range(10)]))
    table = pyarrow.table({"name": ["x" * 20] * 10, "geom": pyarrow.array(points.tolist(), pyarrow.binary())})
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326"}
    pyogrio.write_arrow(table, path, driver=DRIVERS[extension], **asked)
    return path


def look(path: Path, features: int) -> None:
    [layer] = layers(Part(path, DRIVERS[path.suffix[1:]], "a"))
    refuse_incomplete(layer, features, told(layer, nothing), nothing)


@pytest.mark.parametrize("extension", ["gpkg", "sqlite"])
def test_a_database_that_has_more_rows_than_can_be_read_is_refused(
    tmp_path: Path, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(tmp_path, extension)
    assert found_in(path).features == 10
    monkeypatch.setattr(sqlite_values, "looked_over", lambda *_: Looked(11, {}))
    with pytest.raises(PermanentTaskError, match="it tells of 11 features, and 10 can be read"):
        found_in(path)
    # Of some of it, that is not known.
    assert found_in(path, where="name <> 'y'").features == 10


@pytest.mark.parametrize("extension", ["fgb", "shp", "mif"])
def test_a_file_that_tells_of_more_than_can_be_read_is_refused(tmp_path: Path, extension: str) -> None:
    path = made(tmp_path, extension)
    look(path, 10)
    with pytest.raises(PermanentTaskError, match="it tells of 10 features, and 9 can be read"):
        look(path, 9)


def test_a_geopackage_with_a_damaged_page_is_refused_though_gdal_reads_what_comes_before(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.gpkg"
    points = shapely.to_wkb(shapely.points([[number % 90, 1] for number in range(2000)]))
    table = pyarrow.table({"n": ["x" * 50] * 2000, "geom": pyarrow.array(points.tolist(), pyarrow.binary())})
    asked = {"geometry_name": "geom", "geometry_type": "Point", "crs": "EPSG:4326", "SPATIAL_INDEX": "NO"}
    pyogrio.write_arrow(table, path, driver="GPKG", **asked)
    content = bytearray(path.read_bytes())
    page = len(content) * 6 // 10 // 4096 * 4096
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    assert pyogrio.read_info(path)["features"] == 2000
    with pytest.raises(PermanentTaskError, match=r"the SQLite database cannot be read: .*malformed"):
        found_in(path)


def test_records_that_are_marked_as_deleted_are_not_missing(tmp_path: Path) -> None:
    path = made(tmp_path, "shp")
    table = path.with_suffix(".dbf")
    content = bytearray(table.read_bytes())
    header, record = int.from_bytes(content[8:10], "little"), int.from_bytes(content[10:12], "little")
    content[header + 3 * record] = ord("*")
    table.write_bytes(content)
    look(path, 9)
    table.unlink()
    look(path, 10)


@pytest.mark.parametrize(
    ("text", "features", "refused"),
    [
        ('id,lat,lon\n1,1,2\n"2,1,2\n3,1,2\n', 1, True),
        ('id,lat,lon\n1" pipe,1,2\n3,1,2\n', 2, False),
        ('id,lat,lon\n"a\nb",1,2\n', 1, False),
        ("id,lat,lon\n1,1,2\n", 0, False),
        ('id,lat,lon\r1,1,2\r"2,1,2\r3,1,2\r', 1, True),
        ('id,lat,lon\r1" pipe,1,2\r3,1,2\r', 2, False),
        ('id,lat,lon\n"a\nb",1,2\n12" pipe,1,2\n', 2, False),
        ('id,lat,lon\r\n12" pipe,1,2\r\n"a\r\n""b",1,2', 2, False),
        ('id,lat,lon\n"a\nb",1,2\n3,1,"2\n', 1, True),
    ],
)
def test_a_quote_that_is_never_closed_is_found(
    tmp_path: Path, text: str, features: int, refused: bool
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    if not refused:
        look(path, features)
        return
    with pytest.raises(PermanentTaskError, match="a quote is never closed: of 3 lines after the first, 1"):
        look(path, features)
