"""Rows of a table with more values than columns, or fewer."""

from __future__ import annotations

from pathlib import Path

import pytest

from .loads import written

HEAD = "id,lon,lat,name"


def rejected(path: Path, content: str, encoding: str = "utf-8") -> dict[str, str]:
    path.write_text(content, encoding=encoding)
    return written(path).reasons()


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_rows_with_more_values_than_columns_are_rejected(tmp_path: Path, sign: str) -> None:
    rows = ["1,1,2,a,b", "2,1,2,a", "", '3,1,2,"a\n,b,c"', '4,1,2,"a","",d\n', "5,1,2,a,,", "6,1,2"]
    content = "\n".join([HEAD, *rows]).replace(",", sign)
    reason = "the row has {} values for 4 columns, and there is none for {!r}"
    assert rejected(tmp_path / "a.csv", content) == {"1": reason.format(5, "b"), "4": reason.format(6, "d")}
    # What is missing at the end of a row is null.
    assert written(tmp_path / "a.csv").column("name") == ["a", f"a\n{sign}b{sign}c", "a", None]


@pytest.mark.parametrize("row", ['1,1,2,12" pipe"', '1,1,2,"a""b,c"', '1,1,2,"a"b', '\ufeff1,1,2,"a\r\nb"'])
def test_quotes_are_those_of_the_file_s_reader(tmp_path: Path, row: str) -> None:
    content = f"{HEAD}\r\n{row}\r\n2,1,2,a,b\r\n"
    assert list(rejected(tmp_path / "a.csv", content, "utf-8-sig")) == ["2"]


def test_rows_are_told_apart_where_some_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("lon,lat,n\n" + "".join(f"1,2,{n}{',x' * (n % 100 == 0)}\n" for n in range(1, 1001)))
    made = written(path, where="n > 500")
    assert list(made.reasons()) == ["600", "700", "800", "900", "1000"]


def test_a_table_without_names_has_its_first_row_looked_at_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("1,2\n1,2,3\n")
    made = written(path, csv={"x": "field_1", "y": "field_2"}, assume_crs="EPSG:4326")
    assert list(made.reasons()) == ["2"]


def test_a_day_that_is_in_no_calendar_rejects_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text(
        "lon,lat,d,t\n1,2,2024-02-30,\n1,2,,2024/02/31 10:00\n1,2,2024-02-29,2024-02-29 10:00\n1\n"
    )
    reasons = {"1": "column 'd': '2024-02-30' is no date", "2": "column 't': '2024/02/31 10:00' is no date"}
    made = written(path)
    assert made.reasons() == reasons | {"4": "column 'lat' has no coordinate"}
    assert [str(one) for one in made.column("d")] == ["2024-02-29"]
    # As a text it is what it is.
    assert written(path, column_types={"d": "text"}).column("d") == ["2024-02-30", "2024-02-29"]


def test_a_number_among_truth_values_rejects_its_row(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("lon,lat,b\n1,2,true\n1,2,5\n1,2,\n1,2,No\n1,2,1\n1\n")
    reasons = {"2": "column 'b': '5' is no boolean"}
    made = written(path)
    assert made.reasons() == reasons | {"6": "column 'lat' has no coordinate"}
    assert made.column("b") == [True, None, False, True]
    assert written(path, where="lon = 1 AND b = 1").reasons() == reasons
    assert written(path, column_types={"b": "text"}).column("b") == ["true", "5", None, "No", "1"]
