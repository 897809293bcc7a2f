"""Tables whose geometries are made of columns of coordinates: what is no number, and what is around one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow
import pyogrio
import pytest
import shapely

from interfaces.errors import PermanentTaskError
from services.vector import points

from .loads import found_in, written

SIGNS = "48°07'N"
ROWS = [
    ("11.5", "48", None),
    (" 11.5 ", "\t48.3", None),
    ("", "", None),
    (" ", "", None),
    ("11", SIGNS, f"column 'lat': {SIGNS!r} does not fit into double"),
    ("abc", "def", "column 'lon': 'abc' does not fit into double"),
    ("11", "", "column 'lat' has no coordinate"),
    ("nan", "48", "column 'lon': 'nan' is no number"),
    ("1,5", "48", "column 'lon': '1,5' does not fit into double"),
    ("1e999", "48", "column 'lon': '1e999' does not fit into double"),
]
REASONS = {number: reason for number, (_, _, reason) in enumerate(ROWS) if reason is not None}


def csv(path: Path, content: str) -> Path:
    path.write_text(content)
    return path


def table(path: Path) -> Path:
    """A file of `ROWS`."""
    if path.suffix == ".csv":
        lines = [f'{number},"{lon}","{lat}"' for number, (lon, lat, _) in enumerate(ROWS)]
        return csv(path, "\n".join(["id,lon,lat", *lines]) + "\n")
    lons, lats, _ = zip(*ROWS, strict=True)
    columns: dict[str, Any] = {"id": range(len(ROWS)), "lon": lons, "lat": lats}
    pyogrio.write_arrow(pyarrow.table(columns), path, driver=path.suffix[1:].upper(), layer="a")
    return path


@pytest.mark.parametrize("extension", ["csv", "xlsx", "ods"])
def test_coordinates_are_numbers_or_their_feature_is_rejected_with_what_they_are(
    tmp_path: Path, extension: str
) -> None:
    made = written(table(tmp_path / f"a.{extension}"))
    first = 1 if extension == "csv" else 2
    assert made.reasons() == {str(number + first): reason for number, reason in REASONS.items()}
    assert (made.counts.read, made.counts.loaded) == (len(ROWS), len(ROWS) - len(REASONS))
    shapes = [one and shapely.from_wkb(one).geoms[0].wkt for one in made.column("geom")]
    assert shapes == ["POINT (11.5 48)", "POINT (11.5 48.3)", None, None]
    assert (made.column("lon"), made.column("lat")) == ([11.5, 11.5, None, None], [48, 48.3, None, None])


def test_null_geometries_of_no_coordinates_go_by_policy(tmp_path: Path) -> None:
    made = written(csv(tmp_path / "a.csv", "lon,lat\n1,2\n ,\n"), null_geometries="reject")
    assert made.reasons() == {"2": "the feature has no geometry"}


def test_numbers_of_a_table_of_text_keep_their_values_with_blanks_around_them(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "lon,lat,n,x\n1,2, 5 , 1.5 \n1,2,,2.5\n")
    assert [one.type for one in found_in(path).fields[2:]] == ["integer", "double precision"]
    made = written(path)
    assert (made.column("n"), made.column("x")) == ([5, None], [1.5, 2.5])


def test_a_comma_is_a_decimal_one_where_semicolons_separate(tmp_path: Path) -> None:
    made = written(csv(tmp_path / "a.csv", "lon;lat;n\n1,5;2; 3,25 \n1;2,5;4\n1.234,5;2;1\n"))
    assert (made.column("lon"), made.column("n")) == ([1.5, 1.0], [3.25, 4.0])
    assert made.reasons() == {"3": "column 'lon': '1.234,5' does not fit into double"}


def test_coordinates_may_be_asked_for_as_text(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "lon,lat\n1.50,2\neast,2\n")
    made = written(path, column_types={"lon": "text"})
    assert made.column("lon") == ["1.50"]
    assert made.reasons() == {"2": "column 'lon': 'east' is no number"}


def test_a_condition_is_about_numbers(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "lon,lat,n\n1,2,9\n1,2,10\nwest,2,11\n")
    made = written(path, where="n > 9")
    assert (made.column("n"), made.column("lon")) == ([10], [1.0])
    assert made.reasons() == {"3": "column 'lon': 'west' does not fit into double"}


@pytest.mark.parametrize("where", ["1 = 1", "n >= 5", '"N" IN (5, 6) OR x > 1e300', "x IS NOT NULL"])
def test_a_condition_changes_no_value_and_leaves_out_none_for_a_blank(tmp_path: Path, where: str) -> None:
    path = csv(tmp_path / "a.csv", "lon,lat,n,x\n1,2,5 ,1.50 \n1,2, 6,1e999\n1,2,4,\n")
    made = written(path, where=where, columns=["n", "x"])
    assert made.reasons() == {"2": "column 'x': '1e999' does not fit into double"}
    assert (made.column("n")[0], made.column("x")[0]) == (5, 1.5)
    assert made.counts.read == (3 if where == "1 = 1" else 2)
    assert written(path, where=where, column_types={"x": "text", "n": "text"}).column("x")[0] == "1.50 "


def test_decimal_commas_that_cannot_be_compared_are_told(tmp_path: Path) -> None:
    path = csv(tmp_path / "a.csv", "lon;lat;x;n\n1;2;2,5;1 \n1;2;3,5;2\n")
    assert written(path, where="x > 1 AND n < 2").column("x") == [2.5]
    csv(path, "lon;lat;x\n1;2;2,5\n1;2;1,5 \n")
    with pytest.raises(PermanentTaskError, match=r"^where: column 'x' has '1,5 ' in row 2"):
        written(path, where="x > 2")
    assert written(path).column("x") == [2.5, 1.5]


@pytest.mark.parametrize("extension", ["csv", "xlsx"])
def test_texts_that_are_no_geometry_are_rejected_and_blank_ones_are_none(
    tmp_path: Path, extension: str
) -> None:
    texts = ["POINT (1 2)", "POINT (1 2", "  ", None]
    path, driver = tmp_path / f"a.{extension}", extension.upper()
    columns = {"id": range(4), "wkt": pyarrow.array(texts)}
    pyogrio.write_arrow(pyarrow.table(columns), path, driver=driver, layer="a")
    made = written(path, assume_crs="EPSG:4326")
    assert list(made.reasons().values()) == ["'POINT (1 2' cannot be read as a geometry"]
    assert [one is None for one in made.column("geom")] == [False, True, True]


JSON = '{"type":"Point","coordinates":[1,2]}'


@pytest.mark.parametrize("extension", ["csv", "xlsx"])
@pytest.mark.parametrize(
    ("good", "bad"),
    [
        (
            "POINT (1 2)",
            ["POINT (1 2) xyz", "POINT (1 2))", "POINT (1 2) POINT (3 4)", "POINT (1 2), POINT (3 4)"],
        ),
        (
            "Point(.1e1 2.)",
            ["POINT (1abc 2)", "POINT (1.0.0 2)", "POINT (0x1 2)", "POINT (1 -)", "POINT (1 2"],
        ),
        (
            " MULTIPOINT ((1 2))\n",
            ["x POINT (1 2)", "POINT (1 2)(", "MULTIPOINT ((1 2)) EMPTY", "POINT EMPTY x"],
        ),
        (JSON, [f"{JSON} x", JSON * 2]),
    ],
)
def test_texts_of_which_only_a_part_is_a_geometry_are_rejected(
    tmp_path: Path, extension: str, good: str, bad: list[str]
) -> None:
    path = tmp_path / f"a.{extension}"
    table_ = pyarrow.table({"id": range(len(bad) + 2), "geometry": [good, *bad, None]})
    pyogrio.write_arrow(table_, path, driver=extension.upper(), layer="a")
    made = written(path, assume_crs="EPSG:4326")
    assert list(made.reasons().values()) == [f"{one!r} cannot be read as a geometry" for one in bad]
    assert [one and shapely.from_wkb(one).geoms[0].wkt for one in made.column("geom")] == [
        "POINT (1 2)",
        None,
    ]


@pytest.mark.parametrize(
    "text",
    [
        "POINT EMPTY",
        "POINTZ (1 2 3)",
        "LineString Z (1 2 3, 1e1 -2 nan)",
        "MULTILINESTRING((1 2,3 4),EMPTY)",
        "GEOMETRYCOLLECTION ZM (POINT ZM (1 2 3 4), GEOMETRYCOLLECTION (MULTIPOLYGON (((0 0,1 0,1 1,0 0)))))",
        "COMPOUNDCURVE ((0 0, 1 1), CIRCULARSTRING (1 1, 2 2, 3 1))",
        "0101000000",
        "\t",
    ],
)
def test_whole_geometries_are_such(text: str) -> None:
    assert points.partly_read(pyarrow.array([None, text, "POINT (1 2))", text]).slice(1)) == [1]
