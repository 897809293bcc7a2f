"""Spreadsheets: what is refused, and what becomes of their rows."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from interfaces.vectors import ReadOptions
from services.vector import workbooks
from services.vector.areas import Area
from services.vector.parts import Part
from services.vector.reading import layers, stream

PLACES = pyarrow.table(
    {
        "name": ["a", "007", None, "d", None],
        "lon": [1.5, 2.5, None, None, 9.0],
        "lat": [2.0, 3.0, None, 4.0, 9.5],
        "day": [dt.date(2024, 5, 1), dt.date(1900, 3, 1), None, None, None],
        "time": [dt.datetime.fromisoformat("2024-05-01T12:30:15"), None, None, None, None],
        "shape": ["POINT (7 8)", "east", None, '{"type": "Point", "coordinates": [5, 6]}', None],
    }
)
NOTES = pyarrow.table({"remark": ["none"], "number": [1]})


def nothing() -> None:
    """Is called in between."""


def workbook(path: Path, *sheets: tuple[str, pyarrow.Table]) -> Path:
    driver = "ODS" if path.suffix == ".ods" else "XLSX"
    for number, (name, table) in enumerate(sheets):
        pyogrio.write_arrow(table, path, driver=driver, layer=name, append=number > 0)
    return path


def changed(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """The same workbook with other members."""
    made = path.with_name(f"changed{path.suffix}")
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return made


def read(path: Path, sheet: str = "Places", area: Area | None = None, **options: Any) -> dict[str, list[Any]]:
    part = Part(path, "ODS" if path.suffix == ".ods" else "XLSX", path.stem)
    asked = ReadOptions.model_validate(options)
    [layer] = [one for one in layers(part, asked.csv) if one.title == sheet]
    found: dict[str, list[Any]] = {"row": [], "geometry": []}
    with stream(layer, asked, batch=2, area=area) as rows:
        for batch in rows.batches:
            assert rows.geometry is not None
            found["row"] += batch.column(0).to_pylist()
            found["geometry"] += [
                None if wkb is None else shapely.from_wkb(wkb).wkt
                for wkb in batch.column(rows.geometry).to_pylist()
            ]
            for name, place in zip(rows.names, rows.places, strict=True):
                found.setdefault(name, []).extend(batch.column(place).to_pylist())
    return found


@pytest.mark.parametrize("extension", ["xlsx", "ods"])
def test_rows_of_a_sheet_are_points_and_those_with_nothing_in_them_are_none(
    tmp_path: Path, extension: str
) -> None:
    path = workbook(tmp_path / f"a.{extension}", ("Places", PLACES), ("Notes", NOTES))
    workbooks.screen(path, nothing)
    found = read(path)
    assert found["row"] == [2, 3, 5, 6]
    assert found["geometry"] == ["POINT (1.5 2)", "POINT (2.5 3)", None, "POINT (9 9.5)"]
    assert found["name"] == ["a", "007", "d", None]
    assert found["day"] == [dt.date(2024, 5, 1), dt.date(1900, 3, 1), None, None]
    assert found["time"] == [dt.datetime.fromisoformat("2024-05-01T12:30:15"), None, None, None]
    part = Part(path, "ODS" if extension == "ods" else "XLSX", "a")
    assert [(layer.title, layer.spatial) for layer in layers(part)] == [("Places", True), ("Notes", False)]


def test_geometries_may_be_texts_in_a_column(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Places", PLACES))
    found = read(path, csv={"geometry": "shape"}, columns=["name"])
    assert found["geometry"] == ["POINT (7 8)", None, "POINT (5 6)", None]
    assert set(found) == {"row", "geometry", "name"}


def test_only_rows_in_the_area_or_of_the_condition_are_read(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Places", PLACES))
    assert read(path, area=Area((2, 2, 3, 4), None))["row"] == [3]
    assert read(path, where="name = 'a'")["row"] == [2]


def test_a_sheet_of_texts_only_has_its_names_in_the_first_row_too(tmp_path: Path) -> None:
    table = pyarrow.table({"name": ["a"], "wkt": ["POINT (1 2)"]})
    assert read(workbook(tmp_path / "a.xlsx", ("Places", table)))["geometry"] == ["POINT (1 2)"]


def test_dates_are_right_before_the_day_that_excel_has_and_1900_has_not(tmp_path: Path) -> None:
    # GDAL writes them as it reads them: a day after what they are in Excel.
    days = [dt.date(1899, 12, 31), dt.date(1900, 2, 27), dt.date(1900, 3, 1), dt.date(2024, 5, 1), None]
    times = [None if day is None else dt.datetime.combine(day, dt.time(18)) for day in days]
    table = pyarrow.table({"lon": [1.0] * 5, "lat": [2.0] * 5, "day": days, "time": times})
    right = [dt.date(1900, 1, 1), dt.date(1900, 2, 28), *days[2:]]
    found = read(workbook(tmp_path / "a.xlsx", ("Places", table)))
    assert found["day"] == right
    assert [one and one.date() for one in found["time"]] == right
    assert {one.time() for one in found["time"] if one} == {dt.time(18)}
    assert read(workbook(tmp_path / "a.ods", ("Places", table)))["day"] == days


def test_dates_are_right_where_they_are_counted_from_1904(tmp_path: Path) -> None:
    path = changed(
        workbook(tmp_path / "a.xlsx", ("Places", PLACES)),
        lambda name, text: (
            text.replace(b"<sheets>", b'<workbookPr date1904="1"/><sheets>')
            if name == "xl/workbook.xml"
            else text
        ),
    )
    found = read(path)
    assert found["day"][0] == dt.date(2024, 5, 1) + dt.timedelta(days=1462)
    assert found["time"][0] == dt.datetime.fromisoformat("2028-05-02T12:30:15")


def test_a_sheet_that_is_alone_and_has_no_places_says_which_columns_it_has(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Places", NOTES))
    with pytest.raises(PermanentTaskError, match="columns are remark, number"):
        read(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b'<!DOCTYPE x [<!ENTITY a "b">]><x>&a;</x>', "the XML is refused: it declares the entity 'a'"),
        (b"<x>" + b"0" * 3_000_000 + b"</x>", r"the zip file is refused: it would become .* times its size"),
        (b"<x>", "the XML cannot be read: no element found"),
    ],
)
def test_bombs_and_entities_in_a_workbook_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", content)
    with pytest.raises(PermanentTaskError, match=reason):
        workbooks.screen(path, nothing)


def test_a_workbook_that_would_not_fit_into_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = workbook(tmp_path / "a.xlsx", ("Places", PLACES))
    monkeypatch.setattr(workbooks, "MAX_XML", 1024)
    with pytest.raises(PermanentTaskError, match="save its sheets as CSV"):
        workbooks.screen(path, nothing)


def test_what_is_no_workbook_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    path.write_bytes(b"id,lon,lat")
    with pytest.raises(PermanentTaskError, match="is not a zip file that can be read"):
        workbooks.screen(path, nothing)


def test_a_text_that_many_cells_share_is_counted_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MAX_MEMORY", 500_000)
    numbers = [1.5] * 200
    for name, text, refused in (("a", "é" * 2_500, True), ("b", "short", False)):
        table = pyarrow.table({"lon": numbers, "lat": numbers, "said": [text] * 200})
        path = workbook(tmp_path / f"{name}.xlsx", ("Places", table))
        assert path.stat().st_size < 20_000
        if refused:
            with pytest.raises(
                PermanentTaskError, match=r"the workbook has 970\.\d KiB of texts, counted for"
            ):
                workbooks.screen(path, nothing)
        else:
            workbooks.screen(path, nothing)
